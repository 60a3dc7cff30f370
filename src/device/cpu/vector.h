// SPDX-License-Identifier: Apache-2.0
// One vector of floats, as wide as the instruction set this file is compiled for: the whole of the difference between
// the instruction-set levels. Loads and stores take any alignment. Everything is always inlined.
//
// Level            VECTOR_WIDTH   chosen by
// generic           4             TITAN_CPU_GENERIC_LEVEL: plain C, for every processor (vector_generic.h)
// baseline x86-64   4             nothing else
// AVX2 + FMA        8             __AVX2__ (with __FMA__)
// AVX-512          16             __AVX512F__ (with BW, VL, DQ); bfloat16 stores use vcvtneps2bf16 with __AVX512BF16__
#ifndef TITAN_DEVICE_CPU_VECTOR_H
#define TITAN_DEVICE_CPU_VECTOR_H

#include "device/cpu/vector_types.h"
#ifdef VECTOR_GENERIC
#include "device/cpu/vector_generic.h"
#else
#include "device/cpu/vector_x86.h"
#endif

// 2^x for |x| <= 1/2, relative error below 8e-8 before rounding: the minimax polynomial of degree 5 (Remez exchange).
VECTOR_INLINE vfloat vector_exp2_fraction(vfloat x) {
  vfloat p = vector_set(1.3276471979478776e-3f);
  p = vector_fma(p, x, vector_set(9.67554133421605e-3f));
  p = vector_fma(p, x, vector_set(5.550713273542586e-2f));
  p = vector_fma(p, x, vector_set(2.4022119723848476e-1f));
  p = vector_fma(p, x, vector_set(6.931469670647331e-1f));
  return vector_fma(p, x, vector_set(1.0000000716546822f));
}

// 2^x for finite x <= 127, however small: below the range of float32 the result is 0 (or, with AVX-512, subnormal).
// Relative error below 2e-7. Larger x gives any value, which a caller may only mask away.
VECTOR_INLINE vfloat vector_exp2(vfloat x) {
#if VECTOR_WIDTH != 16
  x = vector_max(x, vector_set(-127.0f));
#endif
  const vfloat n = vector_round(x);
  return vector_scale_by_power(vector_exp2_fraction(x - n), n);
}

// e^x for every x: 0 for x below -87.3 (so for -inf), +inf above 88.7, NaN for NaN. Relative error below 2e-7.
VECTOR_INLINE vfloat vector_exp(vfloat x) {
  const vfloat low = vector_set(-87.33f), high = vector_set(88.722839f);
  const vfloat y = vector_max(vector_set(-87.5f), vector_min(vector_set(88.8f), x));
  const vfloat n = vector_round(y * vector_set(1.44269504088896341f));
  // x - n ln 2 in two pieces, of which the first is exact (Cody and Waite, "Software manual for the elementary
  // functions")
  vfloat r = vector_fma(n, vector_set(-0.693359375f), y);
  r = vector_fma(n, vector_set(2.12194440e-4f), r);
  vfloat p = vector_set(1.3836844055647682e-3f);
  p = vector_fma(p, r, vector_set(8.374817330415547e-3f));
  p = vector_fma(p, r, vector_set(4.166822568482238e-2f));
  p = vector_fma(p, r, vector_set(1.6666420151762676e-1f));
  p = vector_fma(p, r, vector_set(4.999999207893969e-1f));
  p = vector_fma(p, r, vector_set(1.0f));
  p = vector_fma(p, r, vector_set(1.0f));
  // n lies in -126 .. 128: in two steps, so that each power of two stays in range
  const vfloat half = vector_round(n * vector_set(0.5f));
  p = vector_scale_by_power(vector_scale_by_power(p, half), n - half);
  p = vector_select(x < low, vector_set(0.0f), p);
  p = vector_select(x > high, vector_set(__builtin_inff()), p);
  return vector_select(x == x, p, x); // NOLINT(misc-redundant-expression): NaN
}

// The sum of the lanes in float64, from the first lane to the last.
VECTOR_INLINE double vector_sum_double(vdouble x) {
  double sum = 0;
  for (int i = 0; i < VECTOR_WIDTH / 2; i++)
    sum += x[i];
  return sum;
}

// Transposes a square of VECTOR_WIDTH rows in place: log2(VECTOR_WIDTH) perfect shuffles of the rows' sequence.
VECTOR_INLINE void vector_transpose(vfloat rows[VECTOR_WIDTH]) {
#pragma GCC unroll 4
  for (int pass = 1; pass < VECTOR_WIDTH; pass *= 2) {
    vfloat next[VECTOR_WIDTH];
#pragma GCC unroll 8
    for (int i = 0; i < VECTOR_WIDTH / 2; i++) {
      next[2 * i] = vector_interleave_low(rows[i], rows[i + VECTOR_WIDTH / 2]);
      next[2 * i + 1] = vector_interleave_high(rows[i], rows[i + VECTOR_WIDTH / 2]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < VECTOR_WIDTH; i++)
      rows[i] = next[i];
  }
}

VECTOR_INLINE vfloat vector_load_bf16(const titan_bf16 *from) {
  return vector_from_bf16(*(const vbf16_unaligned *)from);
}

VECTOR_INLINE void vector_store_bf16(titan_bf16 *to, vfloat x) {
  *(vbf16_unaligned *)to = vector_to_bf16(x);
}

// Element `index` onwards of an array of type `dtype` (float32 or bfloat16), n lanes of it. With a constant dtype and
// n == VECTOR_WIDTH known to the compiler the branches vanish: call from always-inline functions specialised by type.
VECTOR_INLINE vfloat vector_load_as(const void *from, titan_dtype dtype, int64_t index) {
  return dtype == TITAN_BFLOAT16 ? vector_load_bf16((const titan_bf16 *)from + index)
                                 : vector_load((const float *)from + index);
}
VECTOR_INLINE void vector_store_as(void *to, titan_dtype dtype, int64_t index, vfloat x) {
  if (dtype == TITAN_BFLOAT16)
    vector_store_bf16((titan_bf16 *)to + index, x);
  else
    vector_store((float *)to + index, x);
}
VECTOR_INLINE vfloat vector_load_as_partial(const void *from, titan_dtype dtype, int64_t index, int64_t n) {
  return dtype == TITAN_BFLOAT16 ? vector_load_bf16_partial((const titan_bf16 *)from + index, n)
                                 : vector_load_partial((const float *)from + index, n);
}
VECTOR_INLINE void vector_store_as_partial(void *to, titan_dtype dtype, int64_t index, vfloat x, int64_t n) {
  if (dtype == TITAN_BFLOAT16)
    vector_store_bf16_partial((titan_bf16 *)to + index, x, n);
  else
    vector_store_partial((float *)to + index, x, n);
}

#endif
