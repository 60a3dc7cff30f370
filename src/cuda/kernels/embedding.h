// SPDX-License-Identifier: Apache-2.0
// Rows of a table by token, and the sum of gradients by token. Tokens outside of first .. first + vocabulary - 1 give
// zeros, and no gradient.
#ifndef TITAN_CUDA_KERNELS_EMBEDDING_H
#define TITAN_CUDA_KERNELS_EMBEDDING_H

#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct titan_cuda_tokens {
  const int32_t *tokens; // [rows]
  int64_t rows, vocabulary, first;
} titan_cuda_tokens;

// x [rows, row_bytes] = rows of table [vocabulary, row_bytes]
void titan_cuda_put_embedding(cudaStream_t stream, const titan_cuda_tokens *e, const void *table, int64_t row_bytes,
                              void *x);
// dtable [vocabulary, width] f32 = for each token the sum of the rows of dy [rows, width] at its positions, in order
void titan_cuda_put_embedding_backward(cudaStream_t stream, const titan_cuda_tokens *e, bool narrow, const void *dy,
                                       int64_t width, float *dtable);

#ifdef __cplusplus
}
#endif

#endif
