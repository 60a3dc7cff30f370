// SPDX-License-Identifier: Apache-2.0
// Offsets for blocks with lives, in as little memory as a few simple methods find (the general problem is NP-hard:
// "dynamic storage allocation", Garey and Johnson, SR2). Blocks are placed one after another, each into a gap between
// those placed before that live at the same time; what differs is the order and the choice of the gap. The first result
// that meets the lower bound is taken, else the best of all.
#include "graph/pack.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

// Rounds in which a block that ended highest is placed earlier than before; and rounds of the walk that comes last.
enum { REPAIR_ROUNDS = 64, WALK_ROUNDS = 1000 };

typedef struct item {
  titan_block *block;
  double key; // larger keys are placed first
  int index;
} item;

typedef struct packing {
  titan_block *blocks;
  int count, positions;
  size_t *alive; // by position: bytes
  size_t bound;  // the largest of them
  item *order;   // blocks of at least one byte
  item **placed; // sorted by offset
  size_t *best;  // offsets of the best result, by block
  item *best_order;
  size_t total;   // of the best result
  size_t enough;  // a result of at most so many bytes ends the search
  int item_count; // in order
} packing;

// Largest key first; equal keys by size and life, so that the result does not depend on the sort.
static int compare(const void *left, const void *right) {
  const item *a = left, *b = right;
  if (a->key != b->key)
    return a->key < b->key ? 1 : -1;
  if (a->block->bytes != b->block->bytes)
    return a->block->bytes < b->block->bytes ? 1 : -1;
  if (a->block->first != b->block->first)
    return a->block->first < b->block->first ? -1 : 1;
  return a->index - b->index;
}

// --- orders ---

static double by_size(const packing *p, const titan_block *block) {
  (void)p;
  return (double)block->bytes;
}

static double by_area(const packing *p, const titan_block *block) {
  (void)p;
  return (double)block->bytes * (block->last - block->first + 1);
}

static double by_life(const packing *p, const titan_block *block) {
  (void)p;
  return block->last - block->first;
}

static double by_begin(const packing *p, const titan_block *block) {
  (void)p;
  return -block->first;
}

static double by_end(const packing *p, const titan_block *block) {
  (void)p;
  return block->last;
}

// Blocks of the position at which most is alive first: nothing else is in their way.
static double by_crowd(const packing *p, const titan_block *block) {
  size_t most = 0;
  for (int i = block->first; i <= block->last; i++)
    most = p->alive[i] > most ? p->alive[i] : most;
  return (double)most;
}

// --- gaps ---

static bool alive_together(const titan_block *a, const titan_block *b) {
  return a->first <= b->last && b->first <= a->last;
}

// The offset at which `block` overlaps none of the placed blocks that live at the same time: the lowest, or the
// smallest gap between two.
static size_t find_gap(item *const *placed, int count, const titan_block *block, bool tightest) {
  size_t end = 0, found = 0, room = SIZE_MAX;
  for (int i = 0; i < count; i++) {
    const titan_block *other = placed[i]->block;
    if (!alive_together(other, block))
      continue;
    if (other->offset >= end && other->offset - end >= block->bytes) {
      if (!tightest)
        return end;
      if (other->offset - end < room) {
        room = other->offset - end;
        found = end;
      }
    }
    if (other->offset + other->bytes > end)
      end = other->offset + other->bytes;
  }
  return room < SIZE_MAX ? found : end;
}

// --- one result ---

static void keep(packing *p, size_t total) {
  p->total = total;
  memcpy(p->best_order, p->order, (size_t)p->item_count * sizeof *p->order);
  for (int i = 0; i < p->count; i++)
    p->best[i] = p->blocks[i].offset;
}

// Places all blocks in the present order; returns the one that ends highest.
static item *place(packing *p, bool tightest) {
  size_t total = 0;
  item *highest = NULL;
  for (int i = 0; i < p->item_count; i++) {
    item *each = &p->order[i];
    titan_block *block = each->block;
    block->offset = find_gap(p->placed, i, block, tightest);
    int at = i;
    for (; at > 0 && p->placed[at - 1]->block->offset > block->offset; at--)
      p->placed[at] = p->placed[at - 1];
    p->placed[at] = each;
    if (block->offset + block->bytes > total) {
      total = block->offset + block->bytes;
      highest = each;
    }
  }
  if (total <= p->total)
    keep(p, total);
  return highest;
}

