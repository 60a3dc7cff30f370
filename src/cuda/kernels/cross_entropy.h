// SPDX-License-Identifier: Apache-2.0
// Losses of rows of logits, and their gradients.
#ifndef TITAN_CUDA_KERNELS_CROSS_ENTROPY_H
#define TITAN_CUDA_KERNELS_CROSS_ENTROPY_H

#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// logits [rows, width], of which the first `columns` of a row count; the first stands for label `first`. A row whose
// label is below 0 does not count.
typedef struct titan_cuda_logits {
  const float *logits;
  const int32_t *labels; // [rows]
  int64_t rows, width, columns, first;
} titan_cuda_logits;

// lse [rows]; *loss = the sum over rows of lse - logits[label], by way of losses [rows], in float64.
void titan_cuda_put_cross_entropy(cudaStream_t stream, const titan_cuda_logits *l, double *losses, float *loss,
                                  float *lse);
// dlogits [rows, width] = *dloss (softmax - onehot), bfloat16 where `narrow`; it may be the memory of the logits where
// not.
void titan_cuda_put_cross_entropy_backward(cudaStream_t stream, const titan_cuda_logits *l, bool narrow,
                                           const float *lse, const float *dloss, void *dlogits);
// largest [rows]; labels are not read.
void titan_cuda_put_vocabulary_max(cudaStream_t stream, const titan_cuda_logits *l, float *largest);
// sums [2, rows]: of exp(logit - largest); the label's logit, or 0.
void titan_cuda_put_vocabulary_sums(cudaStream_t stream, const titan_cuda_logits *l, const float *largest, float *sums);
// From largest and sums of all columns: lse [rows] and *loss.
void titan_cuda_put_vocabulary_loss(cudaStream_t stream, int64_t rows, const int32_t *labels, const float *largest,
                                    const float *sums, float *loss, float *lse);

#ifdef __cplusplus
}
#endif

#endif
