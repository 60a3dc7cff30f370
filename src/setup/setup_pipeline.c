// SPDX-License-Identifier: Apache-2.0
// The options of pipeline parallelism.
#include "setup/setup.h"

#include "step/schedule_csv.h"

#include <string.h>
#include <strings.h>

static bool is_file_schedule(const char *name) {
  return strcasecmp(name, "PipelineScheduleSingle") == 0 || strcasecmp(name, "PipelineScheduleMulti") == 0;
}

// Microbatches that a batch is cut into.
static int64_t parts_of(const titan_config *config, int ranks) {
  int64_t asked = config->experimental.pipeline_parallel_microbatches;
  return ranks == 1 ? 1 : asked > 0 ? asked : ranks;
}

titan_status titan_setup_read_schedule(const titan_config *config, titan_text *out) {
  if (config->experimental.pipeline_parallel_degree == 1 ||
      !is_file_schedule(config->experimental.pipeline_parallel_schedule))
    return TITAN_OK;
  return titan_setup_pipeline_error(config,
                                    titan_schedule_load_csv(config->experimental.pipeline_parallel_schedule_csv, out));
}

titan_pipeline_options titan_setup_pipeline_options(const titan_config *config, int ranks, const titan_text *file) {
  const char *schedule = config->experimental.pipeline_parallel_schedule;
  bool from_file = is_file_schedule(schedule), automatic = strcasecmp(schedule, "auto") == 0;
  if (ranks == 1)
    return (titan_pipeline_options){0};
  return (titan_pipeline_options){
      .schedule = from_file || automatic ? NULL : titan_schedule_find(schedule),
      .automatic = automatic,
      .file = from_file ? config->experimental.pipeline_parallel_schedule_csv : NULL,
      .file_text = from_file ? file : NULL,
      .single_stage = strcasecmp(schedule, "PipelineScheduleSingle") == 0,
      .points = config->experimental.pipeline_parallel_split_points,
      .even = strcasecmp(config->experimental.pipeline_parallel_split, "even") == 0,
      .parts = automatic ? config->experimental.pipeline_parallel_microbatches : parts_of(config, ranks),
  };
}

void titan_setup_cut_batches(int ranks, titan_runtime_options *options) {
  int64_t parts = options->pipeline.parts;
  if (ranks == 1)
    return;
  if (!options->pipeline.automatic) {
    options->shape.batch /= parts;
    options->microbatches *= parts;
  }
  // A batch of validation is cut into as many microbatches as keep all ranks busy, of equal size.
  options->validation_microbatches = ranks;
  while (options->validation.batch % options->validation_microbatches != 0) // 1 divides it
    options->validation_microbatches--;
  options->validation.batch /= options->validation_microbatches;
}

// The number of parts nearest to `parts` that divides the batch, the smaller of two.
static int64_t nearest_divisor(int64_t batch, int64_t parts) {
  for (int64_t distance = 1;; distance++) {
    if (parts - distance >= 1 && batch % (parts - distance) == 0) // 1 divides it
      return parts - distance;
    if (batch % (parts + distance) == 0)
      return parts + distance;
  }
}

titan_status titan_setup_check_pipeline(const titan_config *config, titan_text *problems) {
  int64_t ranks = config->experimental.pipeline_parallel_degree, batch = config->training.batch_size;
  const char *schedule = config->experimental.pipeline_parallel_schedule;
  const char *file = config->experimental.pipeline_parallel_schedule_csv;
  if (ranks <= 1 || ranks > INT32_MAX || batch < 1)
    return TITAN_OK;
  int64_t parts = parts_of(config, (int)ranks);
  bool asked = config->experimental.pipeline_parallel_microbatches > 0;
  if (is_file_schedule(schedule) && (file == NULL || *file == '\0'))
    TITAN_TRY(titan_text_printf(
        problems,
        "experimental.pipeline_parallel_schedule = %s (%s) needs experimental.pipeline_parallel_schedule_csv, "
        "the file with the schedule\n",
        schedule, titan_config_origin(config, "experimental.pipeline_parallel_schedule")));
  if (!is_file_schedule(schedule) && file != NULL && *file != '\0')
    TITAN_TRY(titan_text_printf(
        problems,
        "experimental.pipeline_parallel_schedule_csv = %s (%s) is the schedule of PipelineScheduleSingle and "
        "PipelineScheduleMulti alone, and experimental.pipeline_parallel_schedule = %s (%s)\n",
        file, titan_config_origin(config, "experimental.pipeline_parallel_schedule_csv"), schedule,
        titan_config_origin(config, "experimental.pipeline_parallel_schedule")));
  if (batch % parts == 0 || (!asked && strcasecmp(schedule, "auto") == 0))
    return TITAN_OK;
  return titan_text_printf(
      problems,
      "training.batch_size = %lld (%s) cannot be cut into the %lld equal microbatches of %s (%s): take a batch size "
      "that is a multiple of %lld, or experimental.pipeline_parallel_microbatches = %lld\n",
      (long long)batch, titan_config_origin(config, "training.batch_size"), (long long)parts,
      asked ? "experimental.pipeline_parallel_microbatches" : "experimental.pipeline_parallel_degree",
      titan_config_origin(config, asked ? "experimental.pipeline_parallel_microbatches"
                                        : "experimental.pipeline_parallel_degree"),
      (long long)parts, (long long)nearest_divisor(batch, parts));
}

titan_status titan_setup_pipeline_error(const titan_config *config, titan_status status) {
  static const char *const names[] = {"experimental.pipeline_parallel_degree",
                                      "experimental.pipeline_parallel_schedule",
                                      "experimental.pipeline_parallel_split_points",
                                      "experimental.pipeline_parallel_split",
                                      "experimental.pipeline_parallel_schedule_csv",
                                      "experimental.pipeline_parallel_microbatches",
                                      "model.tie_embeddings"};
  if (status != TITAN_ERROR_USAGE || config->experimental.pipeline_parallel_degree == 1)
    return status;
  titan_text text = {0};
  const char *comma = " (set: ";
  titan_status printed = titan_text_printf(&text, "%s", titan_error_message());
  for (size_t i = 0; i < sizeof names / sizeof *names && printed == TITAN_OK; i++) {
    if (!titan_config_is_set(config, names[i]))
      continue;
    printed = titan_text_printf(&text, "%s%s, %s", comma, names[i], titan_config_origin(config, names[i]));
    comma = "; ";
  }
  if (printed == TITAN_OK)
    status = titan_error(status, "%s%s", text.data, *comma == ';' ? ")" : "");
  titan_text_destroy(&text);
  return status;
}
