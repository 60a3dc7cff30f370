// SPDX-License-Identifier: Apache-2.0
#ifndef TITAN_TRAIN_TRAINER_PRIVATE_H
#define TITAN_TRAIN_TRAINER_PRIVATE_H

#include "base/size.h"
#include "data/corpus.h"
#include "data/loader.h"
#include "data/validation.h"
#include "observe/energy.h"
#include "observe/metrics.h"
#include "observe/report.h"
#include "setup/setup.h"
#include "storage/lock.h"
#include "train/trainer.h"

// What has gathered since the last line of the log.
typedef struct trainer_window {
  double loss_sum; // of the steps' mean losses, alike on all ranks: no reduction, so no rounding on the way
  double loss_max; // of this rank's mean losses
  double seconds, data_seconds, exposed_seconds; // of this rank's steps
  int64_t steps, restored;                       // of them before this run resumed
  double start;                                  // clock
} trainer_window;

// One step's numbers.
typedef struct trainer_step {
  int64_t step;
  double local_loss; // mean over this rank's tokens
  double loss;       // mean over all tokens
  double grad_norm;
  double seconds;
  double data_seconds;          // of these, waiting for the batch
  double exposed_seconds;       // of these, in communication that nothing hides
  uint64_t communication_bytes; // payload that this rank moved, as titan_comm_traffic counts it
  // What the ranks agree on with the step's numbers.
  bool same_tokens; // within each tp group
  bool stop;        // a signal asks for the end
  bool save_due;    // checkpoint.interval seconds have passed
  bool save_ended;  // every rank's part of the save under way is over
} trainer_step;

// What a rank tells all others of a log step: numbers of type float64 alone, which one collective gathers.
typedef struct trainer_rank_part {
  titan_metrics_rank_row row;
  double seconds, tps, elapsed, node_hours, time_left; // by this rank's clock and files, as in titan_metrics_row
} trainer_rank_part;

// The loss as logged, on rank 0, for the checkpoints.
typedef struct trainer_history {
  int64_t count, capacity;
  int64_t *steps;
  double *mean, *max;
} trainer_history;

// What a run says of itself, in the log's head and in metrics.h5; rank 0.
typedef struct trainer_about {
  titan_text version, commit, command, hosts, ranks, job, date, configuration, optimizer, schedule;
} trainer_about;

// What is needed for the report of a start of the run, and of the whole.
typedef struct trainer_totals {
  double start;          // clock, when the training began
  double first_step_end; // clock; 0 before
  int nodes;
  titan_energy *energy; // the first rank of a node; NULL where it cannot be read
  double joule_before;  // when the training began
} trainer_totals;

// The time that the job has (trainer_time.c); rank 0's.
typedef struct trainer_limit {
  double end;                        // clock, when it is over; INFINITY: not known
  const char *source;                // what tells it
  double step_seconds, save_seconds; // of the slowest of the last steps and saves; 0: there was none
} trainer_limit;

// What the files of earlier starts tell of them, on rank 0.
typedef struct trainer_before {
  bool is_known;
  double elapsed, node_hours, mfu; // mfu: mean over that time
  int64_t validated_step;          // the last one; -1: none
} trainer_before;

typedef struct trainer_checkpoint trainer_checkpoint;
typedef struct trainer_observers trainer_observers;

struct titan_trainer {
  titan_trainer_environment env;
  titan_optimizer_options optimizer;
  titan_corpus *corpus;
  uint64_t corpus_fingerprint;
  titan_corpus *validation_corpus; // with validation.enabled
  titan_validation_data *validation_data;
  int64_t validated_step; // the last step whose weights were validated; -1: none
  titan_optimizer_step_state optimizer_step;
  titan_loader *loader;
  titan_runtime *runtime;
  trainer_observers *observers;
  trainer_before before;
  titan_lock *lock; // rank 0: on the dump folder
  int rank, dp;     // in the world; data-parallel ranks
  double flops_per_token, peak_flops;
  int64_t begun;                    // steps that the device has been asked for
  double step_start;                // clock, of the step that ends next
  double step_exposed;              // titan_comm_exposed_seconds_of_all then
  uint64_t step_bytes;              // titan_comm_bytes_of_all then
  double data_seconds;              // waiting for batches, since then
  int64_t step, tokens;             // finished; tokens of all ranks
  int64_t first_step, first_tokens; // finished before this run
  trainer_window window;
  trainer_history history;
  trainer_checkpoint *checkpoint; // NULL without checkpoint.enable_checkpoint
  trainer_about about;
  trainer_totals totals;
  trainer_limit limit;
  trainer_rank_part *parts;      // by rank of the world: the latest log step's
  titan_metrics_rank_row *ranks; // the rows of these
  titan_status put_off;          // see titan_trainer_put_off
  titan_kept_error put_off_error;
  bool color;
};

