// SPDX-License-Identifier: Apache-2.0
// Sums and maxima over the threads of a block, in a fixed order.
#ifndef TITAN_CUDA_KERNELS_REDUCE_CUH
#define TITAN_CUDA_KERNELS_REDUCE_CUH

#include "cuda/kernels/launch.cuh"

#define TITAN_ALL_LANES 0xffffffffu

template <typename T> static __device__ __forceinline__ T titan_warp_sum(T value) {
#pragma unroll
  for (int lanes = 16; lanes > 0; lanes /= 2)
    value += __shfl_xor_sync(TITAN_ALL_LANES, value, lanes);
  return value;
}

static __device__ __forceinline__ float titan_warp_max(float value) {
#pragma unroll
  for (int lanes = 16; lanes > 0; lanes /= 2)
    value = fmaxf(value, __shfl_xor_sync(TITAN_ALL_LANES, value, lanes));
  return value;
}

// Each thread gets the sums of all threads' values. parts: shared memory that the block may write to now. The next call
// has to use other parts, or come after a barrier.
template <int THREADS, int COUNT, typename T>
static __device__ __forceinline__ void titan_block_sums(T (&values)[COUNT], T (&parts)[COUNT][THREADS / 32]) {
#pragma unroll
  for (int i = 0; i < COUNT; i++) {
    values[i] = titan_warp_sum(values[i]);
    if (threadIdx.x % 32 == 0)
      parts[i][threadIdx.x / 32] = values[i];
  }
  __syncthreads();
#pragma unroll
  for (int i = 0; i < COUNT; i++) {
    values[i] = parts[i][0];
#pragma unroll
    for (int warp = 1; warp < THREADS / 32; warp++)
      values[i] += parts[i][warp];
  }
}

template <int THREADS>
static __device__ __forceinline__ float titan_block_max(float value, float (&parts)[THREADS / 32]) {
  value = titan_warp_max(value);
  if (threadIdx.x % 32 == 0)
    parts[threadIdx.x / 32] = value;
  __syncthreads();
  value = parts[0];
#pragma unroll
  for (int warp = 1; warp < THREADS / 32; warp++)
    value = fmaxf(value, parts[warp]);
  return value;
}

#endif
