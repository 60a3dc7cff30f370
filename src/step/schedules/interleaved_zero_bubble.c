// SPDX-License-Identifier: Apache-2.0
// Interleaved zero bubble (ZB-H1 of Qi et al., 2023, arXiv 2401.10241, with several stages a rank): backwards in two
// parts. From input gradient number rank + 1 on, each is followed by the oldest weight gradient that is left, so that
// weight gradients fill what would be idle time at the end.
#include "step/schedules/interleaved.h"

const char *titan_schedule_interleaved_zero_bubble_refuses(int ranks, int per_rank, int microbatches) {
  (void)per_rank;
  return titan_interleaved_refuses(ranks, microbatches);
}

static titan_status add(titan_order *order, int rank, titan_compute compute, titan_cell cell) {
  return titan_order_add(order, rank, compute, cell.stage, cell.microbatch);
}

static titan_status fill_rank(titan_order *order, int rank) {
  int all = order->stages / order->ranks * order->microbatches, forwards = 0, weights = 0;
  for (; forwards < titan_interleaved_warm_up(order, rank, 1); forwards++)
    TITAN_TRY(add(order, rank, TITAN_COMPUTE_FORWARD, titan_interleaved_forward(order, rank, forwards)));
  for (int backwards = 0; backwards < all; backwards++) {
    if (forwards < all)
      TITAN_TRY(add(order, rank, TITAN_COMPUTE_FORWARD, titan_interleaved_forward(order, rank, forwards++)));
    TITAN_TRY(add(order, rank, TITAN_COMPUTE_INPUT_GRADIENT, titan_interleaved_backward(order, rank, backwards)));
    if (backwards >= rank)
      TITAN_TRY(add(order, rank, TITAN_COMPUTE_WEIGHT_GRADIENT, titan_interleaved_backward(order, rank, weights++)));
  }
  while (weights < all)
    TITAN_TRY(add(order, rank, TITAN_COMPUTE_WEIGHT_GRADIENT, titan_interleaved_backward(order, rank, weights++)));
  return TITAN_OK;
}

titan_status titan_schedule_interleaved_zero_bubble(titan_order *order) {
  for (int rank = 0; rank < order->ranks; rank++)
    TITAN_TRY(fill_rank(order, rank));
  return TITAN_OK;
}
