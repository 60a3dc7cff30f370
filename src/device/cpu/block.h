// SPDX-License-Identifier: Apache-2.0
// Blocks of floats for streaming kernels. A kernel works on short runs of float32 in the L1 cache: a float32 operand is
// used where it lies, a bfloat16 operand is widened to a buffer and narrowed back. So every kernel is written once, as
// plain loops that the compiler vectorises for the level at hand.
#ifndef TITAN_DEVICE_CPU_BLOCK_H
#define TITAN_DEVICE_CPU_BLOCK_H

#include "device/cpu/vector.h"

// Elements a block has at most; a kernel keeps a few buffers of this size (4 KiB each) on its stack.
enum { TITAN_BLOCK = 1024 };
typedef float titan_block[TITAN_BLOCK] __attribute__((aligned(64))); // a buffer

// Bits of a float and back, in a form that vectorises.
static inline uint32_t titan_float_bits(float value) {
  union {
    float f;
    uint32_t u;
  } pun = {.f = value};
  return pun.u;
}

static inline float titan_float_of_bits(uint32_t bits) {
  union {
    uint32_t u;
    float f;
  } pun = {.u = bits};
  return pun.f;
}

static inline void titan_widen(int64_t n, const titan_bf16 *restrict from, float *restrict to) {
#pragma omp simd
  for (int64_t i = 0; i < n; i++)
    to[i] = titan_float_of_bits((uint32_t)from[i] << 16);
}

// As titan_bf16_from_float, without a branch.
static inline uint32_t titan_narrow_bits(float value) {
  uint32_t bits = titan_float_bits(value);
  uint32_t rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
  uint32_t nan = bits | 0x400000u;
  return ((bits & 0x7fffffffu) > 0x7f800000u ? nan : rounded) >> 16;
}

static inline void titan_narrow_exactly(int64_t n, const float *restrict from, titan_bf16 *restrict to) {
#pragma omp simd
  for (int64_t i = 0; i < n; i++)
    to[i] = (titan_bf16)titan_narrow_bits(from[i]);
}

// As titan_narrow_exactly, but that the converting instruction of AVX512_BF16, where there is one, gives 0 for
// subnormals.
static inline void titan_narrow(int64_t n, const float *restrict from, titan_bf16 *restrict to) {
#ifdef __AVX512BF16__
  int64_t i = 0;
  for (; i + VECTOR_WIDTH <= n; i += VECTOR_WIDTH)
    vector_store_bf16(to + i, vector_load(from + i));
  if (i < n)
    vector_store_bf16_partial(to + i, vector_load_partial(from + i, n - i), n - i);
#else
  titan_narrow_exactly(n, from, to);
#endif
}

// values[n] after a trip through bfloat16.
static inline void titan_round_bf16(int64_t n, float *values) {
  int64_t i = 0;
  for (; i + VECTOR_WIDTH <= n; i += VECTOR_WIDTH)
    vector_store(values + i, vector_from_bf16(vector_to_bf16(vector_load(values + i))));
  for (; i < n; i++)
    values[i] = titan_float_of_bits(titan_narrow_bits(values[i]) << 16);
}

// Elements [offset, offset + n) of an operand as floats: its own memory, or `buffer`.
static inline const float *titan_block_load(const void *operand, titan_dtype dtype, int64_t offset, int64_t n,
                                            float *buffer) {
  if (dtype == TITAN_FLOAT32)
    return (const float *)operand + offset;
  titan_widen(n, (const titan_bf16 *)operand + offset, buffer);
  return buffer;
}

// Where a kernel writes elements from `offset` on: the operand's own memory, or `buffer`, which titan_block_store
// narrows.
static inline float *titan_block_target(void *operand, titan_dtype dtype, int64_t offset, float *buffer) {
  return dtype == TITAN_FLOAT32 ? (float *)operand + offset : buffer;
}

static inline void titan_block_store(void *operand, titan_dtype dtype, int64_t offset, int64_t n, const float *buffer) {
  if (dtype == TITAN_BFLOAT16)
    titan_narrow(n, buffer, (titan_bf16 *)operand + offset);
}

static inline int64_t titan_block_length(int64_t begin, int64_t end) {
  return end - begin < TITAN_BLOCK ? end - begin : TITAN_BLOCK;
}

// exp(x) within 2 units in the last place; 0 below -86.6 (far from subnormal numbers), infinity above 88.7, NaN for
// NaN. x = n ln 2 + r, |r| <= ln 2 / 2, ln 2 in two parts; a polynomial of degree 6 for exp(r) (Cephes' expf).
static inline float titan_exp(float x) {
  const float round = 12582912.0f; // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
  float clamped = x > 88.8f ? 88.8f : x;
  clamped = clamped < -86.6f ? -86.6f : clamped;
  float shifted = clamped * 1.44269504f + round;
  float n = shifted - round;
  float r = clamped - n * 0.693359375f;
  r = r + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  // 2^n by its exponent bits; n reaches 128, so half of it is applied at a time
  uint32_t integer = titan_float_bits(shifted) - 0x4b400000u;
  float half = titan_float_of_bits((127u + integer - 1u) << 23);
  float result = p * half * 2.0f;
  return x < -86.6f ? 0.0f : result;
}

#endif
