// SPDX-License-Identifier: Apache-2.0
// What depends on the instruction set of x86-64. Private to vector.h.
#ifndef TITAN_DEVICE_CPU_VECTOR_X86_H
#define TITAN_DEVICE_CPU_VECTOR_X86_H

#include "device/cpu/vector_types.h"

#include <immintrin.h>

VECTOR_INLINE vfloat vector_set(float x) {
#if VECTOR_WIDTH == 16
  return _mm512_set1_ps(x);
#elif VECTOR_WIDTH == 8
  return _mm256_set1_ps(x);
#else
  return _mm_set1_ps(x);
#endif
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
  // NOLINTNEXTLINE(misc-redundant-expression): NaN
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

// Lanes 0, 0, 2, 2, ...; 1, 1, 3, 3, ...; 1, 0, 3, 2, ...
VECTOR_INLINE vfloat vector_even_lanes(vfloat x) {
#if VECTOR_WIDTH == 16
  return _mm512_moveldup_ps(x);
#elif VECTOR_WIDTH == 8
  return _mm256_moveldup_ps(x);
#else
  return _mm_shuffle_ps(x, x, 0xa0);
#endif
}
VECTOR_INLINE vfloat vector_odd_lanes(vfloat x) {
#if VECTOR_WIDTH == 16
  return _mm512_movehdup_ps(x);
#elif VECTOR_WIDTH == 8
  return _mm256_movehdup_ps(x);
#else
  return _mm_shuffle_ps(x, x, 0xf5);
#endif
}
VECTOR_INLINE vfloat vector_swap_lanes(vfloat x) {
#if VECTOR_WIDTH == 16
  return _mm512_permute_ps(x, 0xb1);
#elif VECTOR_WIDTH == 8
  return _mm256_permute_ps(x, 0xb1);
#else
  return _mm_shuffle_ps(x, x, 0xb1);
#endif
}

#endif
