// SPDX-License-Identifier: Apache-2.0
// Forwards alone, for validation: each rank runs its stages for one microbatch after another.
#include "step/schedule.h"

const char *titan_schedule_forward_only_refuses(int ranks, int per_rank, int microbatches) {
  (void)ranks, (void)per_rank, (void)microbatches;
  return NULL;
}

titan_status titan_schedule_forward_only(titan_order *order) {
  for (int m = 0; m < order->microbatches; m++)
    for (int stage = 0; stage < order->stages; stage++)
      TITAN_TRY(titan_order_add(order, order->rank_of_stage[stage], TITAN_COMPUTE_FORWARD, stage, m));
  return TITAN_OK;
}
