// SPDX-License-Identifier: Apache-2.0
#include "step/order.h"

#include "base/memory.h"

titan_status titan_order_create(int ranks, int stages, int microbatches, titan_order *out) {
  titan_status status = TITAN_OK;
  size_t count = (size_t)ranks;
  *out = (titan_order){.ranks = ranks, .stages = stages, .microbatches = microbatches};
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, (size_t)stages, sizeof(int), &out->rank_of_stage));
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, count, sizeof(titan_cell *), &out->cells));
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, count, sizeof(int), &out->counts));
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, count, sizeof(int), &out->capacities));
  titan_order_place(out, TITAN_STAGES_LOOP);
cleanup:
  if (status != TITAN_OK)
    titan_order_destroy(out);
  return status;
}

void titan_order_destroy(titan_order *order) {
  for (int rank = 0; order->cells != NULL && rank < order->ranks; rank++)
    titan_memory_free(order->cells[rank]);
  titan_memory_free(order->rank_of_stage);
  titan_memory_free(order->cells);
  titan_memory_free(order->counts);
  titan_memory_free(order->capacities);
  *order = (titan_order){0};
}

void titan_order_place(titan_order *order, titan_stage_placement placement) {
  for (int stage = 0; stage < order->stages; stage++) {
    bool back = placement == TITAN_STAGES_V && stage >= order->ranks;
    order->rank_of_stage[stage] = back ? order->stages - 1 - stage : stage % order->ranks;
  }
}

titan_status titan_order_add(titan_order *order, int rank, titan_compute compute, int stage, int microbatch) {
  if (order->counts[rank] == order->capacities[rank]) {
    int capacity = order->capacities[rank] > 0 ? 2 * order->capacities[rank] : 64;
    TITAN_TRY(titan_memory_resize(TITAN_MEMORY_GRAPH, (size_t)capacity * sizeof(titan_cell), &order->cells[rank]));
    order->capacities[rank] = capacity;
  }
  order->cells[rank][order->counts[rank]++] =
      (titan_cell){.stage = stage, .microbatch = microbatch, .compute = compute};
  return TITAN_OK;
}

void titan_order_pair(titan_order *order, int rank) {
  order->cells[rank][order->counts[rank] - 2].paired = true;
}

titan_status titan_cell_print(const titan_cell *cell, titan_text *text) {
  static const char letters[TITAN_COMPUTES] = {'F', 'B', 'I', 'W'};
  return titan_text_printf(text, "%d%c%d", cell->stage, letters[cell->compute], cell->microbatch);
}

titan_status titan_order_print(const titan_order *order, titan_text *text) {
  for (int rank = 0; rank < order->ranks; rank++)
    for (int i = 0; i < order->counts[rank]; i++) {
      TITAN_TRY(titan_cell_print(&order->cells[rank][i], text));
      TITAN_TRY(titan_text_append(text, i + 1 < order->counts[rank] ? " " : "\n", 1));
    }
  return TITAN_OK;
}

// Whether the cells of a stage that `first` or `second` computes have ascending microbatches.
static bool ascends(const titan_order *order, int stage, titan_compute first, titan_compute second) {
  int rank = order->rank_of_stage[stage], before = -1;
  for (int i = 0; i < order->counts[rank]; i++) {
    const titan_cell *cell = &order->cells[rank][i];
    if (cell->stage != stage || (cell->compute != first && cell->compute != second))
      continue;
    if (cell->microbatch < before)
      return false;
    before = cell->microbatch;
  }
  return true;
}

bool titan_order_ascends(const titan_order *order) {
  for (int stage = 0; stage < order->stages; stage++)
    if (!ascends(order, stage, TITAN_COMPUTE_FORWARD, TITAN_COMPUTE_FORWARD) ||
        !ascends(order, stage, TITAN_COMPUTE_BACKWARD, TITAN_COMPUTE_WEIGHT_GRADIENT))
      return false;
  return true;
}

int titan_order_needs(const titan_order *order, const titan_cell *cell, titan_cell needs[2]) {
  int stage = cell->stage, m = cell->microbatch, count = 0;
  switch (cell->compute) {
  case TITAN_COMPUTE_FORWARD:
    if (stage > 0)
      needs[count++] = (titan_cell){.stage = stage - 1, .microbatch = m, .compute = TITAN_COMPUTE_FORWARD};
    break;
  case TITAN_COMPUTE_BACKWARD:
  case TITAN_COMPUTE_INPUT_GRADIENT:
    needs[count++] = (titan_cell){.stage = stage, .microbatch = m, .compute = TITAN_COMPUTE_FORWARD};
    if (stage + 1 < order->stages)
      needs[count++] = (titan_cell){.stage = stage + 1, .microbatch = m, .compute = TITAN_COMPUTE_BACKWARD};
    break;
  case TITAN_COMPUTE_WEIGHT_GRADIENT:
    needs[count++] = (titan_cell){.stage = stage, .microbatch = m, .compute = TITAN_COMPUTE_INPUT_GRADIENT};
    break;
  case TITAN_COMPUTES:
    break;
  }
  return count;
}
