// SPDX-License-Identifier: Apache-2.0
// Forward and backward of one microbatch after another: training without a pipeline, with gradient accumulation where
// there are several microbatches.
#include "step/schedule.h"

const char *titan_schedule_plain_refuses(int ranks, int per_rank, int microbatches) {
  (void)per_rank, (void)microbatches;
  return ranks == 1 ? NULL : "it needs a pipeline of one rank";
}

titan_status titan_schedule_plain(titan_order *order) {
  for (int m = 0; m < order->microbatches; m++) {
    TITAN_TRY(titan_order_add(order, 0, TITAN_COMPUTE_FORWARD, 0, m));
    TITAN_TRY(titan_order_add(order, 0, TITAN_COMPUTE_BACKWARD, 0, m));
  }
  return TITAN_OK;
}
