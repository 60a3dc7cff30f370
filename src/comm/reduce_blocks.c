// SPDX-License-Identifier: Apache-2.0
// Compiled once per instruction-set level. Nothing but additions and choices of elements: all levels give the same
// bits.
#include "comm/reduce_blocks.h"

#include "comm/reduce.h"

// The maximum and the minimum of anything with what is not a number is not a number.
#define JOIN_FLOATS(reduction, a, b)                                                                                   \
  ((reduction) == TITAN_SUM ? (a) + (b) : ((reduction) == TITAN_MAX ? (a) > (b) : (a) < (b)) || (a) != (a) ? (a) : (b))

// Sums wrap around.
#define JOIN_WHOLE(reduction, a, b)                                                                                    \
  ((reduction) == TITAN_SUM                             ? (__typeof__(a))((uint64_t)(a) + (uint64_t)(b))               \
   : ((reduction) == TITAN_MAX ? (a) > (b) : (a) < (b)) ? (a)                                                          \
                                                        : (b))

#define AS_IT_IS(x) (x)

// total [count] = the reduction of one block of all sources.
#define REDUCE(name, stored, type, given, LOAD, STORE, JOIN)                                                           \
  static void name##_tree(titan_reduction reduction, const void *const *sources, int source_count, size_t first,       \
                          size_t count, type *total) {                                                                 \
    const stored *a = (const stored *)sources[0] + first, *b = (const stored *)sources[source_count > 1] + first;      \
    if (source_count == 1)                                                                                             \
      for (size_t i = 0; i < count; i++)                                                                               \
        total[i] = LOAD(a[i]);                                                                                         \
    if (source_count == 2)                                                                                             \
      for (size_t i = 0; i < count; i++) {                                                                             \
        type x = LOAD(a[i]), y = LOAD(b[i]);                                                                           \
        total[i] = JOIN(reduction, x, y);                                                                              \
      }                                                                                                                \
    if (source_count <= 2)                                                                                             \
      return;                                                                                                          \
    type right[TITAN_REDUCE_BLOCK];                                                                                    \
    int left_count = titan_reduce_left(source_count);                                                                  \
    name##_tree(reduction, sources, left_count, first, count, total);                                                  \
    name##_tree(reduction, sources + left_count, source_count - left_count, first, count, right);                      \
    for (size_t i = 0; i < count; i++)                                                                                 \
      total[i] = JOIN(reduction, total[i], right[i]);                                                                  \
  }                                                                                                                    \
  static void name(titan_reduction reduction, const void *const *sources, int source_count, size_t first,              \
                   size_t count, void *out) {                                                                          \
    type total[TITAN_REDUCE_BLOCK];                                                                                    \
    name##_tree(reduction, sources, source_count, first, count, total);                                                \
    given *result = (given *)out + first;                                                                              \
    for (size_t i = 0; i < count; i++)                                                                                 \
      result[i] = STORE(total[i]);                                                                                     \
  }

REDUCE(reduce_float32, float, float, float, AS_IT_IS, AS_IT_IS, JOIN_FLOATS)
REDUCE(reduce_float64, double, double, double, AS_IT_IS, AS_IT_IS, JOIN_FLOATS)
REDUCE(reduce_int32, int32_t, int32_t, int32_t, AS_IT_IS, AS_IT_IS, JOIN_WHOLE)
REDUCE(reduce_int64, int64_t, int64_t, int64_t, AS_IT_IS, AS_IT_IS, JOIN_WHOLE)
REDUCE(reduce_bfloat16, titan_bf16, float, titan_bf16, titan_bf16_to_float, titan_bf16_from_float, JOIN_FLOATS)
REDUCE(reduce_bfloat16_wide, titan_bf16, float, float, titan_bf16_to_float, AS_IT_IS, JOIN_FLOATS)

titan_reduce_block *const TITAN_REDUCE_BLOCKS[TITAN_REDUCE_KINDS] = {
    [TITAN_FLOAT32] = reduce_float32,
    [TITAN_BFLOAT16] = reduce_bfloat16,
    [TITAN_FLOAT64] = reduce_float64,
    [TITAN_INT32] = reduce_int32,
    [TITAN_INT64] = reduce_int64,
    [TITAN_BYTE] = NULL,
    [TITAN_REDUCE_WIDE] = reduce_bfloat16_wide,
};
