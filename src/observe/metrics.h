// SPDX-License-Identifier: Apache-2.0
// The run's numbers as a file: <dump>/metrics.h5, one extendible one-dimensional float64 dataset a quantity. Series of
// rows are in it: one row a logged step, one row a validation, and one row a rank and logged step. Every tool that
// reads HDF5 can read it at any instant: while rows are added, after a kill, and as SWMR reader that keeps it open.
//
// HDF5 makes the file, with room for the rows to come, and is not used on it again: a row's values are written to their
// places, then the datasets' lengths are set. No instant of that leaves a file that HDF5 refuses. Behind the end of the
// HDF5 part lie the rows once more, each with a checksum; a run that resumes reads those, as a damaged HDF5 file can
// keep HDF5 busy for ever.
#ifndef TITAN_OBSERVE_METRICS_H
#define TITAN_OBSERVE_METRICS_H

#include "base/status.h"

#include <stdint.h>

// dataset and member, unit, description
#define TITAN_METRICS_LIST(X)                                                                                          \
  X(step, "1", "number of the optimizer step, from 1")                                                                 \
  X(loss, "nat", "mean cross-entropy over all ranks, of the steps since the row before")                               \
  X(loss_max, "nat", "largest mean cross-entropy of one rank in one step, of the steps since the row before")          \
  X(grad_norm, "1", "global L2 norm of the gradient before clipping")                                                  \
  X(lr, "1", "learning rate of the step")                                                                              \
  X(tokens, "token", "tokens trained on since the first step, all ranks together")                                     \
  X(seconds, "s", "wall time of the step")                                                                             \
  X(tps, "token/s", "tokens per second and device, since the row before")                                              \
  X(mfu, "%", "model FLOP/s as a share of the peak")                                                                   \
  X(memory, "GiB", "peak of the memory that rank 0 allocated")                                                         \
  X(elapsed, "s", "wall time of training since the first step, over all starts of the run")                            \
  X(node_hours, "h", "that time multiplied by the number of nodes")                                                    \
  X(tflops, "TFLOP/s", "model arithmetic per second and device")                                                       \
  X(time_left, "s", "wall time to the last step, at the mean pace of this start")                                      \
  X(data_loading, "s", "time that a step waits for its batch, on the rank that waits longest, mean of the steps")      \
  X(exposed, "s", "time that a step spends in communication that nothing hides, mean of the steps and ranks")          \
  X(busy_mean, "s", "time of a step without communication, mean of the steps and ranks")                               \
  X(busy_max, "s", "the same, of the slowest rank")                                                                    \
  X(slowest_rank, "1", "the rank whose steps take longest without communication")                                      \
  X(memory_max, "GiB", "peak of the memory that a rank allocated, of the rank that allocated most")

typedef struct titan_metrics_row {
#define TITAN_METRICS_MEMBER(name, unit, description) double name;
  TITAN_METRICS_LIST(TITAN_METRICS_MEMBER)
#undef TITAN_METRICS_MEMBER
} titan_metrics_row;

// The same for validations; the datasets' names begin with validation_.
#define TITAN_METRICS_VALIDATION_LIST(X)                                                                               \
  X(step, "1", "number of optimizer steps behind the weights")                                                         \
  X(loss, "nat", "mean cross-entropy over all tokens of the validation")                                               \
  X(tokens, "token", "tokens of the validation that were counted, all ranks together")

typedef struct titan_metrics_validation_row {
#define TITAN_METRICS_MEMBER(name, unit, description) double name;
  TITAN_METRICS_VALIDATION_LIST(TITAN_METRICS_MEMBER)
#undef TITAN_METRICS_MEMBER
} titan_metrics_validation_row;

