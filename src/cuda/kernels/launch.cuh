// SPDX-License-Identifier: Apache-2.0
// How kernels are written and launched, so that the same files compile with nvcc and, for tests, with a C++ compiler
// and the emulator (tests/cuda_emulator/emulator.h, which lists what kernels may use). Included by every .cu file.
//
// A .cu file has kernels and functions `extern "C"` that launch them on a stream; they take plain types alone
// (kernels/*.h declares them for C). The C files in cuda/ops know operations, and call these functions.
#ifndef TITAN_CUDA_KERNELS_LAUNCH_CUH
#define TITAN_CUDA_KERNELS_LAUNCH_CUH

#ifdef TITAN_CUDA_EMULATED
#include <emulator.h> // the macros below with the same meaning
#else
#include <cuda_bf16.h>
#include <cuda_runtime.h>
// TITAN_LAUNCH(kernel, grid, block, shared_bytes, stream, arguments...); a name with commas stands in parentheses.
#define TITAN_LAUNCH(kernel, grid, block, shared_bytes, stream, ...)                                                   \
  do {                                                                                                                 \
    auto titan_launched_kernel = kernel;                                                                               \
    titan_launched_kernel<<<(grid), (block), (shared_bytes), (stream)>>>(__VA_ARGS__);                                 \
  } while (0)
// More than 48 KiB of dynamic shared memory for the kernel; a cudaError_t.
#define TITAN_ALLOW_SHARED(kernel, bytes)                                                                              \
  cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes))
// Stands before a load or store of a vector type: the emulator checks that the address is a multiple of `bytes`.
#define TITAN_VECTOR_ACCESS(address, bytes) static_cast<void>(0)
// An array in the block's static shared memory: TITAN_SHARED(float, tile, [64][65]); TITAN_SHARED(float, mean, ) is one
// value.
#define TITAN_SHARED(type, name, dimensions) __shared__ type name dimensions
// `name`: the block's dynamic shared memory as an array of `type`, aligned to 16 bytes.
#define TITAN_DYNAMIC_SHARED(type, name)                                                                               \
  extern __shared__ __align__(16) unsigned char titan_dynamic_shared[];                                                \
  type *name = reinterpret_cast<type *>(titan_dynamic_shared)
#endif

#endif
