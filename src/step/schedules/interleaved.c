// SPDX-License-Identifier: Apache-2.0
#include "step/schedules/interleaved.h"

static int rounds_of(int ranks, int microbatches) {
  return microbatches > ranks ? microbatches / ranks : 1;
}

const char *titan_interleaved_refuses(int ranks, int microbatches) {
  return microbatches % rounds_of(ranks, microbatches) == 0
             ? NULL
             : "it needs a number of microbatches that is a multiple of its rounds, which are microbatches / ranks, "
               "rounded down";
}

static titan_cell cell_at(const titan_order *order, int rank, int place, bool backward) {
  int stages = order->stages / order->ranks;
  int round = order->microbatches / rounds_of(order->ranks, order->microbatches);
  int local = place / round % stages;
  return (titan_cell){.stage = rank + order->ranks * (backward ? stages - 1 - local : local),
                      .microbatch = place / (round * stages) * round + place % round,
                      .compute = backward ? TITAN_COMPUTE_BACKWARD : TITAN_COMPUTE_FORWARD};
}

titan_cell titan_interleaved_forward(const titan_order *order, int rank, int place) {
  return cell_at(order, rank, place, false);
}

titan_cell titan_interleaved_backward(const titan_order *order, int rank, int place) {
  return cell_at(order, rank, place, true);
}

int titan_interleaved_warm_up(const titan_order *order, int rank, int ahead) {
  int stages = order->stages / order->ranks, all = stages * order->microbatches;
  int round = order->microbatches / rounds_of(order->ranks, order->microbatches);
  int warm_up = (stages - 1) * round + ahead * (order->ranks - 1 - rank);
  return warm_up < all ? warm_up : all;
}
