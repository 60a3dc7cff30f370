// SPDX-License-Identifier: Apache-2.0
// Packs: 16 bytes of neighbouring elements, as a thread reads and writes them. Arithmetic is in float32; bfloat16 is
// rounded to nearest even.
//
// Where the operands of a launch are aligned to 16 bytes, and rows are whole packs, kernels have VECTOR set and move
// packs at once; else the same threads move the same elements one by one, so that results do not depend on where
// operands lie.
#ifndef TITAN_CUDA_KERNELS_PACK_CUH
#define TITAN_CUDA_KERNELS_PACK_CUH

#include "cuda/kernels/launch.cuh"

#include <cstdint>

template <typename T> constexpr int titan_pack_width = 16 / static_cast<int>(sizeof(T));

// As they lie in memory.
template <typename T> struct titan_raw_pack;
template <> struct titan_raw_pack<float> { float4 words; };
template <> struct titan_raw_pack<__nv_bfloat16> { uint4 words; };

static __device__ __forceinline__ float titan_low_half(unsigned word) {
  return __uint_as_float(word << 16);
}
static __device__ __forceinline__ float titan_high_half(unsigned word) {
  return __uint_as_float(word & 0xffff0000u);
}

static __device__ __forceinline__ void titan_unpack(const titan_raw_pack<float> &raw, float (&to)[4]) {
  to[0] = raw.words.x;
  to[1] = raw.words.y;
  to[2] = raw.words.z;
  to[3] = raw.words.w;
}
static __device__ __forceinline__ void titan_unpack(const titan_raw_pack<__nv_bfloat16> &raw, float (&to)[8]) {
  const unsigned words[4] = {raw.words.x, raw.words.y, raw.words.z, raw.words.w};
#pragma unroll
  for (int i = 0; i < 4; i++) {
    to[2 * i] = titan_low_half(words[i]);
    to[2 * i + 1] = titan_high_half(words[i]);
  }
}

// Two elements in one word, the first in the low half.
static __device__ __forceinline__ unsigned titan_word_of(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return static_cast<unsigned>(__bfloat16_as_ushort(pair.x)) | static_cast<unsigned>(__bfloat16_as_ushort(pair.y))
                                                                   << 16;
}

static __device__ __forceinline__ float titan_value(float x) {
  return x;
}
static __device__ __forceinline__ float titan_value(__nv_bfloat16 x) {
  return __bfloat162float(x);
}
template <typename T> static __device__ __forceinline__ T titan_narrowed(float x) {
  if constexpr (sizeof(T) == 2)
    return __float2bfloat16_rn(x);
  else
    return x;
}
// As after a trip through memory of the type.
template <typename T> static __device__ __forceinline__ float titan_rounded(float x) {
  return titan_value(titan_narrowed<T>(x));
}

template <typename T> static __device__ __forceinline__ titan_raw_pack<T> titan_load_raw(const T *from) {
  TITAN_VECTOR_ACCESS(from, 16);
  return *reinterpret_cast<const titan_raw_pack<T> *>(from);
}

// `count` elements (at least a pack's, or fewer) from `from`; the rest is 0.
template <bool VECTOR, typename T>
static __device__ __forceinline__ void titan_load(const T *from, int64_t count, float (&to)[titan_pack_width<T>]) {
  if (VECTOR && count >= titan_pack_width<T>) {
    titan_unpack(titan_load_raw(from), to);
    return;
  }
#pragma unroll
  for (int i = 0; i < titan_pack_width<T>; i++)
    to[i] = i < count ? titan_value(from[i]) : 0.0f;
}

static __device__ __forceinline__ void titan_store_pack(float *to, const float (&from)[4]) {
  TITAN_VECTOR_ACCESS(to, 16);
  *reinterpret_cast<float4 *>(to) = make_float4(from[0], from[1], from[2], from[3]);
}
static __device__ __forceinline__ void titan_store_pack(__nv_bfloat16 *to, const float (&from)[8]) {
  TITAN_VECTOR_ACCESS(to, 16);
  *reinterpret_cast<uint4 *>(to) = make_uint4(titan_word_of(from[0], from[1]), titan_word_of(from[2], from[3]),
                                              titan_word_of(from[4], from[5]), titan_word_of(from[6], from[7]));
}

template <bool VECTOR, typename T>
static __device__ __forceinline__ void titan_store(T *to, int64_t count, const float (&from)[titan_pack_width<T>]) {
  if (VECTOR && count >= titan_pack_width<T>) {
    titan_store_pack(to, from);
    return;
  }
#pragma unroll
  for (int i = 0; i < titan_pack_width<T>; i++)
    if (i < count)
      to[i] = titan_narrowed<T>(from[i]);
}

// --- on the host: how a launch is made ---

// Whether all of the pointers (NULL is fine) are multiples of 16 bytes.
template <typename... Pointers> static bool titan_aligned(const Pointers *...pointers) {
  return ((reinterpret_cast<uintptr_t>(pointers) | ... | uintptr_t{0}) % 16) == 0;
}

static inline int64_t titan_least(int64_t a, int64_t b) {
  return a < b ? a : b;
}

static inline int64_t titan_parts(int64_t whole, int64_t part) {
  return (whole + part - 1) / part;
}

#endif
