// The steps of making a plan, in the order in which plan.c takes them.
#ifndef TITAN_GRAPH_PLAN_PRIVATE_H
#define TITAN_GRAPH_PLAN_PRIVATE_H

#include "graph/plan.h"

// Nodes in the order in which they run, by phase. Nodes that nothing wants are left out.
typedef struct titan_schedule {
  int *nodes[TITAN_PHASES]; // owned
  int counts[TITAN_PHASES];
} titan_schedule;

titan_status titan_schedule_create(const titan_graph *graph, bool merge_phases, titan_schedule *out);
void titan_schedule_destroy(titan_schedule *schedule);

// A block of memory with a life: positions first .. last of the phase's instructions, both included.
typedef struct titan_block {
  size_t bytes, offset;
  int first, last;
} titan_block;

// Sets the offsets so that blocks alive at the same time do not overlap, and rounds their sizes up to the alignment.
// *total: bytes of the arena; *bound: the largest sum of blocks alive at once, which no packing can undercut.
titan_status titan_blocks_pack(titan_block *blocks, int count, int positions, size_t alignment, size_t *total,
                               size_t *bound);

#endif
