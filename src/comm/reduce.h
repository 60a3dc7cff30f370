// SPDX-License-Identifier: Apache-2.0
// Element-wise reduction of several buffers, in the order in which they are given.
#ifndef TITAN_COMM_REDUCE_H
#define TITAN_COMM_REDUCE_H

#include "comm/comm.h"

// Not collective. out[i] = sources[0][i] (+) sources[1][i] (+) ... for i < count, taken from left to right. bfloat16 is
// summed in float32 and rounded once; integers wrap around; the maximum and minimum of anything with a NaN is NaN.
// `out` may be one of the sources (not overlap one otherwise). TITAN_ERROR_INTERNAL for TITAN_BYTE.
titan_status titan_reduce(titan_dtype dtype, titan_reduction reduction, const void *const *sources, int source_count,
                          void *out, size_t count);

#endif
