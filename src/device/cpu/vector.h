// SPDX-License-Identifier: Apache-2.0
// One vector of floats, as wide as the instruction set this file is compiled for: the whole of the difference between
// the instruction-set levels. Loads and stores take any alignment. Everything is always inlined.
//
// Level            VECTOR_WIDTH   chosen by
// baseline x86-64   4             nothing else
// AVX2 + FMA        8             __AVX2__ (with __FMA__)
// AVX-512          16             __AVX512F__ (with BW, VL, DQ); bfloat16 stores use vcvtneps2bf16 with __AVX512BF16__
#ifndef TITAN_DEVICE_CPU_VECTOR_H
#define TITAN_DEVICE_CPU_VECTOR_H

#include "base/dtype.h"
#include <immintrin.h>

#define VECTOR_INLINE static inline __attribute__((always_inline, unused))

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#define VECTOR_WIDTH 16
#define VECTOR_AVX512 1
#elif defined(__AVX2__) && defined(__FMA__)
#define VECTOR_WIDTH 8
#define VECTOR_AVX2 1
#else
#define VECTOR_WIDTH 4
#define VECTOR_BASELINE 1
#endif

typedef float vfloat __attribute__((vector_size(VECTOR_WIDTH * 4)));
typedef int32_t vint __attribute__((vector_size(VECTOR_WIDTH * 4)));
typedef uint32_t vuint __attribute__((vector_size(VECTOR_WIDTH * 4)));
typedef double vdouble __attribute__((vector_size(VECTOR_WIDTH * 4))); // VECTOR_WIDTH / 2 lanes
typedef float vfloat_unaligned __attribute__((vector_size(VECTOR_WIDTH * 4), aligned(4), may_alias));
typedef uint16_t vbf16 __attribute__((vector_size(VECTOR_WIDTH * 2)));
typedef uint16_t vbf16_unaligned __attribute__((vector_size(VECTOR_WIDTH * 2), aligned(2), may_alias));

VECTOR_INLINE vfloat vector_set(float x) {
#if VECTOR_WIDTH == 16
  return _mm512_set1_ps(x);
#elif VECTOR_WIDTH == 8
  return _mm256_set1_ps(x);
#else
  return _mm_set1_ps(x);
#endif
}

VECTOR_INLINE vint vector_set_int(int32_t x) {
  return (vint){0} + x;
}

// 0, 1, 2, ... VECTOR_WIDTH - 1
VECTOR_INLINE vint vector_iota(void) {
#if VECTOR_WIDTH == 16
  return (vint){0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
#elif VECTOR_WIDTH == 8
  return (vint){0, 1, 2, 3, 4, 5, 6, 7};
#else
  return (vint){0, 1, 2, 3};
#endif
}

VECTOR_INLINE vfloat vector_load(const float *from) {
  return *(const vfloat_unaligned *)from;
}
VECTOR_INLINE void vector_store(float *to, vfloat x) {
  *(vfloat_unaligned *)to = x;
}

// The first n lanes, 0 <= n <= VECTOR_WIDTH; the other lanes are 0. Memory behind the n elements is not touched.
VECTOR_INLINE vfloat vector_load_partial(const float *from, int64_t n) {
#if VECTOR_WIDTH == 16
  return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1u), from);
#elif VECTOR_WIDTH == 8
  return _mm256_maskload_ps(from, (__m256i)(vector_set_int((int32_t)n) > vector_iota()));
#else
  vfloat x = {0};
  memcpy(&x, from, (size_t)n * sizeof(float));
  return x;
#endif
}
VECTOR_INLINE void vector_store_partial(float *to, vfloat x, int64_t n) {
#if VECTOR_WIDTH == 16
  _mm512_mask_storeu_ps(to, (__mmask16)((1u << n) - 1u), x);
#elif VECTOR_WIDTH == 8
  _mm256_maskstore_ps(to, (__m256i)(vector_set_int((int32_t)n) > vector_iota()), x);
#else
  memcpy(to, &x, (size_t)n * sizeof(float));
#endif
}

// a * b + c, rounded once where the level has FMA.
VECTOR_INLINE vfloat vector_fma(vfloat a, vfloat b, vfloat c) {
#if VECTOR_WIDTH == 16
  return _mm512_fmadd_ps(a, b, c);
#elif VECTOR_WIDTH == 8
  return _mm256_fmadd_ps(a, b, c);
#else
  return a * b + c;
#endif
}

