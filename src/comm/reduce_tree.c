// SPDX-License-Identifier: Apache-2.0
#include "comm/reduce_tree.h"

#include "comm/reduce.h"

#include <string.h>

int titan_reduce_tree_levels(int sources) {
  int levels = 0;
  while (1 << levels < sources)
    levels++;
  return levels;
}

int titan_reduce_tree_distance(int own, int sources, int turn) {
  for (int distance = 0;; distance++)
    if ((own ^ distance) < sources && turn-- == 0)
      return distance;
}

// At each level where it is the second of two, a value is joined with the first, the lower sources' on the left. NULL:
// there is no source at this distance.
static titan_status take(titan_reduce_tree *tree, int distance, void *value, size_t count, const void **result) {
  int level = 0;
  for (; distance >> level & 1; level++) {
    char *first = tree->sums + (size_t)level * tree->stride;
    bool has_first = tree->held >> level & 1, is_upper = tree->own >> level & 1;
    tree->held &= ~(1u << level);
    const void *both[2] = {is_upper ? value : first, is_upper ? first : value};
    if (has_first && value != NULL)
      TITAN_TRY(titan_reduce(tree->dtype, tree->reduction, both, 2, value, count));
    else if (has_first)
      value = first;
  }
  if (level == titan_reduce_tree_levels(tree->sources)) {
    *result = value;
  } else if (value != NULL) {
    memcpy(tree->sums + (size_t)level * tree->stride, value, count * titan_dtype_bytes(tree->dtype));
    tree->held |= 1u << level;
  }
  return TITAN_OK;
}

titan_status titan_reduce_tree_take(titan_reduce_tree *tree, int turn, void *source, size_t count,
                                    const void **result) {
  int own = titan_reduce_tree_distance(tree->own, tree->sources, turn), end = own + 1;
  *result = NULL;
  if (turn == 0)
    tree->held = 0;
  if (turn + 1 == tree->sources)
    end = 1 << titan_reduce_tree_levels(tree->sources);
  for (int d = turn > 0 ? titan_reduce_tree_distance(tree->own, tree->sources, turn - 1) + 1 : 0; d < end; d++)
    TITAN_TRY(take(tree, d, d == own ? source : NULL, count, result));
  return TITAN_OK;
}
