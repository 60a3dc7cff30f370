// SPDX-License-Identifier: Apache-2.0
// What an order would take, from times that are given for its parts: a simulation of all ranks, without running.
#ifndef TITAN_STEP_PREDICT_H
#define TITAN_STEP_PREDICT_H

#include "step/order.h"

// Times of what is computed, and of transfers, in one unit for all (seconds).
typedef struct titan_step_times {
  // [stages][TITAN_COMPUTES], of one microbatch. A unit that computes its backward in its forward adds it to FORWARD.
  const double (*compute)[TITAN_COMPUTES];
  // [ranks][cells of the rank]: of each cell by itself, in place of its stage's time; NULL: cells take what stages
  // take.
  const double *const *cells;
  double pair;     // of a pair's two cells: the share of their sum that both take side by side; 0: one after the other
  double transfer; // from the end of a cell until what it gives is on another rank; a rank does not wait for its sends
} titan_step_times;

typedef struct titan_span {
  double begin, end;
} titan_span;

typedef struct titan_predicted_rank {
  titan_span *spans;  // owned: [cells of the rank]
  double busy, idle;  // their sum is the makespan
  int most_in_flight; // forwards at once whose backward, weight gradients included, has not ended: of one stage each
} titan_predicted_rank;

typedef struct titan_prediction {
  int rank_count;
  titan_predicted_rank *ranks; // owned
  double makespan;             // from the first cell's begin to the last one's end
} titan_prediction;

// Each rank computes its cells in their order, each as soon as the rank is free and what it needs has come. The order
// has passed titan_order_check (else TITAN_ERROR_INTERNAL where it cannot run). Side by side, a pair begins when what
// both need has come, and what both give is there at its end; TITAN_ERROR_USAGE where pairs wait for each other.
// TITAN_ERROR_MEMORY.
titan_status titan_step_predict(const titan_order *order, const titan_step_times *times, titan_prediction *out);
void titan_prediction_destroy(titan_prediction *prediction);

// Idle time of all ranks over ranks times makespan: the bubble; 0 where nothing takes time.
double titan_prediction_bubble(const titan_prediction *prediction);

// A line a rank: busy and idle time as shares of the makespan, and microbatches in flight.
titan_status titan_prediction_print(const titan_prediction *prediction, titan_text *text);

#endif