static inline titan_comm *titan_trainer_world(const titan_trainer *trainer) {
  return titan_mesh_comm(trainer->env.mesh, TITAN_MESH_WORLD);
}

// `gib` as a share of the memory that a rank of this node has.
static inline double titan_trainer_memory_percent(const titan_trainer *trainer, double gib) {
  const titan_topology *topology = trainer->env.topology;
  return 100 * gib * TITAN_GIB / ((double)topology->node_bytes / topology->node_size);
}

// Collective. What only the ranks of the last pipeline stage know, and others have as 0, for all of a pipeline.
titan_status titan_trainer_add_over_pipeline(const titan_trainer *trainer, const double *mine, double *all,
                                             size_t count);

// Collective. training.record_steps: decides, alike on all ranks, whether steps are recorded. TITAN_ERROR_USAGE where
// they are to be and cannot.
titan_status titan_trainer_ask_open(titan_trainer *trainer);
// Collective. Has the device asked for all of a step, whose batch is there; the host does not wait for it.
titan_status titan_trainer_ask(titan_trainer *trainer, int64_t step);

// Collective. debug.dump_plan of a pipeline: the latest step as it was, into the log and a drawing.
titan_status titan_trainer_write_measured(titan_trainer *trainer);
static inline bool titan_trainer_is_pipeline(const titan_trainer *trainer) {
  return titan_mesh_degree(trainer->env.mesh, TITAN_MESH_PP) > 1;
}

// Sequences that this rank takes in a step: so many lanes of the data are its own.
static inline int64_t titan_trainer_lanes(const titan_trainer *trainer) {
  const titan_runtime_options *options = titan_runtime_options_of(trainer->runtime);
  return options->microbatches * options->shape.batch;
}

// Collective. Finds the corpus on rank 0 for all; the ranks compare what they have of it, and look at how each file
// begins. What is wrong is told before memory is taken: TITAN_ERROR_USAGE, TITAN_ERROR_DATA.
titan_status titan_trainer_open_corpus(titan_trainer *trainer);
// Collective. Starts reading.
titan_status titan_trainer_open_loader(titan_trainer *trainer);

// A hash of `count` tokens of this rank's buffers and their labels: a whole number below 2^TITAN_NUMBERS_HASH_BITS, so
// that sums of it over a million ranks are exact.
double titan_trainer_hash_batch(const titan_trainer *trainer, size_t count);
// The error when those of ranks that work on the same sequences are not the same (titan_numbers_agree).
titan_status titan_trainer_tokens_differ(const titan_trainer *trainer, int64_t step);

// Collective. Reads the validation corpus as far as its first text, where validation is enabled.
titan_status titan_trainer_validation_open(titan_trainer *trainer);
// Collective. The loss on the validation corpus with the present weights, which the observers are told: every
// validation.freq steps, and at the run's end; never twice for the same step. *stop becomes true, on all ranks, where
// the run is asked to end: then the validation is left out. Without validation.enabled it does nothing.
titan_status titan_trainer_validate(titan_trainer *trainer, bool at_end, bool *stop);
// Collective. Which step earlier starts of the run validated last, as metrics.h5 tells.
titan_status titan_trainer_validation_resume(titan_trainer *trainer);

// Rank 0: takes the dump folder for this run, and begins the log in it. Collective.
titan_status titan_trainer_lock_outputs(titan_trainer *trainer);
// The files in it, on rank 0, which a run that resumes continues, and the observers. None of them ends a run: a file
// that is in the way is moved aside, one that cannot be written is missing, each with a warning. Collective.
titan_status titan_trainer_open_outputs(titan_trainer *trainer);
// Not collective. For files of which a run does not depend: an output error becomes a warning, all else passes.
titan_status titan_trainer_by_product(titan_status status);
// Not collective. Writes <dump>/name whole. What is there is replaced, or, where it is no regular file, moved aside;
// with `keep` always. TITAN_ERROR_OUTPUT with the path and the reason.
titan_status titan_trainer_write_file(const titan_trainer *trainer, const char *name, bool keep,
                                      const titan_text *text);

