// SPDX-License-Identifier: Apache-2.0
// Interleaved 1F1B (Narayanan et al., 2021, arXiv 2104.04473), for any number of microbatches that makes equal rounds:
// warm-up, then a forward and a backward in turn, then the backwards that are left.
#include "step/schedules/interleaved.h"

const char *titan_schedule_interleaved_1f1b_refuses(int ranks, int per_rank, int microbatches) {
  (void)per_rank;
  return titan_interleaved_refuses(ranks, microbatches);
}

static titan_status add(titan_order *order, int rank, titan_cell cell) {
  return titan_order_add(order, rank, cell.compute, cell.stage, cell.microbatch);
}

static titan_status fill_rank(titan_order *order, int rank) {
  int all = order->stages / order->ranks * order->microbatches, forwards = 0;
  for (; forwards < titan_interleaved_warm_up(order, rank, 2); forwards++)
    TITAN_TRY(add(order, rank, titan_interleaved_forward(order, rank, forwards)));
  for (int backwards = 0; backwards < all; backwards++) {
    if (forwards < all)
      TITAN_TRY(add(order, rank, titan_interleaved_forward(order, rank, forwards++)));
    TITAN_TRY(add(order, rank, titan_interleaved_backward(order, rank, backwards)));
  }
  return TITAN_OK;
}

titan_status titan_schedule_interleaved_1f1b(titan_order *order) {
  for (int rank = 0; rank < order->ranks; rank++)
    TITAN_TRY(fill_rank(order, rank));
  return TITAN_OK;
}
