// SPDX-License-Identifier: Apache-2.0
// Offsets for blocks of memory with lives: of a unit's plan, and of a step's list.
#ifndef TITAN_GRAPH_PACK_H
#define TITAN_GRAPH_PACK_H

#include "base/status.h"

// A block of memory with a life: positions first .. last, both included.
typedef struct titan_block {
  size_t bytes, offset;
  int first, last;
} titan_block;

// Sets the offsets so that blocks alive at the same time do not overlap, and rounds their sizes up to the alignment.
// *total: bytes of the arena; *bound: the largest sum of blocks alive at once, which no packing can undercut.
titan_status titan_blocks_pack(titan_block *blocks, int count, int positions, size_t alignment, size_t *total,
                               size_t *bound);
// As above; the first result that takes at most 1/divisor more than the bound is good enough (0: only the bound is).
titan_status titan_blocks_pack_within(titan_block *blocks, int count, int positions, size_t alignment, size_t divisor,
                                      size_t *total, size_t *bound);

#endif
