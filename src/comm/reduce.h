// SPDX-License-Identifier: Apache-2.0
// Element-wise reduction of several buffers, along one binary tree over them.
#ifndef TITAN_COMM_REDUCE_H
#define TITAN_COMM_REDUCE_H

#include "comm/comm.h"

// The tree over n sources: the reduction of the first titan_reduce_left(n) of them, joined with that of the rest. So it
// is the same whether aligned blocks of a power of two of sources are reduced first, elsewhere, or not: ((a+b) + (c+d))
// + (e+f) is the tree over a to f, and over (a+b), (c+d), (e+f).
static inline int titan_reduce_left(int sources) {
  int left = 1;
  while (2 * left < sources)
    left *= 2;
  return left;
}

// Not collective. out[i] = the reduction of sources[..][i] along the tree for i < count. bfloat16 is summed in float32
// and rounded once; integers wrap around; the maximum and minimum of anything with a NaN is NaN. `out` may be one of
// the sources (not overlap one otherwise). TITAN_ERROR_INTERNAL for TITAN_BYTE.
titan_status titan_reduce(titan_dtype dtype, titan_reduction reduction, const void *const *sources, int source_count,
                          void *out, size_t count);

// The type in which elements are summed: float32 for bfloat16, else the type itself. And the same reduction, its result
// in that type: out [count].
titan_dtype titan_reduce_sum_type(titan_dtype dtype);
titan_status titan_reduce_wide(titan_dtype dtype, titan_reduction reduction, const void *const *sources,
                               int source_count, void *out, size_t count);
// Not collective. From elements to that type, and back, rounding.
void titan_reduce_widen(titan_dtype dtype, void *to, const void *from, size_t count);
void titan_reduce_narrow(titan_dtype dtype, void *to, const void *from, size_t count);

#endif
