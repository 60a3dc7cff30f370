// SPDX-License-Identifier: Apache-2.0
// The device's own attention: for float32, and where cuDNN does not serve. Launches; each returns a cudaError_t.
#ifndef TITAN_CUDA_KERNELS_ATTENTION_H
#define TITAN_CUDA_KERNELS_ATTENTION_H

#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// The greatest head size: a row of a tile is kept in registers.
enum { TITAN_ATTENTION_MOST_HEAD = 256 };

typedef struct titan_attention_sizes {
  int batch, length, heads, kv_heads, head_size; // B, L, N, K, H; K divides N
  bool bfloat16;                                 // q, k, v, o and their gradients; else float32
} titan_attention_sizes;

// Once before the first launch: lets the kernels have their shared memory.
int titan_cuda_allow_attention(void);
int titan_cuda_allow_attention_backward(void);

// q, o [B,L,N,H]; k, v [B,L,K,H]; lse [B,N,L] f32.
int titan_cuda_put_attention(titan_attention_sizes sizes, const void *q, const void *k, const void *v, void *o,
                             float *lse, cudaStream_t stream);
// sums [B,N,L] f32 = sum over H of gradient * o.
int titan_cuda_put_attention_row_sums(titan_attention_sizes sizes, const void *o, const void *gradient, float *sums,
                                      cudaStream_t stream);
// dq, dk, dv, of q's, k's and v's shapes; gradient: of o; sums: as above. No sum depends on the order of threads.
int titan_cuda_put_attention_backward(titan_attention_sizes sizes, const void *q, const void *k, const void *v,
                                      const float *lse, const float *sums, const void *gradient, void *dq, void *dk,
                                      void *dv, cudaStream_t stream);

#ifdef __cplusplus
}
#endif

#endif
