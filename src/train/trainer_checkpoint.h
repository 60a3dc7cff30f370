// Inside the trainer: what its files on checkpoints share.
#ifndef TITAN_TRAIN_TRAINER_CHECKPOINT_H
#define TITAN_TRAIN_TRAINER_CHECKPOINT_H

#include "checkpoint/save.h"
#include "storage/lock.h"
#include "train/trainer_private.h"

// A checkpoint's contents beside tensors, with the memory they lie in: it stays while a save is under way, and the
// training goes on.
typedef struct trainer_contents {
  titan_checkpoint_contents contents;
  titan_text mesh, configuration, written;
  trainer_history history;
  int64_t *cursors; // [lanes of the global batch, 4]
} trainer_contents;

struct trainer_checkpoint {
  titan_text folder;
  titan_lock *lock; // rank 0: on the folder
  int64_t *steps;   // found when the run began, ascending; all ranks
  int64_t step_count;
  uint64_t corpus;  // fingerprint
  bool excluded[3]; // by titan_checkpoint_part
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

// Rank 0, once the saver is there: warns where the files that the run will keep at once do not fit.
void titan_trainer_checkpoint_check_room(const titan_trainer *trainer);

// The failure that a file of another program is.
titan_status titan_trainer_checkpoint_foreign(const char *path);

// Notes a file as the last good one.
titan_status titan_trainer_checkpoint_note(trainer_checkpoint *checkpoint, const char *path);

#endif
