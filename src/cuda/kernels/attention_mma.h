// SPDX-License-Identifier: Apache-2.0
// The kernels of attention.h for bfloat16 and heads of at most 128 elements, which use matrix fragments. The launches
// of attention.h choose them.
#ifndef TITAN_CUDA_KERNELS_ATTENTION_MMA_H
#define TITAN_CUDA_KERNELS_ATTENTION_MMA_H

#include "cuda/kernels/attention.h"

static inline bool titan_attention_uses_mma(titan_attention_sizes sizes) {
  return sizes.bfloat16 && sizes.head_size <= 128;
}

#ifdef __cplusplus
extern "C" {
#endif

int titan_cuda_allow_attention_mma(void);
int titan_cuda_allow_attention_mma_backward(void);
int titan_cuda_put_attention_mma(titan_attention_sizes sizes, const void *q, const void *k, const void *v, void *o,
                                 float *lse, cudaStream_t stream);
int titan_cuda_put_attention_mma_backward(titan_attention_sizes sizes, const void *q, const void *k, const void *v,
                                          const float *lse, const float *sums, const void *gradient, void *dq, void *dk,
                                          void *dv, cudaStream_t stream);

#ifdef __cplusplus
}
#endif

#endif
