// SPDX-License-Identifier: Apache-2.0
// Rotary positions (Su et al., "RoFormer", 2021): rotating the pairs of heads, for every operation that does, so that
// all give the same bits.
#ifndef TITAN_DEVICE_CPU_ROTATE_H
#define TITAN_DEVICE_CPU_ROTATE_H

#include "device/cpu/vector.h"

#include <stdbool.h>

// What a table's sines are multiplied with in even and odd lanes.
VECTOR_INLINE vfloat rotation_signs(bool inverse) {
  const vfloat forth = vector_select((vector_iota() & 1) != 0, vector_set(1.0f), vector_set(-1.0f));
  return inverse ? -forth : forth;
}

// Pairs (even, odd) -> (even cos - odd sin, even sin + odd cos); angles: cos, sin, cos, sin, ...
VECTOR_INLINE vfloat vector_rotate(vfloat x, vfloat angles, vfloat signs) {
  return vector_fma(x, vector_even_lanes(angles), vector_swap_lanes(x) * (vector_odd_lanes(angles) * signs));
}

// The heads of one position, `size` elements each, from x + from to y + to. y may be x where from is to.
VECTOR_INLINE void rotate_heads(titan_dtype dtype, int64_t heads, int64_t size, const void *x, int64_t from,
                                const float *angles, vfloat signs, void *y, int64_t to) {
  for (int64_t head = 0; head < heads; head++, from += size, to += size) {
    int64_t i = 0;
    for (; i + VECTOR_WIDTH <= size; i += VECTOR_WIDTH)
      vector_store_as(y, dtype, to + i,
                      vector_rotate(vector_load_as(x, dtype, from + i), vector_load(angles + i), signs));
    if (i < size)
      vector_store_as_partial(y, dtype, to + i,
                              vector_rotate(vector_load_as_partial(x, dtype, from + i, size - i),
                                            vector_load_partial(angles + i, size - i), signs),
                              size - i);
  }
}

#endif
