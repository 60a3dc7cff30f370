// SPDX-License-Identifier: Apache-2.0
// When a run saves, and what follows from a save.
#include "train/trainer_checkpoint.h"
#include "train/observer.h"

#include "base/clock.h"
#include "base/log.h"
#include "checkpoint/store.h"
#include "comm/recorder.h"

#include <string.h>

bool titan_trainer_checkpoint_is_due(const titan_trainer *trainer) {
  const titan_config *config = trainer->env.config;
  return trainer->checkpoint != NULL && trainer->rank == 0 &&
         strcmp(config->checkpoint.interval_type, "seconds") == 0 &&
         titan_clock_seconds() - trainer->checkpoint->last_save >= (double)config->checkpoint.interval;
}

bool titan_trainer_checkpoint_has_ended(const titan_trainer *trainer) {
  return trainer->checkpoint != NULL && titan_saver_is_busy(trainer->checkpoint->saver) &&
         titan_saver_is_done(trainer->checkpoint->saver);
}

double titan_trainer_checkpoint_bytes(const titan_trainer *trainer) {
  return trainer->checkpoint != NULL ? (double)titan_saver_file_bytes(trainer->checkpoint->saver) : 0;
}

const char *titan_trainer_checkpoint_last(const titan_trainer *trainer) {
  const trainer_checkpoint *checkpoint = trainer->checkpoint;
  if (checkpoint == NULL)
    return "no checkpoint has been saved (checkpoint.enable_checkpoint is off)";
  return checkpoint->last.length > 0 ? checkpoint->last.data : "no checkpoint has been saved";
}

titan_status titan_trainer_checkpoint_note(trainer_checkpoint *checkpoint, const char *path) {
  checkpoint->last.length = 0;
  return titan_text_printf(&checkpoint->last, "the last good checkpoint is %s", path);
}

void titan_trainer_checkpoint_log_finished(const titan_trainer *trainer) {
  const titan_config *config = trainer->env.config;
  titan_log_info("No steps are left: training.steps = %lld, and the checkpoint has step %lld",
                 (long long)config->training.steps, (long long)trainer->step);
  if (config->checkpoint.model_weights_only)
    titan_log_info("checkpoint.model_weights_only: nothing is written, as the weights are saved after the last step of "
                   "a training; titan-checkpoint export extracts them from any checkpoint");
}

// --- the end of a save ---

static titan_status succeeded(titan_trainer *trainer, const titan_save_result *result, bool async) {
  trainer_checkpoint *checkpoint = trainer->checkpoint;
  checkpoint->failures = 0;
  titan_trainer_time_note_save(trainer, result->seconds);
  TITAN_TRY(titan_trainer_checkpoint_note(checkpoint, checkpoint->path.data));
  const trainer_save save = {.step = checkpoint->step,
                             .path = checkpoint->path.data,
                             .bytes = (double)result->written.bytes,
                             .seconds = result->seconds,
                             .copy_seconds = async ? result->copy_seconds : -1};
  TITAN_TRY(titan_observers_save(trainer, &save));
  if (trainer->rank != 0)
    return TITAN_OK;
  // A file of weights only takes no whole checkpoint's place: a run could not go on from it.
  int64_t keep = trainer->env.config->checkpoint.keep_latest_k;
  if (titan_store_retain(checkpoint->folder.data, keep + (keep > 0 && checkpoint->weights_only), checkpoint->step) !=
      TITAN_OK)
    titan_log_warning("%s", titan_error_message());
  return TITAN_OK;
}

// A failed save is not the end, but the last one (`must` holds) is, and so are several in a row. Alike on all ranks.
static titan_status failed(titan_trainer *trainer, titan_status status, bool must) {
  trainer_checkpoint *checkpoint = trainer->checkpoint;
  int64_t most = trainer->env.config->checkpoint.max_failures;
  if (status != TITAN_ERROR_CHECKPOINT && status != TITAN_ERROR_OUTPUT && status != TITAN_ERROR_MEMORY)
    return status;
  checkpoint->failures++;
  if (must)
    status = titan_error(TITAN_ERROR_CHECKPOINT, "the checkpoint of step %lld could not be saved: %s; %s",
                         (long long)checkpoint->step, titan_error_message(), titan_trainer_checkpoint_last(trainer));
  else if (most > 0 && checkpoint->failures >= most)
    status = titan_error(TITAN_ERROR_CHECKPOINT,
                         "%lld saves in a row have failed (checkpoint.max_failures); the last one at step %lld: %s; %s",
                         (long long)checkpoint->failures, (long long)checkpoint->step, titan_error_message(),
                         titan_trainer_checkpoint_last(trainer));
  else {
    if (trainer->rank == 0)
      titan_log_warning("The checkpoint of step %lld could not be saved, and the training continues: %s; %s",
                        (long long)checkpoint->step, titan_error_message(), titan_trainer_checkpoint_last(trainer));
    return TITAN_OK;
  }
  titan_error_mark_agreed();
  return status;
}

