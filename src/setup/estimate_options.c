// SPDX-License-Identifier: Apache-2.0
#include "setup/estimate_options.h"

#include "device/device_table.h"

#include <string.h>

bool titan_estimate_is_fake(const titan_config *config) {
  return config->memory_estimation.enabled && !config->memory_estimation.disable_fake_mode;
}

bool titan_estimate_is_real(const titan_config *config) {
  return config->memory_estimation.enabled && config->memory_estimation.disable_fake_mode;
}

int titan_estimate_world_size(const titan_config *config, int ranks) {
  return titan_estimate_is_fake(config) && config->memory_estimation.world_size > 0
             ? (int)config->memory_estimation.world_size
             : ranks;
}

bool titan_estimate_is_cpu(const titan_config *config) {
  return strcmp(config->memory_estimation.device, "cpu") == 0;
}

static titan_status check_device(const titan_config *config, titan_text *problems) {
  if (titan_estimate_is_cpu(config) || titan_device_facts_find(config->memory_estimation.device) != NULL)
    return TITAN_OK;
  TITAN_TRY(titan_text_printf(problems, "memory_estimation.device = %s (%s): the known devices are cpu, ",
                              config->memory_estimation.device,
                              titan_config_origin(config, "memory_estimation.device")));
  TITAN_TRY(titan_device_facts_names(problems));
  return titan_text_printf(problems, "\n");
}

titan_status titan_estimate_check(const titan_config *config, int ranks, titan_text *problems) {
  enum { MOST_RANKS = 1 << 20 };
  int64_t world = config->memory_estimation.world_size;
  TITAN_TRY(check_device(config, problems));
  if (world > MOST_RANKS)
    TITAN_TRY(titan_text_printf(problems, "memory_estimation.world_size = %lld (%s): at most %d\n", (long long)world,
                                titan_config_origin(config, "memory_estimation.world_size"), MOST_RANKS));
  if (!titan_estimate_is_real(config))
    return TITAN_OK;
  if (world > 0 && world != ranks)
    TITAN_TRY(titan_text_printf(
        problems,
        "memory_estimation.world_size = %lld (%s): with disable_fake_mode the ranks are those of this run, %d\n",
        (long long)world, titan_config_origin(config, "memory_estimation.world_size"), ranks));
  if (!titan_estimate_is_cpu(config))
    TITAN_TRY(titan_text_printf(problems,
                                "memory_estimation.device = %s (%s): with disable_fake_mode the device is the one "
                                "there is, cpu\n",
                                config->memory_estimation.device,
                                titan_config_origin(config, "memory_estimation.device")));
  return TITAN_OK;
}
