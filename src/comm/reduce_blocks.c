// SPDX-License-Identifier: Apache-2.0
// Compiled once per instruction-set level. Nothing but additions and choices of elements: all levels give the same
// bits.
#include "comm/reduce_blocks.h"

#include <string.h>

// The maximum and the minimum of anything with what is not a number is not a number.
#define JOIN_FLOATS(reduction, a, b)                                                                                   \
  ((reduction) == TITAN_SUM ? (a) + (b) : ((reduction) == TITAN_MAX ? (a) > (b) : (a) < (b)) || (a) != (a) ? (a) : (b))

// Sums wrap around.
#define JOIN_WHOLE(reduction, a, b)                                                                                    \
  ((reduction) == TITAN_SUM                             ? (__typeof__(a))((uint64_t)(a) + (uint64_t)(b))               \
   : ((reduction) == TITAN_MAX ? (a) > (b) : (a) < (b)) ? (a)                                                          \
                                                        : (b))

#define REDUCE(name, type, JOIN)                                                                                       \
  static void name(titan_reduction reduction, const void *const *sources, int source_count, size_t first,              \
                   size_t count, void *out) {                                                                          \
    type total[TITAN_REDUCE_BLOCK];                                                                                    \
    memcpy(total, (const type *)sources[0] + first, count * sizeof *total);                                            \
    for (int s = 1; s < source_count; s++) {                                                                           \
      const type *source = (const type *)sources[s] + first;                                                           \
      for (size_t i = 0; i < count; i++)                                                                               \
        total[i] = JOIN(reduction, total[i], source[i]);                                                               \
    }                                                                                                                  \
    memcpy((type *)out + first, total, count * sizeof *total);                                                         \
  }

REDUCE(reduce_float32, float, JOIN_FLOATS)
REDUCE(reduce_float64, double, JOIN_FLOATS)
REDUCE(reduce_int32, int32_t, JOIN_WHOLE)
REDUCE(reduce_int64, int64_t, JOIN_WHOLE)

static void reduce_bfloat16(titan_reduction reduction, const void *const *sources, int source_count, size_t first,
                            size_t count, void *out) {
  float total[TITAN_REDUCE_BLOCK];
  const titan_bf16 *source = (const titan_bf16 *)sources[0] + first;
  for (size_t i = 0; i < count; i++)
    total[i] = titan_bf16_to_float(source[i]);
  for (int s = 1; s < source_count; s++) {
    source = (const titan_bf16 *)sources[s] + first;
    for (size_t i = 0; i < count; i++) {
      float value = titan_bf16_to_float(source[i]);
      total[i] = JOIN_FLOATS(reduction, total[i], value);
    }
  }
  titan_bf16 *result = (titan_bf16 *)out + first;
  for (size_t i = 0; i < count; i++)
    result[i] = titan_bf16_from_float(total[i]);
}

titan_reduce_block *const TITAN_REDUCE_BLOCKS[TITAN_BYTE + 1] = {
    [TITAN_FLOAT32] = reduce_float32, [TITAN_BFLOAT16] = reduce_bfloat16, [TITAN_FLOAT64] = reduce_float64,
    [TITAN_INT32] = reduce_int32,     [TITAN_INT64] = reduce_int64,       [TITAN_BYTE] = NULL,
};
