// SPDX-License-Identifier: Apache-2.0
// Whether an order of computing can run, before it is lowered: faults are named by rank and cell.
#include "step/order.h"

#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>

// What has been computed of a stage and microbatch.
enum { FORWARD = 1, INPUT_GRADIENT = 2, WEIGHT_GRADIENT = 4 };

typedef struct checker {
  const titan_order *order;
  unsigned char *done; // [stages][microbatches]
  int *next;           // by rank: the next cell
  titan_order_fault *fault;
} checker;

static unsigned char *done_of(const checker *c, int stage, int microbatch) {
  return &c->done[(size_t)stage * (size_t)c->order->microbatches + (size_t)microbatch];
}

static unsigned gives(titan_compute compute) {
  static const unsigned what[TITAN_COMPUTES] = {FORWARD, INPUT_GRADIENT | WEIGHT_GRADIENT, INPUT_GRADIENT,
                                                WEIGHT_GRADIENT};
  return what[compute];
}

static const char *name_of(titan_compute compute) {
  static const char *const names[TITAN_COMPUTES] = {"forward", "backward", "input gradient", "weight gradient"};
  return names[compute];
}

static bool fault_at(const checker *c, int rank, int cell, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

// Returns false, with the fault filled.
static bool fault_at(const checker *c, int rank, int cell, const char *format, ...) {
  va_list arguments;
  c->fault->rank = rank;
  c->fault->cell = cell;
  va_start(arguments, format);
  vsnprintf(c->fault->reason, sizeof c->fault->reason, format, arguments);
  va_end(arguments);
  return false;
}

// A cell by itself and beside those before it on its rank, which has all cells of its stage.
static bool check_cell(const checker *c, int rank, int place) {
  const titan_order *order = c->order;
  const titan_cell *cell = &order->cells[rank][place];
  int stage = cell->stage, m = cell->microbatch;
  if (stage < 0 || stage >= order->stages)
    return fault_at(c, rank, place, "there is no stage %d: the stages are 0 to %d", stage, order->stages - 1);
  if (m < 0 || m >= order->microbatches)
    return fault_at(c, rank, place, "there is no microbatch %d: the microbatches are 0 to %d", m,
                    order->microbatches - 1);
  if (order->rank_of_stage[stage] != rank)
    return fault_at(c, rank, place, "stage %d is on rank %d", stage, order->rank_of_stage[stage]);
  unsigned char *done = done_of(c, stage, m);
  if (*done & gives(cell->compute))
    return fault_at(c, rank, place, "the %s of stage %d and microbatch %d is computed a second time",
                    name_of(cell->compute), stage, m);
  if (cell->compute != TITAN_COMPUTE_FORWARD && !(*done & FORWARD))
    return fault_at(c, rank, place, "the forward of stage %d and microbatch %d must be before its %s", stage, m,
                    name_of(cell->compute));
  if (cell->compute == TITAN_COMPUTE_WEIGHT_GRADIENT && !(*done & INPUT_GRADIENT))
    return fault_at(c, rank, place, "the input gradient of stage %d and microbatch %d must be before its %s", stage, m,
                    name_of(cell->compute));
  *done |= (unsigned char)gives(cell->compute);
  return true;
}

// The last cell of a stage and microbatch on its rank; the end of the cells where there is none.
static int last_cell_of(const titan_order *order, int stage, int microbatch) {
  int rank = order->rank_of_stage[stage], place = order->counts[rank] - 1;
  while (place >= 0 && (order->cells[rank][place].stage != stage || order->cells[rank][place].microbatch != microbatch))
    place--;
  return place >= 0 ? place : order->counts[rank];
}

static bool check_complete(const checker *c, bool backward) {
  for (int stage = 0; stage < c->order->stages; stage++)
    for (int m = 0; m < c->order->microbatches; m++) {
      unsigned missing = (FORWARD | (backward ? INPUT_GRADIENT | WEIGHT_GRADIENT : 0u)) & ~*done_of(c, stage, m);
      if (missing == 0)
        continue;
      return fault_at(c, c->order->rank_of_stage[stage], last_cell_of(c->order, stage, m),
                      "the %s of stage %d and microbatch %d is missing",
                      missing & FORWARD          ? "forward"
                      : missing & INPUT_GRADIENT ? "backward"
                                                 : "weight gradient",
                      stage, m);
    }
  return true;
}

// What the next cell of a rank waits for; NULL: it can run.
static const titan_cell *waits_for(const checker *c, int rank, titan_cell needs[2]) {
  int count = titan_order_needs(c->order, &c->order->cells[rank][c->next[rank]], needs);
  for (int i = 0; i < count; i++)
    if (!(*done_of(c, needs[i].stage, needs[i].microbatch) &
          (needs[i].compute == TITAN_COMPUTE_FORWARD ? FORWARD : INPUT_GRADIENT)))
      return &needs[i];
  return NULL;
}

// Each rank in turn runs until it must wait, until none can.
static bool dry_run(const checker *c) {
  const titan_order *order = c->order;
  titan_cell needs[2];
  for (size_t i = 0; i < (size_t)order->stages * (size_t)order->microbatches; i++)
    c->done[i] = 0;
  for (bool any = true; any;) {
    any = false;
    for (int rank = 0; rank < order->ranks; rank++)
      for (; c->next[rank] < order->counts[rank] && waits_for(c, rank, needs) == NULL; c->next[rank]++) {
        const titan_cell *cell = &order->cells[rank][c->next[rank]];
        *done_of(c, cell->stage, cell->microbatch) |= (unsigned char)gives(cell->compute);
        any = true;
      }
  }
  for (int rank = 0; rank < order->ranks; rank++) {
    if (c->next[rank] == order->counts[rank])
      continue;
    const titan_cell *need = waits_for(c, rank, needs);
    return fault_at(c, rank, c->next[rank],
                    "the order deadlocks: this waits for the %s of stage %d and microbatch %d, which rank %d cannot "
                    "reach",
                    need->compute == TITAN_COMPUTE_FORWARD ? "forward" : "gradient", need->stage, need->microbatch,
                    order->rank_of_stage[need->stage]);
  }
  return true;
}

titan_status titan_order_check(const titan_order *order, bool backward, titan_order_fault *fault) {
  checker c = {.order = order, .fault = fault};
  titan_status status = TITAN_OK;
  *fault = (titan_order_fault){0};
  bool good = true;
  TITAN_TRY_CLEANUP(
      titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, (size_t)order->stages, (size_t)order->microbatches, &c.done));
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, (size_t)order->ranks, sizeof(int), &c.next));
  for (int rank = 0; good && rank < order->ranks; rank++)
    for (int i = 0; good && i < order->counts[rank]; i++)
      good = check_cell(&c, rank, i);
  if (good && check_complete(&c, backward) && dry_run(&c))
    *fault = (titan_order_fault){0};
cleanup:
  titan_memory_free(c.done);
  titan_memory_free(c.next);
  return status;
}