// The second operand where either is NaN (as the instruction does).
VECTOR_INLINE vfloat vector_max(vfloat a, vfloat b) {
#if VECTOR_WIDTH == 16
  return _mm512_max_ps(a, b);
#elif VECTOR_WIDTH == 8
  return _mm256_max_ps(a, b);
#else
  return _mm_max_ps(a, b);
#endif
}
VECTOR_INLINE vfloat vector_min(vfloat a, vfloat b) {
#if VECTOR_WIDTH == 16
  return _mm512_min_ps(a, b);
#elif VECTOR_WIDTH == 8
  return _mm256_min_ps(a, b);
#else
  return _mm_min_ps(a, b);
#endif
}

VECTOR_INLINE vfloat vector_sqrt(vfloat a) {
#if VECTOR_WIDTH == 16
  return _mm512_sqrt_ps(a);
#elif VECTOR_WIDTH == 8
  return _mm256_sqrt_ps(a);
#else
  return _mm_sqrt_ps(a);
#endif
}

// Lane by lane: mask (all bits, or none, as a comparison of vectors gives) ? yes : no.
VECTOR_INLINE vfloat vector_select(vint mask, vfloat yes, vfloat no) {
#if VECTOR_WIDTH == 16
  return _mm512_mask_blend_ps(_mm512_movepi32_mask((__m512i)mask), no, yes);
#elif VECTOR_WIDTH == 8
  return _mm256_blendv_ps(no, yes, (__m256)mask);
#else
  return (vfloat)((mask & (vint)yes) | (~mask & (vint)no));
#endif
}

// To the nearest integer, ties to even, for |x| < 2^22.
VECTOR_INLINE vfloat vector_round(vfloat x) {
#if VECTOR_WIDTH == 16
  return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#elif VECTOR_WIDTH == 8
  return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#else
  const vfloat magic = vector_set(12582912.0f); // 1.5 * 2^23: adding it leaves no fraction bits
  return (x + magic) - magic;
#endif
}

// To the nearest integer, for |x| < 2^31.
VECTOR_INLINE vint vector_to_int(vfloat x) {
#if VECTOR_WIDTH == 16
  return (vint)_mm512_cvtps_epi32(x);
#elif VECTOR_WIDTH == 8
  return (vint)_mm256_cvtps_epi32(x);
#else
  return (vint)_mm_cvtps_epi32(x);
#endif
}

// p * 2^n for integral n; 0 below the range of float32. Levels without vscalefps need -127 <= n <= 128, and give 0 for
// -127.
VECTOR_INLINE vfloat vector_scale_by_power(vfloat p, vfloat n) {
#if VECTOR_WIDTH == 16
  return _mm512_scalef_ps(p, n);
#else
  return p * (vfloat)(((vuint)vector_to_int(n) + 127u) << 23);
#endif
}

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
  return vector_select(x == x, p, x);
}

// The sum of the lanes, always in the same order (halves added to halves).
VECTOR_INLINE float vector_sum(vfloat x) {
#if VECTOR_WIDTH == 16
  const __m256 y = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
  const __m128 z = _mm_add_ps(_mm256_castps256_ps128(y), _mm256_extractf128_ps(y, 1));
#elif VECTOR_WIDTH == 8
  const __m128 z = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
#else
  const __m128 z = x;
#endif
  const __m128 w = _mm_add_ps(z, _mm_movehl_ps(z, z));
  return _mm_cvtss_f32(_mm_add_ss(w, _mm_shuffle_ps(w, w, 1)));
}

// The greatest lane.
VECTOR_INLINE float vector_max_of(vfloat x) {
#if VECTOR_WIDTH == 16
  const __m256 y = _mm256_max_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
  const __m128 z = _mm_max_ps(_mm256_castps256_ps128(y), _mm256_extractf128_ps(y, 1));
#elif VECTOR_WIDTH == 8
  const __m128 z = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
#else
  const __m128 z = x;
#endif
  const __m128 w = _mm_max_ps(z, _mm_movehl_ps(z, z));
  return _mm_cvtss_f32(_mm_max_ss(w, _mm_shuffle_ps(w, w, 1)));
}

// The lower and the upper half of the lanes in float64.
VECTOR_INLINE vdouble vector_double_low(vfloat x) {
#if VECTOR_WIDTH == 16
  return _mm512_cvtps_pd(_mm512_castps512_ps256(x));
#elif VECTOR_WIDTH == 8
  return _mm256_cvtps_pd(_mm256_castps256_ps128(x));
#else
  return _mm_cvtps_pd(x);
#endif
}
VECTOR_INLINE vdouble vector_double_high(vfloat x) {
#if VECTOR_WIDTH == 16
  return _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1));
