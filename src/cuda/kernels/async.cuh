// SPDX-License-Identifier: Apache-2.0
// Copies from device memory to shared memory that go on beside the thread that asks for them.
#ifndef TITAN_CUDA_KERNELS_ASYNC_CUH
#define TITAN_CUDA_KERNELS_ASYNC_CUH

#include "cuda/kernels/launch.cuh"

// 16 bytes, both ends aligned; `zero`: zeros instead, and `from` (which must be a valid address) is not read. Other
// threads see them after this one's wait and a barrier.
static __device__ __forceinline__ void titan_copy_async_16(void *to_shared, const void *from, bool zero) {
#ifdef TITAN_CUDA_EMULATED
  titan_emulated_copy_async(to_shared, from, zero);
#else
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(
                   static_cast<unsigned>(__cvta_generic_to_shared(to_shared))),
               "l"(__cvta_generic_to_global(from)), "r"(zero ? 0 : 16)
               : "memory");
#endif
}

// What the thread has asked for since its last call is a group.
static __device__ __forceinline__ void titan_copy_async_commit() {
#ifdef TITAN_CUDA_EMULATED
  titan_emulated_copy_commit();
#else
  asm volatile("cp.async.commit_group;\n" ::: "memory");
#endif
}

// Waits until at most the thread's last GROUPS groups are on their way.
template <int GROUPS> static __device__ __forceinline__ void titan_copy_async_wait() {
#ifdef TITAN_CUDA_EMULATED
  titan_emulated_copy_wait(GROUPS);
#else
  asm volatile("cp.async.wait_group %0;\n" ::"n"(GROUPS) : "memory");
#endif
}

#endif