static titan_status finish(titan_trainer *trainer, bool async) {
  titan_save_result result;
  titan_status status = titan_saver_finish(trainer->checkpoint->saver, &result);
  return status == TITAN_OK ? succeeded(trainer, &result, async) : failed(trainer, status, false);
}

// --- saving ---

// The type of weights that fits them: float16 cannot hold large ones, and the last save is not lost to that.
static titan_status choose_number(titan_trainer *trainer, titan_number *number) {
  titan_status status = titan_saver_check_values(trainer->checkpoint->saver, *number);
  if (status != TITAN_ERROR_CHECKPOINT)
    return status;
  *number = TITAN_NUMBER_FLOAT32;
  if (trainer->rank == 0)
    titan_log_warning("checkpoint.export_dtype = float16: %s; the weights are saved in float32 instead",
                      titan_error_message());
  return TITAN_OK;
}

// What a save that failed has left, where the storage did not let it be removed then. The folder is this run's.
static void remove_left(const titan_trainer *trainer) {
  if (trainer->rank == 0 && trainer->checkpoint->failures > 0 &&
      titan_store_remove_partial(trainer->checkpoint->folder.data) != TITAN_OK)
    titan_error_clear(); // the save will tell
}

// `must`: the run ends after it, so that it is written at once and may not fail.
static titan_status save(titan_trainer *trainer, bool model_only, titan_number number, bool must) {
  trainer_checkpoint *checkpoint = trainer->checkpoint;
  bool async = strcmp(trainer->env.config->checkpoint.async_mode, "disabled") != 0;
  titan_recorder_set_phase("save", trainer->step);
  if (titan_saver_is_busy(checkpoint->saver)) // the next save waits for the last
    TITAN_TRY(finish(trainer, true));
  if (number == TITAN_NUMBER_FLOAT16)
    TITAN_TRY(choose_number(trainer, &number));
  remove_left(trainer);
  TITAN_TRY(titan_trainer_contents_fill(trainer, model_only, &checkpoint->contents));
  checkpoint->step = trainer->step;
  checkpoint->weights_only = model_only;
  checkpoint->last_save = titan_clock_seconds();
  checkpoint->path.length = 0;
  TITAN_TRY(titan_store_path(checkpoint->folder.data, trainer->step, &checkpoint->path));
  titan_save_request request = {.path = checkpoint->path.data,
                                .contents = &checkpoint->contents.contents,
                                .model_only = model_only,
                                .number = number,
                                .at_once = must,
                                .replace = titan_trainer_checkpoint_was_there(checkpoint, trainer->step)};
  titan_status status = titan_saver_start(checkpoint->saver, &request);
  if (status != TITAN_OK)
    return failed(trainer, status, must);
  return async && !must ? TITAN_OK : finish(trainer, false);
}

static bool goes_by_seconds(const titan_trainer *trainer) {
  return strcmp(trainer->env.config->checkpoint.interval_type, "seconds") == 0;
}

bool titan_trainer_checkpoint_is_numbered(const titan_trainer *trainer, int64_t step) {
  return trainer->checkpoint != NULL && !goes_by_seconds(trainer) &&
         step % trainer->env.config->checkpoint.interval == 0;
}

static bool is_time(const titan_trainer *trainer, const trainer_step *step) {
  return goes_by_seconds(trainer) ? step->save_due : titan_trainer_checkpoint_is_numbered(trainer, step->step);
}

titan_status titan_trainer_checkpoint_step(titan_trainer *trainer, const trainer_step *step) {
  const titan_config *config = trainer->env.config;
  titan_number number = TITAN_NUMBER_FLOAT32;
  if (trainer->checkpoint == NULL)
    return TITAN_OK;
  if (step->save_ended)
    TITAN_TRY(finish(trainer, true));
  bool last = step->step == config->training.steps;
  bool weights_only = last && config->checkpoint.model_weights_only;
  if (weights_only)
    titan_number_find(config->checkpoint.export_dtype, &number);
  if (last || step->stop || is_time(trainer, step))
    return save(trainer, weights_only, number, last || step->stop);
  return TITAN_OK;
}

titan_status titan_trainer_checkpoint_settle(titan_trainer *trainer) {
  if (trainer->checkpoint == NULL || !titan_saver_is_busy(trainer->checkpoint->saver))
    return TITAN_OK;
  return finish(trainer, true);
}

titan_status titan_trainer_checkpoint_seed(titan_trainer *trainer) {
  return save(trainer, true, TITAN_NUMBER_FLOAT32, true);
}

void titan_trainer_checkpoint_destroy(titan_trainer *trainer) {
  trainer_checkpoint *checkpoint = trainer->checkpoint;
  if (checkpoint == NULL)
    return;
  titan_saver_destroy(&checkpoint->saver);
  titan_trainer_contents_destroy(&checkpoint->contents);
  titan_lock_release(&checkpoint->lock);
  titan_memory_free(checkpoint->steps);
  titan_text_destroy(&checkpoint->folder);
  titan_text_destroy(&checkpoint->path);
  titan_text_destroy(&checkpoint->last);
  titan_memory_free(checkpoint);
  trainer->checkpoint = NULL;
}
