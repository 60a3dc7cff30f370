// SPDX-License-Identifier: Apache-2.0
// Inside the trainer: what its files on checkpoints share.
#ifndef TITAN_TRAIN_TRAINER_CHECKPOINT_H
#define TITAN_TRAIN_TRAINER_CHECKPOINT_H

#include "state/save.h"
#include "storage/lock.h"
#include "train/trainer_private.h"

// A checkpoint's contents beside tensors, with the memory they lie in: it stays while a save is under way, and the
// training goes on.
typedef struct trainer_contents {
  titan_checkpoint_contents contents;
  titan_text mesh, configuration, written;
  trainer_history history;
  int64_t *cursors; // rank 0: [lanes of the global batch, 4]; others: of their own, or NULL
} trainer_contents;

struct trainer_checkpoint {
  titan_text folder;
  titan_lock *lock; // rank 0: on the folder
  int64_t *steps;   // found when the run began, ascending; all ranks
  int64_t step_count;
  uint64_t corpus; // fingerprint
  // checkpoint.exclude_from_loading, by titan_checkpoint_part; and what of it this start leaves out: nothing where an
  // earlier start has done so.
  bool excluded[3], left_out[3];
  int64_t load_step; // for the files of this run, see titan_checkpoint_contents
  titan_saver *saver;
  // The save under way, or the last one.
  trainer_contents contents;
  titan_text path;
  int64_t step;
  bool weights_only;
  int64_t failures; // in a row
  double last_save; // rank 0's clock
  titan_text last;  // "the last good checkpoint is ..."
};

// Collective over the mesh. What the present step's checkpoint holds; on ranks other than 0 nothing of it is used.
titan_status titan_trainer_contents_fill(titan_trainer *trainer, bool model_only, trainer_contents *out);
void titan_trainer_contents_destroy(trainer_contents *contents);

// Whether the folder had a file of that step when the run began.
bool titan_trainer_checkpoint_was_there(const trainer_checkpoint *checkpoint, int64_t step);

// Not collective. Whether the folder's file of step `step` descends from a run with checkpoint.load_step = load_step.
// TITAN_ERROR_CHECKPOINT when the file cannot be read.
titan_status titan_trainer_checkpoint_descends(const trainer_checkpoint *checkpoint, int64_t step, int64_t load_step,
                                               bool *descends);

// Rank 0. Tells what the run has otherwise than the one that saved the checkpoint it goes on from.
titan_status titan_trainer_log_differences(const titan_trainer *trainer, const titan_checkpoint_contents *contents);

// Collective. Goes on from the file, which is of the step (below 0: any); *fault as titan_checkpoint_load has it.
titan_status titan_trainer_checkpoint_load_file(titan_trainer *trainer, const char *path, int64_t step,
                                                titan_checkpoint_fault *fault);
// Not collective. TITAN_ERROR_CHECKPOINT when the file was trained with another tokenizer.
titan_status titan_trainer_check_tokenizer(const titan_trainer *trainer, const titan_checkpoint_file *file);

// checkpoint.initial_load_path. Not collective: TITAN_ERROR_CHECKPOINT when nothing is there.
titan_status titan_trainer_initial_check(const titan_config *config);
// Collective. Begins with the weights, or with everything, that is there.
titan_status titan_trainer_initial_load(titan_trainer *trainer);
// Rank 0, once the saver is there: warns where the files that the run will keep at once do not fit.
void titan_trainer_checkpoint_check_room(const titan_trainer *trainer);

// The failure that a file of another program is.
titan_status titan_trainer_checkpoint_foreign(const char *path);

// Notes a file as the last good one.
titan_status titan_trainer_checkpoint_note(trainer_checkpoint *checkpoint, const char *path);

#endif
