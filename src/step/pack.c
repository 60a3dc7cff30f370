// SPDX-License-Identifier: Apache-2.0
// Places the blocks of a step's arena. A walk over the list comes first: at each action the new blocks are placed,
// those with the longest life lowest, into the lowest gap between those alive. Activations come and go like a stack, so
// this meets the bound there, at a cost of blocks times blocks alive. Gathered parameters come and go in pairs, for
// which a walk that places at both ends in turn is right. Where both stay above, and there are not too many blocks, the
// search of graph/pack.h tries too.
#include "step/pack.h"

#include "base/memory.h"
#include "graph/pack.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_SEARCHED = 800, GOOD_ENOUGH = 64 /* 1/64 above the bound */ };

typedef struct walk {
  titan_block **order; // by first action, then the longest life first
  titan_block **alive; // by offset
  int alive_count;
  size_t bytes, bound;
} walk;

static int compare(const void *left, const void *right) {
  const titan_block *a = *(titan_block *const *)left, *b = *(titan_block *const *)right;
  if (a->first != b->first)
    return a->first < b->first ? -1 : 1;
  if (a->last != b->last)
    return a->last > b->last ? -1 : 1;
  if (a->bytes != b->bytes)
    return a->bytes > b->bytes ? -1 : 1;
  return a < b ? -1 : a > b; // in the order of the list
}

static void forget_dead(walk *w, int now) {
  int kept = 0;
  for (int i = 0; i < w->alive_count; i++)
    if (w->alive[i]->last >= now)
      w->alive[kept++] = w->alive[i];
  w->alive_count = kept;
}

// The place in `alive` and the offset of the lowest gap.
static int lowest_gap(const walk *w, const titan_block *block, size_t *offset) {
  int at = 0;
  *offset = 0;
  while (at < w->alive_count && w->alive[at]->offset < *offset + block->bytes) {
    *offset = w->alive[at]->offset + w->alive[at]->bytes;
    at++;
  }
  return at;
}

// The same of the highest gap below the bound; -1: there is none.
static int highest_gap(const walk *w, const titan_block *block, size_t *offset) {
  size_t ceiling = w->bound;
  for (int at = w->alive_count; at >= 0; at--) {
    size_t floor = at > 0 ? w->alive[at - 1]->offset + w->alive[at - 1]->bytes : 0;
    if (floor + block->bytes <= ceiling) {
      *offset = ceiling - block->bytes;
      return at;
    }
    ceiling = at > 0 && w->alive[at - 1]->offset < ceiling ? w->alive[at - 1]->offset : ceiling;
  }
  return -1;
}

static void place(walk *w, titan_block *block, bool high) {
  size_t offset = 0;
  int at = high ? highest_gap(w, block, &offset) : -1;
  if (at < 0)
    at = lowest_gap(w, block, &offset);
  memmove(w->alive + at + 1, w->alive + at, (size_t)(w->alive_count - at) * sizeof *w->alive);
  w->alive[at] = block;
  w->alive_count++;
  block->offset = offset;
  w->bytes = offset + block->bytes > w->bytes ? offset + block->bytes : w->bytes;
}

// `ends`: from the lower and the upper end in turn, which meets the bound where two blocks are alive at a time.
static void walk_blocks(walk *w, int count, bool ends) {
  w->alive_count = 0;
  w->bytes = 0;
  for (int i = 0; i < count; i++) {
    if (i == 0 || w->order[i]->first != w->order[i - 1]->first)
      forget_dead(w, w->order[i]->first);
    place(w, w->order[i], ends && i % 2 == 1);
  }
}

static titan_status search(titan_block *blocks, int count, int actions, size_t *bytes) {
  titan_block *copy;
  size_t total, bound;
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_GRAPH, (size_t)count * sizeof *copy, &copy));
  memcpy(copy, blocks, (size_t)count * sizeof *copy);
  titan_status status = titan_blocks_pack_within(copy, count, actions, 1, GOOD_ENOUGH, &total, &bound);
  if (status == TITAN_OK && total < *bytes) {
    memcpy(blocks, copy, (size_t)count * sizeof *copy);
    *bytes = total;
  }
  titan_memory_free(copy);
  return status;
}

titan_status titan_step_pack(titan_step_block *blocks, int count, titan_arena arena, int actions, size_t bound,
                             size_t *bytes) {
  titan_block *mine = NULL;
  walk w = {.bound = bound};
  titan_status status = TITAN_OK;
  size_t most = (size_t)count + 1;
  int n = 0;
  TITAN_TRY_CLEANUP(titan_memory_allocate(TITAN_MEMORY_GRAPH, most * sizeof *mine, &mine));
  TITAN_TRY_CLEANUP(titan_memory_allocate(TITAN_MEMORY_GRAPH, most * sizeof *w.order, &w.order));
  TITAN_TRY_CLEANUP(titan_memory_allocate(TITAN_MEMORY_GRAPH, most * sizeof *w.alive, &w.alive));
  for (int i = 0; i < count; i++)
    if (blocks[i].arena == arena) {
      mine[n] = (titan_block){.bytes = blocks[i].bytes, .first = blocks[i].first, .last = blocks[i].last};
      w.order[n] = &mine[n];
      n++;
    }
  qsort(w.order, (size_t)n, sizeof *w.order, compare);
  walk_blocks(&w, n, false);
  if (w.bytes > bound) {
    size_t low = w.bytes;
    walk_blocks(&w, n, true);
    if (w.bytes >= low)
      walk_blocks(&w, n, false);
  }
  *bytes = w.bytes;
  if (w.bytes > bound + bound / GOOD_ENOUGH && n <= MOST_SEARCHED)
    TITAN_TRY_CLEANUP(search(mine, n, actions, bytes));
  for (int i = 0, k = 0; i < count; i++)
    if (blocks[i].arena == arena)
      blocks[i].offset = mine[k++].offset;
cleanup:
  titan_memory_free(mine);
  titan_memory_free(w.order);
  titan_memory_free(w.alive);
  return status;
}
