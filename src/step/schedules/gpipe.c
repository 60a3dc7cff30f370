// SPDX-License-Identifier: Apache-2.0
// GPipe (Huang et al., 2019, arXiv 1811.06965): all forwards, then all backwards, both in the order of the
// microbatches. A rank holds the activations of all microbatches.
#include "step/schedule.h"

const char *titan_schedule_gpipe_refuses(int ranks, int per_rank, int microbatches) {
  (void)ranks, (void)per_rank, (void)microbatches;
  return NULL;
}

titan_status titan_schedule_gpipe(titan_order *order) {
  for (int stage = 0; stage < order->stages; stage++) {
    int rank = order->rank_of_stage[stage];
    for (int m = 0; m < order->microbatches; m++)
      TITAN_TRY(titan_order_add(order, rank, TITAN_COMPUTE_FORWARD, stage, m));
    for (int m = 0; m < order->microbatches; m++)
      TITAN_TRY(titan_order_add(order, rank, TITAN_COMPUTE_BACKWARD, stage, m));
  }
  return TITAN_OK;
}
