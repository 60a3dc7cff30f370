// SPDX-License-Identifier: Apache-2.0
// memory_estimation.disable_fake_mode: the options of its two real steps.
#include "checkpoint/store.h"
#include "estimate/estimate.h"
#include "storage/path.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static const char folder_name[] = "/memory_estimation";

typedef struct setting {
  const char *name, *value;
} setting;

// Both kinds of a save are made: one of an interval, and the last one; a validation takes one batch. The saves go into
// a folder of the trial's own: that of the run may lie anywhere, and its files are nobody's to remove.
static const setting settings[] = {
    {"training.steps", "2"},        {"checkpoint.interval_type", "steps"},          {"checkpoint.interval", "1"},
    {"checkpoint.load_step", "-1"}, {"checkpoint.create_seed_checkpoint", "false"}, {"checkpoint.folder", "checkpoint"},
    {"validation.steps", "1"},
};

// The checkpoints of the two steps. Only their own names are looked at.
static titan_status remove_checkpoints(const titan_config *config) {
  titan_text folder = {0}, path = {0};
  titan_status status = titan_path_join(&folder, config->job.dump_folder, config->checkpoint.folder);
  for (int64_t step = 1; step <= 2 && status == TITAN_OK; step++) {
    path.length = 0;
    status = titan_store_path(folder.data, step, &path);
    if (status == TITAN_OK && unlink(path.data) != 0 && errno != ENOENT && errno != ENOTDIR)
      status = titan_error(TITAN_ERROR_OUTPUT, "cannot remove %s: %s", path.data, strerror(errno));
  }
  titan_text_destroy(&folder);
  titan_text_destroy(&path);
  return status;
}

// What the two steps before may have left in the folder that is their own, so that it is not kept under numbers.
static titan_status remove_outputs(const titan_config *config) {
  static const char *const names[] = {"metrics.h5", "configuration.toml", "steps.txt", "run.log", "summary.json"};
  titan_status status = TITAN_OK;
  for (size_t i = 0; i < sizeof names / sizeof *names && status == TITAN_OK; i++) {
    titan_text path = {0};
    status = titan_path_join(&path, config->job.dump_folder, names[i]);
    if (status == TITAN_OK)
      unlink(path.data);
    titan_text_destroy(&path);
  }
  return status;
}

static titan_status set_folder(titan_config *config, const char *folder, size_t length, const char *ending) {
  titan_text text = {0};
  titan_status status = titan_text_printf(&text, "%.*s%s", (int)length, folder, ending);
  if (status == TITAN_OK)
    status = titan_config_set(config, "job.dump_folder", text.data);
  titan_text_destroy(&text);
  return status;
}

titan_status titan_estimate_trial_begin(titan_config *config, bool first) {
  TITAN_TRY(set_folder(config, config->job.dump_folder, strlen(config->job.dump_folder), folder_name));
  for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
    TITAN_TRY(titan_config_set(config, settings[i].name, settings[i].value));
  if (!first)
    return TITAN_OK;
  TITAN_TRY(remove_outputs(config));
  return remove_checkpoints(config);
}

titan_status titan_estimate_trial_end(titan_config *config, bool first) {
  if (first)
    TITAN_TRY(remove_checkpoints(config));
  return set_folder(config, config->job.dump_folder, strlen(config->job.dump_folder) - (sizeof folder_name - 1), "");
}
