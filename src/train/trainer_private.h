#ifndef TITAN_TRAIN_TRAINER_PRIVATE_H
#define TITAN_TRAIN_TRAINER_PRIVATE_H

#include "data/corpus.h"
#include "data/loader.h"
#include "observe/metrics.h"
#include "observe/report.h"
#include "storage/lock.h"
#include "train/setup.h"
#include "train/trainer.h"

#include <stdio.h>

// What has gathered since the last line of the log.
typedef struct trainer_window {
  double loss_sum;         // of the steps' mean losses, alike on all ranks: no reduction, so no rounding on the way
  double loss_max;         // of this rank's mean losses
  int64_t steps, restored; // of them before this run resumed
  double start;            // clock
} trainer_window;

// One step's numbers.
typedef struct trainer_step {
  int64_t step;
  double local_loss; // mean over this rank's tokens
  double loss;       // mean over all tokens
  double grad_norm;
  double seconds;
  double batch_hash; // of this rank's tokens and labels
  // What the ranks agree on with the step's numbers.
  bool same_tokens; // within each tp group
  bool stop;        // a signal asks for the end
  bool save_due;    // checkpoint.interval seconds have passed
  bool save_ended;  // every rank's part of the save under way is over
} trainer_step;

// The loss as logged, on rank 0, for the checkpoints.
typedef struct trainer_history {
  int64_t count, capacity;
  int64_t *steps;
  double *mean, *max;
} trainer_history;

typedef struct trainer_checkpoint trainer_checkpoint;

struct titan_trainer {
  titan_trainer_environment env;
  titan_optimizer_options optimizer;
  titan_corpus *corpus;
  uint64_t corpus_fingerprint;
  titan_loader *loader;
  titan_runtime *runtime;
  titan_metrics *metrics; // rank 0
  FILE *steps_file;       // rank 0, with debug.record_step_numbers
  titan_lock *lock;       // rank 0: on the dump folder
  int rank, dp;           // in the world; data-parallel ranks
  double flops_per_token, peak_flops;
  int64_t step, tokens;             // finished; tokens of all ranks
  int64_t first_step, first_tokens; // finished before this run
  trainer_window window;
  trainer_history history;
  trainer_checkpoint *checkpoint; // NULL without checkpoint.enable_checkpoint
  bool color;
};

static inline titan_comm *titan_trainer_world(const titan_trainer *trainer) {
  return titan_mesh_comm(trainer->env.mesh, TITAN_MESH_WORLD);
}

// Collective. Finds the corpus on rank 0 for all; the ranks compare what they have of it, and look at how each file
// begins. What is wrong is told before memory is taken: TITAN_ERROR_USAGE, TITAN_ERROR_DATA.
titan_status titan_trainer_open_corpus(titan_trainer *trainer);
// Collective. Starts reading.
titan_status titan_trainer_open_loader(titan_trainer *trainer);

// A hash of this rank's batch, tokens and labels: a whole number below 2^TITAN_TRAINER_HASH_BITS, so that sums of it
// over a million ranks are exact.
enum { TITAN_TRAINER_HASH_BITS = 21 };
double titan_trainer_hash_batch(const titan_trainer *trainer);
// A sum of hashes as a hash.
double titan_trainer_fold_hash(double sum);
// Whether `ranks` (1024 at most) folded hashes with this sum and this sum of squares are all the same.
bool titan_trainer_hashes_agree(double sum, double sum_of_squares, int ranks);
// The error when they are not.
titan_status titan_trainer_tokens_differ(const titan_trainer *trainer, int64_t step);

// Rank 0: takes the dump folder for this run. Collective.
titan_status titan_trainer_lock_outputs(titan_trainer *trainer);
// Rank 0: the files in it, which a run that resumes continues. Collective.
titan_status titan_trainer_open_outputs(titan_trainer *trainer);
// Adds a step to the window, and at log steps writes the line and the row. Collective.
titan_status titan_trainer_report(titan_trainer *trainer, const trainer_step *step);
void titan_trainer_report_end(const titan_trainer *trainer, double seconds);
titan_status titan_trainer_history_append(trainer_history *history, int64_t step, double mean, double max);
void titan_trainer_history_destroy(trainer_history *history);

// Checkpoints: all collective over the mesh. Without checkpoint.enable_checkpoint they do nothing.
// Finds the folder of checkpoints; what cannot work is told before memory is taken.
titan_status titan_trainer_checkpoint_open(titan_trainer *trainer);
// Continues from a checkpoint where there is one.
titan_status titan_trainer_checkpoint_load(titan_trainer *trainer);
// At a step's end: takes note of saves that have ended, and saves when it is time.
titan_status titan_trainer_checkpoint_step(titan_trainer *trainer, const trainer_step *step);
// Waits for a save that is under way, so that what is said of the last good checkpoint holds.
titan_status titan_trainer_checkpoint_settle(titan_trainer *trainer);
// checkpoint.create_seed_checkpoint: step 0.
titan_status titan_trainer_checkpoint_seed(titan_trainer *trainer);
void titan_trainer_checkpoint_destroy(titan_trainer *trainer);

// Not collective. Tells that the checkpoint is of the last step already.
void titan_trainer_checkpoint_log_finished(const titan_trainer *trainer);
// Not collective. This rank's part of what trainer_step agrees on.
bool titan_trainer_checkpoint_is_due(const titan_trainer *trainer);
bool titan_trainer_checkpoint_has_ended(const titan_trainer *trainer);
// For messages: "the last good checkpoint is out/checkpoint/step-10.h5".
const char *titan_trainer_checkpoint_last(const titan_trainer *trainer);

// --- asking a run to end, in trainer_stop.c ---

// Not collective. This rank's part of what trainer_step agrees on: a signal has come, or the dump folder holds a file
// STOP (rank 0 looks).
bool titan_trainer_stop_is_asked(const titan_trainer *trainer);
// Not collective. debug.raise_signal_step: sends this rank its signal, where it is the step and the rank.
void titan_trainer_stop_raise(const titan_trainer *trainer, int64_t step);
// Not collective. Rank 0 removes the file STOP of a run that ends, so that the same command goes on.
void titan_trainer_stop_clear(const titan_trainer *trainer);
// Collective. TITAN_PREEMPTED with what asked, for a run that has been told to end and has saved.
titan_status titan_trainer_stop_error(const titan_trainer *trainer);

// debug.dump_initial_weights: <dump>/weights.txt, a line "name checksum" per parameter, checksums that do not depend on
// the mesh. Collective.
titan_status titan_trainer_dump_weights(titan_trainer *trainer);

#endif