// The same for single ranks, of which one row each is written at a logged step; the datasets' names begin with rank_.
#define TITAN_METRICS_RANK_LIST(X)                                                                                     \
  X(step, "1", "number of the optimizer step, from 1")                                                                 \
  X(number, "1", "the rank, from 0")                                                                                   \
  X(loss_max, "nat",                                                                                                   \
    "largest mean cross-entropy of the rank in one step, of the steps since the rows before; 0 on "                    \
    "ranks without the pipeline's last stage")                                                                         \
  X(seconds, "s", "wall time of a step, mean of the steps since the rows before")                                      \
  X(busy, "s", "time of a step without communication, mean of these steps")                                            \
  X(exposed, "s", "time of a step in communication that nothing hides, mean of these steps")                           \
  X(data_loading, "s", "time that a step waits for its batch, mean of these steps")                                    \
  X(memory, "GiB", "peak of the memory that the rank allocated")

typedef struct titan_metrics_rank_row {
#define TITAN_METRICS_MEMBER(name, unit, description) double name;
  TITAN_METRICS_RANK_LIST(TITAN_METRICS_MEMBER)
#undef TITAN_METRICS_MEMBER
} titan_metrics_rank_row;

// What a file says of its run: attributes of its root group.
typedef struct titan_metrics_attribute {
  const char *name, *value;
} titan_metrics_attribute;

typedef struct titan_metrics_options {
  const char *path;
  int64_t first_step;                        // rows of steps before it stay; 0: a new run, of which none does
  int64_t first_validation;                  // the same for rows of validations, where first_step is above 0
  uint64_t expected_rows;                    // the file has room for so many; more are possible
  uint64_t expected_validations;             // the same for rows of validations
  uint64_t expected_rank_rows;               // the same for rows of single ranks
  const titan_metrics_attribute *attributes; // their texts are borrowed for as long as the object lives
  int attribute_count;
} titan_metrics_options;

typedef struct titan_metrics titan_metrics;

// Not collective; one process of the run, one thread. Makes missing folders and the file. A file that is there is
// continued where first_step is above 0, in a new file that replaces it in one rename: whoever reads the old one keeps
// it. The file of an earlier run is kept under a number (metrics.1.h5), and the log says so; so is one that cannot be
// continued, with a warning.
// TITAN_ERROR_OUTPUT with the path and the reason where the file cannot be made; *out is valid nevertheless, and later
// rows try again. TITAN_ERROR_MEMORY: *out is NULL.
titan_status titan_metrics_create(const titan_metrics_options *options, titan_metrics **out);

// The last row of an earlier start of this run; NULL where there is none. Valid until the object is destroyed.
const titan_metrics_row *titan_metrics_last_before(const titan_metrics *metrics);
// The same for validations.
const titan_metrics_validation_row *titan_metrics_last_validation_before(const titan_metrics *metrics);
// Mean mfu of the rows before, weighted with their time; 0 where there is none.
double titan_metrics_mfu_before(const titan_metrics *metrics);

// Adds a row and brings it to the file. /step is written last: as many rows as /step has are whole in every dataset.
// TITAN_ERROR_OUTPUT with the path and the reason (a full disk, say): the row is kept, and written with the next one
// that can be.
titan_status titan_metrics_append(titan_metrics *metrics, const titan_metrics_row *row);
// The same for a row of a validation, with /validation_step.
titan_status titan_metrics_append_validation(titan_metrics *metrics, const titan_metrics_validation_row *row);

// The same for the rows of `count` ranks.
titan_status titan_metrics_append_ranks(titan_metrics *metrics, const titan_metrics_rank_row *rows, uint64_t count);

// Rows of all kinds that could not be written so far.
uint64_t titan_metrics_pending(const titan_metrics *metrics);

// Frees it; NULL is fine. Clears *metrics. The file is complete without this.
void titan_metrics_destroy(titan_metrics **metrics);

// Reads the rows of a file, also of one that is being written, or whose writer was killed; without HDF5. The caller
// frees *rows with titan_memory_free. TITAN_ERROR_OUTPUT with the path and the reason, also when it is damaged.
titan_status titan_metrics_read(const char *path, titan_metrics_row **rows, uint64_t *count);
// The same for rows of validations; a file of an earlier version has none.
titan_status titan_metrics_read_validations(const char *path, titan_metrics_validation_row **rows, uint64_t *count);
// The same for rows of single ranks.
titan_status titan_metrics_read_ranks(const char *path, titan_metrics_rank_row **rows, uint64_t *count);

#endif
