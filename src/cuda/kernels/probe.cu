// SPDX-License-Identifier: Apache-2.0
#include "cuda/kernels/probe.h"

#include "cuda/kernels/launch.cuh"

static __global__ void probe_kernel(int *number) {
  *number = 1;
}

int titan_cuda_probe(void) {
  cudaFuncAttributes attributes;
  return (int)cudaFuncGetAttributes(&attributes, (const void *)probe_kernel);
}