static void sort(packing *p, double (*key)(const packing *, const titan_block *)) {
  for (int i = 0; i < p->item_count; i++)
    p->order[i].key = key(p, p->order[i].block);
  qsort(p->order, (size_t)p->item_count, sizeof *p->order, compare);
}

static uint64_t next_random(uint64_t *state) { // Knuth's linear congruential generator
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return *state >> 33;
}

// Moves one block after another to some earlier place in the best order, and goes on from each result that is no worse.
// It ends near the bound, which need not be within reach.
static void walk(packing *p) {
  uint64_t random = 1;
  for (int round = 0; round < WALK_ROUNDS && p->total > p->enough && p->total > p->bound + p->bound / 64; round++) {
    memcpy(p->order, p->best_order, (size_t)p->item_count * sizeof *p->order);
    int from = (int)(next_random(&random) % (uint64_t)p->item_count);
    int to = (int)(next_random(&random) % (uint64_t)(from + 1));
    item moved = p->order[from];
    memmove(p->order + to + 1, p->order + to, (size_t)(from - to) * sizeof *p->order);
    p->order[to] = moved;
    place(p, false);
  }
}

static void search(packing *p) {
  static double (*const keys[])(const packing *, const titan_block *) = {by_size,  by_area, by_crowd,
                                                                         by_begin, by_end,  by_life};
  enum { KEYS = sizeof keys / sizeof *keys };
  for (int i = 0; i < 2 * KEYS && p->total > p->enough; i++) {
    sort(p, keys[i / 2]);
    place(p, i % 2 == 1);
  }
  for (int i = 0; i < KEYS && p->total > p->enough; i++) {
    sort(p, keys[i]);
    for (int round = 0; round < REPAIR_ROUNDS && p->total > p->enough; round++) {
      item *highest = place(p, false), moved = *highest;
      memmove(p->order + 1, p->order, (size_t)(highest - p->order) * sizeof *p->order);
      p->order[0] = moved;
    }
  }
  walk(p);
}

static void measure(packing *p) {
  for (int i = 0; i < p->count; i++)
    for (int position = p->blocks[i].first; position <= p->blocks[i].last; position++)
      p->alive[position] += p->blocks[i].bytes;
  for (int position = 0; position < p->positions; position++)
    p->bound = p->alive[position] > p->bound ? p->alive[position] : p->bound;
}

static void begin(packing *p, size_t alignment) {
  for (int i = 0; i < p->count; i++) {
    titan_block *block = &p->blocks[i];
    block->bytes = titan_round_up(block->bytes, alignment);
    block->offset = 0;
    if (block->bytes > 0)
      p->order[p->item_count++] = (item){.block = block, .index = i};
  }
  measure(p);
}

titan_status titan_blocks_pack(titan_block *blocks, int count, int positions, size_t alignment, size_t *total,
                               size_t *bound) {
  return titan_blocks_pack_within(blocks, count, positions, alignment, 0, total, bound);
}

titan_status titan_blocks_pack_within(titan_block *blocks, int count, int positions, size_t alignment, size_t divisor,
                                      size_t *total, size_t *bound) {
  titan_status status = TITAN_OK;
  size_t most = (size_t)count + 1;
  *total = *bound = 0;
  packing p = {.blocks = blocks, .count = count, .positions = positions, .total = SIZE_MAX};
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, (size_t)positions + 1, sizeof *p.alive, &p.alive));
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, most, sizeof *p.order, &p.order));
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, most, sizeof *p.placed, &p.placed));
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, most, sizeof *p.best, &p.best));
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, most, sizeof *p.best_order, &p.best_order));
  begin(&p, alignment);
  p.enough = p.bound + (divisor > 0 ? p.bound / divisor : 0);
  search(&p);
  for (int i = 0; i < count; i++)
    blocks[i].offset = p.best[i];
  *total = p.total;
  *bound = p.bound;
cleanup:
  titan_memory_free(p.alive);
  titan_memory_free(p.order);
  titan_memory_free(p.placed);
  titan_memory_free(p.best);
  titan_memory_free(p.best_order);
  return status;
}
