// SPDX-License-Identifier: Apache-2.0
// DualPipeV (DeepSeek-V3, 2024, arXiv 2412.19437, in the V form of its published code): two stages a rank in a V. A
// forward of one chunk and a backward of the other make a pair that may overlap; here they are two cells, one after the
// other. Backwards are cut in two where a rank would else be idle.
#include "step/schedule.h"

#include "base/memory.h"

const char *titan_schedule_dualpipe_v_refuses(int ranks, int per_rank, int microbatches) {
  return microbatches >= ranks * per_rank ? NULL : "it needs at least twice as many microbatches as ranks";
}

// A rank's cells so far. Its chunk 0 goes down the V, chunk 1 comes up.
typedef struct filler {
  titan_order *order;
  int rank, stages[2];
  int forwards[2], backwards[2]; // so far
  titan_cell *left;              // weight gradients that wait, oldest first
  int left_first, left_end;
} filler;

static titan_status add_forward(filler *f, int chunk) {
  return titan_order_add(f->order, f->rank, TITAN_COMPUTE_FORWARD, f->stages[chunk], f->forwards[chunk]++);
}

// `apart`: the input gradient alone; its weight gradient waits.
static titan_status add_backward(filler *f, int chunk, bool apart) {
  int stage = f->stages[chunk], microbatch = f->backwards[chunk]++;
  if (apart)
    f->left[f->left_end++] =
        (titan_cell){.stage = stage, .microbatch = microbatch, .compute = TITAN_COMPUTE_WEIGHT_GRADIENT};
  return titan_order_add(f->order, f->rank, apart ? TITAN_COMPUTE_INPUT_GRADIENT : TITAN_COMPUTE_BACKWARD, stage,
                         microbatch);
}

// The oldest weight gradient that waits, if any.
static titan_status add_weights(filler *f) {
  if (f->left_first == f->left_end)
    return TITAN_OK;
  titan_cell cell = f->left[f->left_first++];
  return titan_order_add(f->order, f->rank, cell.compute, cell.stage, cell.microbatch);
}

static titan_status fill_warm_up(filler *f) {
  int following = f->order->ranks - 1 - f->rank;
  for (int i = 0; i < 2 * following; i++)
    TITAN_TRY(add_forward(f, 0));
  for (int i = 0; i < f->rank + 1; i++) {
    TITAN_TRY(add_forward(f, 0));
    TITAN_TRY(add_forward(f, 1));
  }
  for (int i = 0; i < following; i++) {
    TITAN_TRY(add_backward(f, 1, true));
    TITAN_TRY(add_weights(f));
    TITAN_TRY(add_forward(f, 1));
  }
  return TITAN_OK;
}

// A forward of a chunk and a backward of the other. beside: they may overlap.
static titan_status add_pair(filler *f, int chunk, bool beside) {
  TITAN_TRY(add_forward(f, chunk));
  TITAN_TRY(add_backward(f, 1 - chunk, false));
  if (beside)
    titan_order_pair(f->order, f->rank);
  return TITAN_OK;
}

// The last rank does not overlap its first pair.
static titan_status fill_steady(filler *f) {
  int following = f->order->ranks - 1 - f->rank;
  for (int i = 0; i < f->order->microbatches - 2 * f->order->ranks + f->rank + 1; i++) {
    TITAN_TRY(add_pair(f, 0, i > 0 || following > 0));
    TITAN_TRY(add_pair(f, 1, true));
  }
  for (int i = 0; i < following; i++) {
    TITAN_TRY(add_backward(f, 1, false));
    TITAN_TRY(add_pair(f, 1, true));
  }
  return TITAN_OK;
}

// From the middle of its last backwards of both chunks on, a rank cuts them in two.
static titan_status fill_cool_down(filler *f) {
  int following = f->order->ranks - 1 - f->rank, pairs = f->rank + 1;
  for (int i = 0; i < 2 * pairs; i++)
    TITAN_TRY(add_backward(f, 1 - i % 2, i >= pairs));
  for (int i = 0; i < following; i++) {
    TITAN_TRY(add_weights(f));
    TITAN_TRY(add_backward(f, 0, true));
  }
  for (int i = 0; i < pairs; i++)
    TITAN_TRY(add_weights(f));
  return TITAN_OK;
}

static titan_status fill_rank(filler *f) {
  TITAN_TRY(fill_warm_up(f));
  TITAN_TRY(fill_steady(f));
  return fill_cool_down(f);
}

titan_status titan_schedule_dualpipe_v(titan_order *order) {
  titan_cell *left;
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_GRAPH, 2 * (size_t)order->microbatches * sizeof *left, &left));
  titan_status status = TITAN_OK;
  for (int rank = 0; rank < order->ranks && status == TITAN_OK; rank++) {
    filler f = {.order = order, .rank = rank, .stages = {rank, 2 * order->ranks - 1 - rank}, .left = left};
    status = fill_rank(&f);
  }
  titan_memory_free(left);
  return status;
}
