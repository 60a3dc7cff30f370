// SPDX-License-Identifier: Apache-2.0
// metrics.h5 (observe/metrics.h), on rank 0; with metrics.rank_0_only off, with the rows of all ranks.
#include "train/observer.h"

#include "base/log.h"
#include "storage/path.h"

static void note_before(titan_trainer *trainer, const titan_metrics *metrics) {
  const titan_metrics_row *last = titan_metrics_last_before(metrics);
  const titan_metrics_validation_row *validation = titan_metrics_last_validation_before(metrics);
  if (validation != NULL)
    trainer->before.validated_step = (int64_t)validation->step;
  if (last == NULL)
    return;
  trainer->before.is_known = true;
  trainer->before.elapsed = last->elapsed;
  trainer->before.node_hours = last->node_hours;
  trainer->before.mfu = titan_metrics_mfu_before(metrics);
}

static titan_status metrics_file_create(titan_trainer *trainer, void **state) {
  const titan_config *config = trainer->env.config;
  titan_text path = {0};
  titan_metrics_attribute attributes[TITAN_TRAINER_ATTRIBUTES];
  if (trainer->rank != 0)
    return TITAN_OK;
  titan_trainer_about_attributes(&trainer->about, attributes);
  TITAN_TRY(titan_path_join(&path, config->job.dump_folder, "metrics.h5"));
  // With nothing left to train, the checkpoint is validated, and its row takes the place of an earlier one.
  bool again = config->validation.enabled && trainer->first_step >= config->training.steps;
  uint64_t rows = (uint64_t)(config->training.steps / config->metrics.log_freq) + 2;
  titan_metrics_options options = {
      .path = path.data,
      .first_step = trainer->first_step > 0 ? trainer->first_step + 1 : 0,
      .first_validation = trainer->first_step + !again,
      .expected_rows = rows,
      .expected_validations =
          config->validation.enabled ? (uint64_t)(config->training.steps / config->validation.freq) + 2 : 0,
      .expected_rank_rows =
          config->metrics.rank_0_only ? 0 : rows * (uint64_t)titan_comm_size(titan_trainer_world(trainer)),
      .attributes = attributes,
      .attribute_count = TITAN_TRAINER_ATTRIBUTES,
  };
  titan_metrics *metrics = NULL;
  titan_status status = titan_metrics_create(&options, &metrics);
  titan_text_destroy(&path);
  *state = metrics;
  if (metrics != NULL)
    note_before(trainer, metrics);
  return status;
}

static titan_status metrics_file_row(void *state, titan_trainer *trainer, const trainer_row *row) {
  titan_status status = titan_metrics_append(state, &row->row);
  if (trainer->env.config->metrics.rank_0_only || (status != TITAN_OK && status != TITAN_ERROR_OUTPUT))
    return status;
  uint64_t ranks = (uint64_t)titan_comm_size(titan_trainer_world(trainer));
  return titan_metrics_append_ranks(state, row->ranks, ranks); // which writes what waits too
}

static titan_status metrics_file_validation(void *state, titan_trainer *trainer, const trainer_validation *validation) {
  (void)trainer;
  return titan_metrics_append_validation(state, &validation->row);
}

static titan_status metrics_file_end(void *state, titan_trainer *trainer, const trainer_end *end) {
  (void)trainer, (void)end;
  if (titan_metrics_pending(state) > 0)
    titan_log_warning("metrics.h5 lacks the last %llu rows, because they could not be written",
                      (unsigned long long)titan_metrics_pending(state));
  return TITAN_OK;
}

static void metrics_file_destroy(void **state) {
  titan_metrics *metrics = *state;
  titan_metrics_destroy(&metrics);
  *state = NULL;
}

const titan_observer titan_observer_metrics_file = {
    .name = "metrics.h5",
    .missing = "the rows are written as soon as possible",
    .written = ", including the missing rows",
    .create = metrics_file_create,
    .row = metrics_file_row,
    .validation = metrics_file_validation,
    .end = metrics_file_end,
    .destroy = metrics_file_destroy,
};
