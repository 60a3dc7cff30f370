// SPDX-License-Identifier: Apache-2.0
// A step of a pipeline as it was, beside what was predicted.
#include "train/plan_files.h"
#include "train/trainer_private.h"

#include "base/log.h"

static double busy_percent(const titan_prediction *prediction, int rank) {
  return prediction->makespan > 0 ? 100 * prediction->ranks[rank].busy / prediction->makespan : 0;
}

static titan_status log_busy(const titan_prediction *measured, const titan_prediction *processor,
                             const titan_prediction *predicted) {
  titan_text text = {0};
  titan_status status = TITAN_OK;
  for (int rank = 0; rank < measured->rank_count && status == TITAN_OK; rank++)
    status = titan_text_printf(&text, "%s%.1f %%, %.1f %%, %.1f %%", rank > 0 ? "; " : "", busy_percent(measured, rank),
                               busy_percent(processor, rank), busy_percent(predicted, rank));
  if (status == TITAN_OK)
    titan_log_info("Busy time of the pipeline ranks in the last step (by the clock, by processor time, predicted): %s",
                   text.data);
  titan_text_destroy(&text);
  return status;
}

titan_status titan_trainer_write_measured(titan_trainer *trainer) {
  const titan_config *config = trainer->env.config;
  titan_prediction measured, processor, predicted = {0};
  if (!config->debug.dump_plan || !titan_trainer_is_pipeline(trainer) || trainer->step == trainer->first_step)
    return TITAN_OK;
  titan_status status = titan_runtime_measured(trainer->runtime, &measured, &processor);
  TITAN_TRY(titan_comm_agree(titan_trainer_world(trainer), status));
  if (trainer->rank == 0 && (status = titan_runtime_predict(trainer->runtime, 1, &predicted)) == TITAN_OK) {
    status = log_busy(&measured, &processor, &predicted);
    if (status == TITAN_OK)
      status =
          titan_trainer_by_product(titan_schedule_file_write(trainer->runtime, &measured, "the last step as measured",
                                                             "s", config->job.dump_folder, "schedule_measured.svg"));
  }
  titan_prediction_destroy(&predicted);
  titan_prediction_destroy(&measured);
  titan_prediction_destroy(&processor);
  return titan_comm_agree(titan_trainer_world(trainer), status);
}
