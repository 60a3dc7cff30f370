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
  for (int stage = 0; stage < stages; stage++)
    out->rank_of_stage[stage] = stage % ranks;
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

titan_status titan_order_add(titan_order *order, int rank, titan_compute compute, int stage, int microbatch) {
  if (order->counts[rank] == order->capacities[rank]) {
    int capacity = order->capacities[rank] > 0 ? 2 * order->capacities[rank] : 64;
    TITAN_TRY(titan_memory_resize(TITAN_MEMORY_GRAPH, (size_t)capacity * sizeof(titan_cell), &order->cells[rank]));
    order->capacities[rank] = capacity;
  }
  order->cells[rank][order->counts[rank]++] = (titan_cell){stage, microbatch, compute};
  return TITAN_OK;
}
