// SPDX-License-Identifier: Apache-2.0
// Two vectors at a time. bfloat16 comes in words of two elements: shifting and masking widens a whole vector of them,
// and puts it together again, with no shuffles. Which element lies in which lane is therefore left open: pairs serve
// what is done to each element alike, and sums that take them in any (always the same) order.
#ifndef TITAN_DEVICE_CPU_PAIR_H
#define TITAN_DEVICE_CPU_PAIR_H

#include "device/cpu/vector.h"

enum { PAIR_WIDTH = 2 * VECTOR_WIDTH };
typedef struct vpair {
  vfloat a, b;
} vpair;
typedef uint32_t vuint_unaligned __attribute__((vector_size(VECTOR_WIDTH * 4), aligned(2), may_alias));

// The nearest bfloat16 in the upper half of each lane, as vector_to_bf16; the lower half is anything.
VECTOR_INLINE vuint pair_rounded_bits(vfloat x) {
  const vuint bits = (vuint)x, rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
  // NOLINTNEXTLINE(misc-redundant-expression): NaN
  return (vuint)vector_select(x == x, (vfloat)rounded, (vfloat)(bits | 0x400000u));
}

// As after a trip through memory of the type.
VECTOR_INLINE vfloat vector_rounded_as(titan_dtype dtype, vfloat x) {
  if (dtype != TITAN_BFLOAT16)
    return x;
#ifdef __AVX512BF16__
  return vector_from_bf16(vector_to_bf16(x));
#else
  return (vfloat)(pair_rounded_bits(x) & 0xffff0000u);
#endif
}
VECTOR_INLINE vpair pair_rounded_as(titan_dtype dtype, vpair x) {
  return (vpair){vector_rounded_as(dtype, x.a), vector_rounded_as(dtype, x.b)};
}

VECTOR_INLINE vpair pair_load_as(const void *from, titan_dtype dtype, int64_t index) {
  if (dtype != TITAN_BFLOAT16)
    return (vpair){vector_load((const float *)from + index), vector_load((const float *)from + index + VECTOR_WIDTH)};
#ifdef __AVX512BF16__
  return (vpair){vector_load_bf16((const titan_bf16 *)from + index),
                 vector_load_bf16((const titan_bf16 *)from + index + VECTOR_WIDTH)};
#else
  const vuint words = *(const vuint_unaligned *)((const titan_bf16 *)from + index);
  return (vpair){(vfloat)(words << 16), (vfloat)(words & 0xffff0000u)};
#endif
}

VECTOR_INLINE void pair_store_as(void *to, titan_dtype dtype, int64_t index, vpair x) {
  if (dtype != TITAN_BFLOAT16) {
    vector_store((float *)to + index, x.a);
    vector_store((float *)to + index + VECTOR_WIDTH, x.b);
    return;
  }
#ifdef __AVX512BF16__
  _mm512_storeu_si512((titan_bf16 *)to + index, (__m512i)_mm512_cvtne2ps_pbh(x.b, x.a));
#else
  *(vuint_unaligned *)((titan_bf16 *)to + index) =
      (pair_rounded_bits(x.a) >> 16) | (pair_rounded_bits(x.b) & 0xffff0000u);
#endif
}

// As pair_store_as, of numbers that the type holds exactly.
VECTOR_INLINE void pair_store_exact(void *to, titan_dtype dtype, int64_t index, vpair x) {
#ifndef __AVX512BF16__
  if (dtype == TITAN_BFLOAT16) {
    *(vuint_unaligned *)((titan_bf16 *)to + index) = ((vuint)x.a >> 16) | ((vuint)x.b & 0xffff0000u);
    return;
  }
#endif
  pair_store_as(to, dtype, index, x);
}

// The lanes of what was made from pairs of the type, in the order of the elements.
VECTOR_INLINE vpair pair_in_order(titan_dtype dtype, vpair x) {
#ifndef __AVX512BF16__
  if (dtype == TITAN_BFLOAT16)
    return (vpair){vector_interleave_low(x.a, x.b), vector_interleave_high(x.a, x.b)};
#endif
  (void)dtype;
  return x;
}

VECTOR_INLINE vpair pair_add(vpair x, vpair y) {
  return (vpair){x.a + y.a, x.b + y.b};
}
VECTOR_INLINE vpair pair_mul(vpair x, vpair y) {
  return (vpair){x.a * y.a, x.b * y.b};
}
VECTOR_INLINE vpair pair_fma(vpair x, vpair y, vpair z) {
  return (vpair){vector_fma(x.a, y.a, z.a), vector_fma(x.b, y.b, z.b)};
}
VECTOR_INLINE vpair pair_set(float x) {
  return (vpair){vector_set(x), vector_set(x)};
}

#endif
