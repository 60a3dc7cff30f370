// SPDX-License-Identifier: Apache-2.0
// The sigmoid, for silu and swiglu and their gradients. e^-x is infinite below -88, which gives 0.
#ifndef TITAN_CUDA_KERNELS_SIGMOID_CUH
#define TITAN_CUDA_KERNELS_SIGMOID_CUH

#include "cuda/kernels/launch.cuh"

static __device__ __forceinline__ float titan_sigmoid(float x) {
  return 1.0f / (1.0f + __expf(-x));
}

static __device__ __forceinline__ float titan_silu(float x) {
  return x / (1.0f + __expf(-x));
}

#endif
