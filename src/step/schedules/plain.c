// Forward and backward of one microbatch after another: training without a pipeline, with gradient accumulation where
// there are several microbatches.
#include "step/schedule.h"

titan_status titan_schedule_plain(titan_order *order) {
  if (order->ranks != 1 || order->stages != 1)
    return titan_error(TITAN_ERROR_USAGE, "the schedule plain has one rank and one stage, not %d and %d", order->ranks,
                       order->stages);
  for (int m = 0; m < order->microbatches; m++) {
    TITAN_TRY(titan_order_add(order, 0, TITAN_COMPUTE_FORWARD, 0, m));
    TITAN_TRY(titan_order_add(order, 0, TITAN_COMPUTE_BACKWARD, 0, m));
  }
  return TITAN_OK;
}
