// SPDX-License-Identifier: Apache-2.0
// What a run tells while it goes on. The trainer reports events; observers, one row of observers.def and one file of
// observers/ each, make lines, rows and files of them. No number of a run depends on them.
#ifndef TITAN_TRAIN_OBSERVER_H
#define TITAN_TRAIN_OBSERVER_H

#include "train/trainer_private.h"

// A log step: the steps since the log step before, or since the start.
typedef struct trainer_row {
  titan_metrics_row row; // of all ranks, alike on every rank; `memory` is rank 0's
  // By rank of the world, alike on every rank; borrowed.
  const titan_metrics_rank_row *ranks;
} trainer_row;

typedef struct trainer_validation {
  titan_metrics_validation_row row;
  double seconds;
} trainer_validation;

typedef struct trainer_save {
  int64_t step;
  const char *path;
  double bytes, seconds; // of the file; from the start of the save to its end
  double copy_seconds;   // for which the training stood still; negative: it waited for the whole save
} trainer_save;

// How a start of a run ended.
typedef struct trainer_end {
  const char *outcome;    // "complete", "stopped" or "failed"
  const char *message;    // why, of "failed"; otherwise NULL
  titan_report_part here; // this start
  bool goes_on;           // it went on from a checkpoint: then `whole` is the run from its first step on
  bool whole_is_known;    // the times of its earlier starts are
  titan_report_part whole;
} trainer_end;

// Functions of an observer. `state` is what create gave; all but create are called only where it is not NULL. A slot
// that is NULL is no interest. Only create may communicate.
typedef struct titan_observer {
  const char *name;    // of what it writes, for messages
  const char *missing; // what becomes of what could not be written, for the warning: "the rows are written when ..."
  const char *written; // what is said when it can be written again, behind the name
  // Required. Collective over the world, once the model and the data are there. *state stays NULL on a rank that the
  // observer does nothing on. An output error is a warning: then *state is NULL where the observer gives up, and valid
  // where it tries again.
  titan_status (*create)(titan_trainer *trainer, void **state);
  // Before each step. TITAN_ERROR_OUTPUT, here and below, is a warning, once until it works again.
  titan_status (*step_begins)(void *state, titan_trainer *trainer, int64_t step);
  // A part of a step begins, and ends with the next one: "data", "forward and backward", "optimizer", ... (static).
  void (*stage)(void *state, titan_trainer *trainer, const char *name);
  // When the device has been asked for a step's gradients (of a recorded step: before), before the ranks add up its
  // numbers. *spoil: this rank's
  // loss is to be NaN.
  void (*computed)(void *state, titan_trainer *trainer, int64_t step, bool *spoil);
  // At each step's end.
  titan_status (*step)(void *state, titan_trainer *trainer, const trainer_step *step);
  titan_status (*row)(void *state, titan_trainer *trainer, const trainer_row *row);
  titan_status (*validation)(void *state, titan_trainer *trainer, const trainer_validation *validation);
  titan_status (*save)(void *state, titan_trainer *trainer, const trainer_save *save);
  // A warning that this process has logged; text: NULL of one among too many to keep.
  void (*warning)(void *state, titan_trainer *trainer, const char *text);
  titan_status (*end)(void *state, titan_trainer *trainer, const trainer_end *end);
  void (*destroy)(void **state);
} titan_observer;

// Collective. From now on warnings are kept for the observers.
titan_status titan_observers_watch_warnings(titan_trainer *trainer);
// Collective, after that.
titan_status titan_observers_create(titan_trainer *trainer);
void titan_observers_destroy(titan_trainer *trainer);

// Not collective. Events; the status is that of the first observer that fails otherwise than in its output.
titan_status titan_observers_step_begins(titan_trainer *trainer, int64_t step);
void titan_observers_stage(titan_trainer *trainer, const char *name);
void titan_observers_computed(titan_trainer *trainer, int64_t step, bool *spoil);
titan_status titan_observers_step(titan_trainer *trainer, const trainer_step *step);
titan_status titan_observers_row(titan_trainer *trainer, const trainer_row *row);
titan_status titan_observers_validation(titan_trainer *trainer, const trainer_validation *validation);
titan_status titan_observers_save(titan_trainer *trainer, const trainer_save *save);
titan_status titan_observers_end(titan_trainer *trainer, const trainer_end *end);

#endif
