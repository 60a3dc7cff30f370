// SPDX-License-Identifier: Apache-2.0
// Matrix products of a warp, and loads of their fragments. All 32 lanes call each function together.
#ifndef TITAN_CUDA_KERNELS_MMA_CUH
#define TITAN_CUDA_KERNELS_MMA_CUH

#include "cuda/kernels/launch.cuh"

// d[16,8] = a[16,16] b[16,8] + c in float32, of bfloat16 pairs (the first in the low half); d may be c. Of lane l, with
// g = l / 4 and t = 2 (l % 4): a = {[g,t], [g+8,t], [g,t+8], [g+8,t+8]} and their right neighbours; b = {[t,g],
// [t+8,g]} and their lower neighbours; c, d = {[g,t], [g,t+1], [g+8,t], [g+8,t+1]}.
static __device__ __forceinline__ void titan_mma_m16n8k16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2],
                                                          const float (&c)[4]) {
#ifdef TITAN_CUDA_EMULATED
  titan_emulated_mma(d, a, b, c);
#else
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
               "{%10,%11,%12,%13};\n"
               : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), "f"(c[0]), "f"(c[1]), "f"(c[2]),
                 "f"(c[3]));
#endif
}

// Four matrices of 8 x 8 elements of 2 bytes in shared memory: lane l names row l % 8 of matrix l / 8 (16 bytes,
// aligned), and gets of each matrix the pair at [l / 4, 2 (l % 4)].
static __device__ __forceinline__ void titan_load_matrices(unsigned (&to)[4], const void *row) {
#ifdef TITAN_CUDA_EMULATED
  titan_emulated_load_matrix(to, row, false);
#else
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];\n"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(static_cast<unsigned>(__cvta_generic_to_shared(row)))
               : "memory");
#endif
}

// The same of each matrix transposed.
static __device__ __forceinline__ void titan_load_matrices_transposed(unsigned (&to)[4], const void *row) {
#ifdef TITAN_CUDA_EMULATED
  titan_emulated_load_matrix(to, row, true);
#else
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];\n"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(static_cast<unsigned>(__cvta_generic_to_shared(row)))
               : "memory");
#endif
}

#endif
