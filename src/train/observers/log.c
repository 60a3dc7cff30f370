// SPDX-License-Identifier: Apache-2.0
// The lines of the log, on rank 0. With metrics.log_format = json, a line has the event's numbers as members.
#include "train/observers/json.h"

#include "base/log.h"

#include <stdlib.h>
#include <string.h>

typedef struct event_log {
  bool json;
  bool mfu_is_told; // that it is above 100 %
} event_log;

static titan_status log_create(titan_trainer *trainer, void **state) {
  if (trainer->rank != 0)
    return TITAN_OK;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_OBSERVE, 1, sizeof(event_log), state));
  ((event_log *)*state)->json = strcmp(trainer->env.config->metrics.log_format, "json") == 0;
  return TITAN_OK;
}

// A line with the members of `object`, which it takes and which may be NULL, and "event".
static void write_line(const char *event, json_t *object, const char *line) {
  char *text = NULL;
  if (object != NULL) {
    json_object_set_new(object, "event", json_string(event));
    text = json_dumps(object, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(17));
    json_decref(object);
  }
  size_t length = text != NULL ? strlen(text) : 0;
  if (length > 2)
    text[length - 1] = '\0'; // without the braces
  titan_log_event(TITAN_LOG_INFO, length > 2 ? text + 1 : NULL, "%s", line);
  free(text);
}

// A share above 100 % is no share: the peak is wrong, which is said once.
static void check_mfu(event_log *log, const titan_trainer *trainer, double mfu) {
  if (!(mfu > 100) || log->mfu_is_told)
    return;
  log->mfu_is_told = true;
  if (trainer->env.config->metrics.peak_flops > 0)
    titan_log_warning("mfu is above 100 %%: metrics.peak_flops = %.3e (%s) is lower than the measured speed of a rank",
                      trainer->peak_flops, titan_config_origin(trainer->env.config, "metrics.peak_flops"));
  else
    titan_log_warning("mfu is above 100 %%: the peak of %.3e FLOP/s, measured at the start, is too low (other "
                      "programs were running then); metrics.peak_flops sets it",
                      trainer->peak_flops);
}

static titan_status log_row(void *state, titan_trainer *trainer, const trainer_row *event) {
  event_log *log = state;
  const titan_metrics_row *row = &event->row;
  titan_report_step report = {
      .step = (int64_t)row->step,
      .loss = row->loss,
      .memory_gib = row->memory,
      .memory_percent = titan_trainer_memory_percent(trainer, row->memory),
      .tps = row->tps,
      .mfu = row->mfu,
      .grad_norm = row->grad_norm,
      .tflops = row->tflops,
      .lr = row->lr,
      .seconds_left = row->time_left,
      .now = time(NULL),
      .ranks = titan_comm_size(titan_trainer_world(trainer)),
      .slowest_rank = (int)row->slowest_rank,
      .slower_percent = row->busy_mean > 0 ? 100 * (row->busy_max / row->busy_mean - 1) : 0,
  };
  char line[TITAN_REPORT_BYTES];
  titan_report_step_line(&report, trainer->color && !log->json, line, sizeof line);
  write_line("step", log->json ? titan_json_row(row) : NULL, line);
  check_mfu(log, trainer, row->mfu);
  return TITAN_OK;
}

static titan_status log_validation(void *state, titan_trainer *trainer, const trainer_validation *validation) {
  const event_log *log = state;
  const titan_metrics_validation_row *row = &validation->row;
  char line[TITAN_REPORT_BYTES];
  snprintf(line, sizeof line, "validate step: %lld  loss: %7.4f  tokens: %.0f  seconds: %.2f", (long long)row->step,
           row->loss, row->tokens, validation->seconds);
  json_t *object = NULL;
  (void)trainer;
  if (log->json) {
    object = titan_json_validation(row);
    json_object_set_new(object, "seconds", titan_json_number(validation->seconds));
  }
  write_line("validation", object, line);
  return TITAN_OK;
}

static titan_status log_save(void *state, titan_trainer *trainer, const trainer_save *save) {
  const event_log *log = state;
  titan_text line = {0};
  json_t *object = NULL;
  (void)trainer;
  titan_status status = titan_text_printf(&line, "Saved the checkpoint %s: %.3f GB in %.2f s (%.2f GB/s)", save->path,
                                          save->bytes / 1e9, save->seconds, save->bytes / 1e9 / save->seconds);
  if (status == TITAN_OK && save->copy_seconds >= 0)
    status = titan_text_printf(&line, ", the training waited for %.3f s", save->copy_seconds);
  if (status == TITAN_OK && log->json) {
    object = titan_json_save(save);
    json_object_set_new(object, "seconds", titan_json_number(save->seconds));
  }
  if (status == TITAN_OK)
    write_line("save", object, line.data);
  titan_text_destroy(&line);
  return status;
}

// --- the end ---

static void log_whole_run(const titan_trainer *trainer, const trainer_end *end) {
  char text[TITAN_REPORT_BYTES];
  if (!end->whole_is_known) {
    titan_log_info(
        "The whole run: steps 1 to %lld; the time of its earlier starts is unknown, because metrics.h5 has no "
        "rows of them",
        (long long)trainer->step);
    return;
  }
  titan_report_part_text(&end->whole, text, sizeof text);
  titan_log_info("The whole run: %s", text);
}

static void log_how_to_go_on(const titan_trainer *trainer, bool complete) {
  const titan_config *config = trainer->env.config;
  titan_log_info("Everything the run wrote is in %s; its options are in %s/configuration.toml", config->job.dump_folder,
                 config->job.dump_folder);
  if (!config->checkpoint.enable_checkpoint)
    titan_log_info("The run cannot be resumed: checkpoint.enable_checkpoint is off. Its command: %s",
                   trainer->about.command.data);
  else if (complete)
    titan_log_info("To train further, run the same command with a larger training.steps: %s",
                   trainer->about.command.data);
  else
    titan_log_info("To resume, run the same command: %s", trainer->about.command.data);
}

static titan_status log_end(void *state, titan_trainer *trainer, const trainer_end *end) {
  const event_log *log = state;
  const titan_report_part *here = &end->here;
  int64_t steps = here->last_step - here->first_step + 1;
  bool complete = strcmp(end->outcome, "complete") == 0;
  char text[TITAN_REPORT_BYTES];
  if (strcmp(end->outcome, "failed") == 0) // which the program's last line tells
    return TITAN_OK;
  if (complete) {
    titan_report_end_line(steps, here->tokens, here->seconds, text, sizeof text);
    titan_log_info("%s", text);
  }
  titan_report_part_text(here, text, sizeof text);
  char line[TITAN_REPORT_BYTES + 16];
  snprintf(line, sizeof line, "%s: %s", end->goes_on ? "This start" : "The run", text);
  if (steps > 0)
    write_line("end", log->json ? titan_json_part(here) : NULL, line);
  if (end->goes_on)
    log_whole_run(trainer, end);
  log_how_to_go_on(trainer, complete);
  return TITAN_OK;
}

static void log_destroy(void **state) {
  titan_memory_free(*state);
  *state = NULL;
}

const titan_observer titan_observer_log = {
    .name = "the log",
    .create = log_create,
    .row = log_row,
    .validation = log_validation,
    .save = log_save,
    .end = log_end,
    .destroy = log_destroy,
};
