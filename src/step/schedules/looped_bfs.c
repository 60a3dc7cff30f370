// SPDX-License-Identifier: Apache-2.0
// Breadth-first looped pipeline (Lamy-Poirier, 2023, arXiv 2211.05953): each stage of a rank runs all its forwards
// before the next stage; then the backwards, stages and microbatches in reverse.
#include "step/schedule.h"

const char *titan_schedule_looped_bfs_refuses(int ranks, int per_rank, int microbatches) {
  (void)ranks, (void)per_rank, (void)microbatches;
  return NULL;
}

titan_status titan_schedule_looped_bfs(titan_order *order) {
  for (int stage = 0; stage < order->stages; stage++)
    for (int m = 0; m < order->microbatches; m++)
      TITAN_TRY(titan_order_add(order, order->rank_of_stage[stage], TITAN_COMPUTE_FORWARD, stage, m));
  for (int stage = order->stages - 1; stage >= 0; stage--)
    for (int m = order->microbatches - 1; m >= 0; m--)
      TITAN_TRY(titan_order_add(order, order->rank_of_stage[stage], TITAN_COMPUTE_BACKWARD, stage, m));
  return TITAN_OK;
}
