// SPDX-License-Identifier: Apache-2.0
// ZB-V (Qi et al., 2023, arXiv 2401.10241, section 6): two stages a rank in a V, so that the last stage is on rank 0.
// The order is made for at least 2 * ranks - 1 microbatches; those that there are not are left out.
#include "step/schedule.h"

const char *titan_schedule_zbv_zero_bubble_refuses(int ranks, int per_rank, int microbatches) {
  (void)ranks, (void)per_rank, (void)microbatches;
  return NULL;
}

// A rank's cells so far. Its chunk 0 goes down the V, chunk 1 comes up.
typedef struct filler {
  titan_order *order;
  int rank, stages[2];
  int next[2][TITAN_COMPUTES]; // microbatch
} filler;

static titan_status add(filler *f, int chunk, titan_compute compute) {
  int microbatch = f->next[chunk][compute]++;
  return microbatch < f->order->microbatches ? titan_order_add(f->order, f->rank, compute, f->stages[chunk], microbatch)
                                             : TITAN_OK;
}

static titan_status add_forward(filler *f, int chunk) {
  return add(f, chunk, TITAN_COMPUTE_FORWARD);
}

static titan_status add_backward(filler *f, int chunk, bool weights) {
  TITAN_TRY(add(f, chunk, TITAN_COMPUTE_INPUT_GRADIENT));
  return weights ? add(f, chunk, TITAN_COMPUTE_WEIGHT_GRADIENT) : TITAN_OK;
}

static titan_status fill_warm_up(filler *f, int ranks) {
  for (int i = 0; i < 2 * (ranks - f->rank) - 1; i++)
    TITAN_TRY(add_forward(f, 0));
  for (int i = 0; i < f->rank; i++) {
    TITAN_TRY(add_forward(f, 1));
    TITAN_TRY(add_forward(f, 0));
  }
  for (int i = 0; i < ranks - f->rank; i++) {
    TITAN_TRY(add_forward(f, 1));
    TITAN_TRY(add_backward(f, 1, true));
  }
  return TITAN_OK;
}

static titan_status fill_steady(filler *f, int microbatches) {
  const int *down = &f->next[0][TITAN_COMPUTE_FORWARD], *up = &f->next[1][TITAN_COMPUTE_FORWARD];
  while (*up < *down || *down < microbatches) {
    if (*down < microbatches)
      TITAN_TRY(add_forward(f, 0));
    TITAN_TRY(add_backward(f, 0, true));
    TITAN_TRY(add_forward(f, 1));
    TITAN_TRY(add_backward(f, 1, true));
  }
  return TITAN_OK;
}

static titan_status fill_cool_down(filler *f, int ranks) {
  for (int i = 0; i < f->rank; i++) {
    TITAN_TRY(add_backward(f, 0, false));
    TITAN_TRY(add_backward(f, 1, false));
  }
  for (int i = 0; i < ranks - f->rank; i++)
    TITAN_TRY(add_backward(f, 0, true));
  for (int chunk = 1; chunk >= 0; chunk--)
    while (f->next[chunk][TITAN_COMPUTE_WEIGHT_GRADIENT] < f->next[chunk][TITAN_COMPUTE_INPUT_GRADIENT])
      TITAN_TRY(add(f, chunk, TITAN_COMPUTE_WEIGHT_GRADIENT));
  return TITAN_OK;
}

titan_status titan_schedule_zbv_zero_bubble(titan_order *order) {
  int ranks = order->ranks, fewest = 2 * ranks - 1;
  for (int rank = 0; rank < ranks; rank++) {
    filler f = {.order = order, .rank = rank, .stages = {rank, 2 * ranks - 1 - rank}};
    TITAN_TRY(fill_warm_up(&f, ranks));
    TITAN_TRY(fill_steady(&f, order->microbatches > fewest ? order->microbatches : fewest));
    TITAN_TRY(fill_cool_down(&f, ranks));
  }
  return TITAN_OK;
}