#elif VECTOR_WIDTH == 8
  return _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1));
#else
  return _mm_cvtps_pd(_mm_movehl_ps(x, x));
#endif
}

// The sum of the lanes in float64, from the first lane to the last.
VECTOR_INLINE double vector_sum_double(vdouble x) {
  double sum = 0;
  for (int i = 0; i < VECTOR_WIDTH / 2; i++)
    sum += x[i];
  return sum;
}

// a0 b0 a1 b1 ...: the lower halves of a and b, and the upper halves.
VECTOR_INLINE vfloat vector_interleave_low(vfloat a, vfloat b) {
#if VECTOR_WIDTH == 16
  const __m512i index = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  return _mm512_permutex2var_ps(a, index, b);
#elif VECTOR_WIDTH == 8
  return _mm256_permute2f128_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b), 0x20);
#else
  return _mm_unpacklo_ps(a, b);
#endif
}
VECTOR_INLINE vfloat vector_interleave_high(vfloat a, vfloat b) {
#if VECTOR_WIDTH == 16
  const __m512i index = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  return _mm512_permutex2var_ps(a, index, b);
#elif VECTOR_WIDTH == 8
  return _mm256_permute2f128_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b), 0x31);
#else
  return _mm_unpackhi_ps(a, b);
#endif
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

VECTOR_INLINE vfloat vector_from_bf16(vbf16 x) {
#if VECTOR_WIDTH == 16
  return (vfloat)_mm512_slli_epi32(_mm512_cvtepu16_epi32((__m256i)x), 16);
#elif VECTOR_WIDTH == 8
  return (vfloat)_mm256_slli_epi32(_mm256_cvtepu16_epi32((__m128i)x), 16);
#else
  return (vfloat)_mm_unpacklo_epi16(_mm_setzero_si128(), _mm_set_epi64x(0, (int64_t)x));
#endif
}

// Rounds to nearest even; NaN stays NaN. With __AVX512BF16__ subnormal numbers become 0.
VECTOR_INLINE vbf16 vector_to_bf16(vfloat x) {
#if VECTOR_WIDTH == 16 && defined(__AVX512BF16__)
  return (vbf16)_mm512_cvtneps_pbh(x);
#else
  const vuint bits = (vuint)x;
  const vuint rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
  const vuint result = (vuint)vector_select(x == x, (vfloat)rounded, (vfloat)(bits | 0x400000u)) >> 16;
#if VECTOR_WIDTH == 16
  return (vbf16)_mm512_cvtepi32_epi16((__m512i)result);
#elif VECTOR_WIDTH == 8
  const __m256i packed = _mm256_packus_epi32((__m256i)result, (__m256i)result);
  return (vbf16)_mm256_castsi256_si128(_mm256_permute4x64_epi64(packed, 0x08));
#else
  const __m128i extended = _mm_srai_epi32(_mm_slli_epi32((__m128i)result, 16), 16); // SSE2 packs signed numbers only
  return (vbf16)_mm_cvtsi128_si64(_mm_packs_epi32(extended, extended));
#endif
#endif
}

VECTOR_INLINE vfloat vector_load_bf16(const titan_bf16 *from) {
  return vector_from_bf16(*(const vbf16_unaligned *)from);
}
VECTOR_INLINE void vector_store_bf16(titan_bf16 *to, vfloat x) {
  *(vbf16_unaligned *)to = vector_to_bf16(x);
}

// As vector_load_partial, vector_store_partial.
VECTOR_INLINE vfloat vector_load_bf16_partial(const titan_bf16 *from, int64_t n) {
#if VECTOR_WIDTH == 16
  return vector_from_bf16((vbf16)_mm256_maskz_loadu_epi16((__mmask16)((1u << n) - 1u), from));
#else
  vbf16 x = {0};
  memcpy(&x, from, (size_t)n * sizeof(titan_bf16));
  return vector_from_bf16(x);
#endif
}
VECTOR_INLINE void vector_store_bf16_partial(titan_bf16 *to, vfloat x, int64_t n) {
#if VECTOR_WIDTH == 16
  _mm256_mask_storeu_epi16(to, (__mmask16)((1u << n) - 1u), (__m256i)vector_to_bf16(x));
#else
  const vbf16 y = vector_to_bf16(x);
  memcpy(to, &y, (size_t)n * sizeof(titan_bf16));
#endif
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
