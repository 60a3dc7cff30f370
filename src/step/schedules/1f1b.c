// SPDX-License-Identifier: Apache-2.0
// 1F1B (PipeDream-Flush, Narayanan et al., 2021, arXiv 2006.09503): as many forwards as stages follow, this one
// included; then a backward and a forward in turn; then the backwards that are left. A rank holds the activations of
// that many microbatches at most.
#include "step/schedule.h"

const char *titan_schedule_1f1b_refuses(int ranks, int per_rank, int microbatches) {
  return microbatches >= ranks * per_rank ? NULL : "it needs at least as many microbatches as stages";
}

static titan_status fill_stage(titan_order *order, int stage) {
  int rank = order->rank_of_stage[stage], n = order->microbatches, following = order->stages - stage;
  int forwards = 0, warm_up = following < n ? following : n;
  for (; forwards < warm_up; forwards++)
    TITAN_TRY(titan_order_add(order, rank, TITAN_COMPUTE_FORWARD, stage, forwards));
  for (int backwards = 0; backwards < n; backwards++) {
    TITAN_TRY(titan_order_add(order, rank, TITAN_COMPUTE_BACKWARD, stage, backwards));
    if (forwards < n)
      TITAN_TRY(titan_order_add(order, rank, TITAN_COMPUTE_FORWARD, stage, forwards++));
  }
  return TITAN_OK;
}

titan_status titan_schedule_1f1b(titan_order *order) {
  for (int stage = 0; stage < order->stages; stage++)
    TITAN_TRY(fill_stage(order, stage));
  return TITAN_OK;
}
