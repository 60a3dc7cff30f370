// SPDX-License-Identifier: Apache-2.0
// What a run came to, of its rows.
#ifndef TITAN_REPORT_RESULTS_H
#define TITAN_REPORT_RESULTS_H

#include "report/run.h"

// name, text, unit
#define TITAN_RESULT_LIST(X)                                                                                           \
  X(steps, "Steps", "")                                                                                                \
  X(tokens, "Tokens", "")                                                                                              \
  X(elapsed, "Time of training", "s")                                                                                  \
  X(node_hours, "Node-hours", "h")                                                                                     \
  X(loss, "Training loss, last", "nat")                                                                                \
  X(loss_least, "Training loss, smallest", "nat")                                                                      \
  X(loss_least_step, "… at step", "")                                                                                  \
  X(validation, "Validation loss, last", "nat")                                                                        \
  X(validation_least, "Validation loss, smallest", "nat")                                                              \
  X(validation_least_step, "… at step", "")                                                                            \
  X(rate, "Throughput, all devices, mean", "token/s")                                                                  \
  X(tps, "Throughput of a device, mean", "token/s")                                                                    \
  X(mfu, "Model FLOP/s utilization, mean", "%")                                                                        \
  X(memory, "Memory, peak of a rank", "GiB")                                                                           \
  X(grad_norm_most, "Gradient norm, largest", "")

typedef enum titan_result {
#define TITAN_RESULT_ENUM(name, text, unit) TITAN_RESULT_##name,
  TITAN_RESULT_LIST(TITAN_RESULT_ENUM)
#undef TITAN_RESULT_ENUM
      TITAN_RESULTS
} titan_result;

typedef struct titan_result_row {
  const char *name, *text, *unit;
} titan_result_row;

extern const titan_result_row titan_result_table[TITAN_RESULTS];

// results[]: NaN where the run does not tell. Means weigh each row with its time.
void titan_results_of(const titan_run *run, double results[TITAN_RESULTS]);

// Where the time of training went, in seconds. A step is computation, data and communication; what its ranks wait for
// each other is communication.
typedef struct titan_time_split {
  double computation;   // mean of the ranks; with everything that is neither of the next two
  double data;          // of the rank that waits longest for its batches
  double communication; // that nothing hides, mean of the ranks
  double between;       // from one step to the next: validation, saves, the start of the first step
  double steps;         // number of steps that the above holds of
  double imbalance;     // share of the above three: the slowest rank's time without communication, less the mean
} titan_time_split;

// All NaN where the rows do not have these columns.
void titan_time_split_of(const titan_run *run, titan_time_split *split);

#endif
