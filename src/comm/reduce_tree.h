// SPDX-License-Identifier: Apache-2.0
// A reduction along the tree of reduce.h whose sources come one by one, in an order that lets the partial results be
// few: source `own ^ d` for distance d = 0, 1, 2, ... So the own one comes first, then its neighbour, then the pair
// beside them, and so on. Ranks that go through distances together exchange in pairs.
#ifndef TITAN_COMM_REDUCE_TREE_H
#define TITAN_COMM_REDUCE_TREE_H

#include "comm/comm.h"

typedef struct titan_reduce_tree {
  titan_dtype dtype; // of the sums, one of titan_reduce_sum_type
  titan_reduction reduction;
  int own, sources;
  char *sums;    // titan_reduce_tree_levels(sources) of them, owned by the caller
  size_t stride; // bytes from one to the next, enough for one
  unsigned held; // the levels that have a sum, a bit each; 0 at the beginning
} titan_reduce_tree;

// Partial results that `sources` sources need.
int titan_reduce_tree_levels(int sources);

// Not collective. The distance that comes as number `turn`, from 0: those without a source are left out.
int titan_reduce_tree_distance(int own, int sources, int turn);

// Not collective. Takes in the source of number `turn`, [count] elements, which are written over. *result: after the
// last one, the reduction of all: there or in `sums`; NULL before.
titan_status titan_reduce_tree_take(titan_reduce_tree *tree, int turn, void *source, size_t count, const void **result);

#endif
