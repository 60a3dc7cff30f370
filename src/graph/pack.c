#include "base/memory.h"
#include "graph/plan_private.h"

#include <stdlib.h>

static bool alive_together(const titan_block *a, const titan_block *b) {
  return a->first <= b->last && b->first <= a->last;
}

// Largest first; equal sizes by life, so that the result does not depend on the sort.
static int compare_size(const void *left, const void *right) {
  const titan_block *a = *(titan_block *const *)left, *b = *(titan_block *const *)right;
  if (a->bytes != b->bytes)
    return a->bytes < b->bytes ? 1 : -1;
  if (a->first != b->first)
    return a->first < b->first ? -1 : 1;
  return a < b ? -1 : a > b;
}

// The lowest offset at which `block` overlaps none of the placed blocks that live at the same time. `placed` is sorted
// by offset.
static size_t lowest_gap(titan_block *const *placed, int count, const titan_block *block) {
  size_t offset = 0;
  for (int i = 0; i < count; i++) {
    if (!alive_together(placed[i], block))
      continue;
    if (placed[i]->offset >= offset + block->bytes)
      break;
    size_t end = placed[i]->offset + placed[i]->bytes;
    if (end > offset)
      offset = end;
  }
  return offset;
}

titan_status titan_blocks_pack(titan_block *blocks, int count, int positions, size_t *total, size_t *bound) {
  titan_status status = TITAN_OK;
  titan_block **order = NULL, **placed = NULL;
  *total = *bound = 0;
  TITAN_TRY_CLEANUP(titan_memory_allocate(TITAN_MEMORY_GRAPH, (size_t)count * sizeof *order, &order));
  TITAN_TRY_CLEANUP(titan_memory_allocate(TITAN_MEMORY_GRAPH, (size_t)count * sizeof *placed, &placed));
  for (int i = 0; i < count; i++) {
    blocks[i].bytes = (blocks[i].bytes + TITAN_PLAN_ALIGNMENT - 1) / TITAN_PLAN_ALIGNMENT * TITAN_PLAN_ALIGNMENT;
    order[i] = &blocks[i];
  }
  qsort(order, (size_t)count, sizeof *order, compare_size);
  for (int i = 0; i < count; i++) {
    order[i]->offset = lowest_gap(placed, i, order[i]);
    int at = i;
    for (; at > 0 && placed[at - 1]->offset > order[i]->offset; at--)
      placed[at] = placed[at - 1];
    placed[at] = order[i];
    if (order[i]->offset + order[i]->bytes > *total)
      *total = order[i]->offset + order[i]->bytes;
  }
  for (int position = 0; position < positions; position++) {
    size_t alive = 0;
    for (int i = 0; i < count; i++)
      if (blocks[i].first <= position && position <= blocks[i].last)
        alive += blocks[i].bytes;
    if (alive > *bound)
      *bound = alive;
  }
cleanup:
  titan_memory_free(order);
  titan_memory_free(placed);
  return status;
}