// Not collective. With profiling.enable_memory_snapshot: a snapshot of the memory that could not be had, which the
// present error tells of afterwards.
void titan_trainer_memory_ran_out(const titan_trainer *trainer);

// Collective. What the run is, on rank 0; and the head of the log.
titan_status titan_trainer_about_create(titan_trainer *trainer);
void titan_trainer_about_destroy(trainer_about *about);
enum { TITAN_TRAINER_ATTRIBUTES = 10 };
// The same for metrics.h5; the texts are borrowed.
void titan_trainer_about_attributes(const trainer_about *about,
                                    titan_metrics_attribute attributes[TITAN_TRAINER_ATTRIBUTES]);

// Collective. TITAN_ERROR_NUMBERS on all ranks where the step's loss or gradient norm is not finite, with what
// debug.find_nonfinite finds; TITAN_ERROR_DATA where the tokens of a tp group differ.
titan_status titan_trainer_check_numbers(titan_trainer *trainer, const trainer_step *step);

// Not collective. An error of this rank alone, in what no other rank waits for, waits for the next time that the ranks
// agree: the next step's begin, or the run's end. The first one counts.
void titan_trainer_put_off(titan_trainer *trainer, titan_status status);
// Not collective. That error, as the present one, or TITAN_OK.
titan_status titan_trainer_put_off_until_now(const titan_trainer *trainer);

// Adds a step to the window, and tells the observers of it, at log steps of the window too. Collective.
titan_status titan_trainer_report(titan_trainer *trainer, const trainer_step *step);
// Before the first step, and after the last one or the one at which a signal came (then not `complete`). Collective.
titan_status titan_trainer_report_begin(titan_trainer *trainer);
titan_status titan_trainer_report_end(titan_trainer *trainer, bool complete);
// Not collective. Tells the observers that the run ends with the present error.
void titan_trainer_report_failure(titan_trainer *trainer);
titan_status titan_trainer_history_append(trainer_history *history, int64_t step, double mean, double max);
void titan_trainer_history_destroy(trainer_history *history);

// Checkpoints: all collective over the mesh. Without checkpoint.enable_checkpoint they do nothing.
// Finds the folder of checkpoints; what cannot work is told before memory is taken.
titan_status titan_trainer_checkpoint_open(titan_trainer *trainer);
// Not collective. Whether titan_trainer_checkpoint_load takes the weights from a file, or fails.
bool titan_trainer_checkpoint_loads(const titan_trainer *trainer);
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
// Not collective. Whether a checkpoint is saved, or the validation loss computed, after the step whatever happens.
bool titan_trainer_checkpoint_is_numbered(const titan_trainer *trainer, int64_t step);
bool titan_trainer_validation_is_numbered(const titan_trainer *trainer, int64_t step);
// For messages: "the last good checkpoint is out/checkpoint/step-10.h5".
const char *titan_trainer_checkpoint_last(const titan_trainer *trainer);

// Of a whole checkpoint's file.
double titan_trainer_checkpoint_bytes(const titan_trainer *trainer);

// --- the time that the job has, in trainer_time.c: not collective ---

// Before the first step.
void titan_trainer_time_begin(titan_trainer *trainer);
void titan_trainer_time_note_step(titan_trainer *trainer, double seconds);
void titan_trainer_time_note_save(titan_trainer *trainer, double seconds);
// Seconds that two steps, a save and the run's end take at most, as far as is known.
double titan_trainer_time_needed(const titan_trainer *trainer);
// Whether less than that is left.
bool titan_trainer_time_is_up(const titan_trainer *trainer);

// --- asking a run to end, in trainer_stop.c ---

// Not collective. This rank's part of what trainer_step agrees on: a signal has come; and of rank 0: the dump
// folder holds a file STOP, or the job's time is nearly over.
bool titan_trainer_stop_is_asked(const titan_trainer *trainer);
// Not collective. Rank 0 removes the file STOP of a run that ends, so that the same command goes on.
void titan_trainer_stop_clear(const titan_trainer *trainer);
// Collective. TITAN_PREEMPTED with what asked, for a run that has been told to end and has saved.
titan_status titan_trainer_stop_error(const titan_trainer *trainer);

// debug.dump_initial_weights: <dump>/weights.txt, a line "name checksum" per parameter, checksums that do not depend on
// the mesh. Collective.
titan_status titan_trainer_dump_weights(titan_trainer *trainer);

#endif
