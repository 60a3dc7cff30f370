// SPDX-License-Identifier: Apache-2.0
// What is done to each element alike, and gated rows. Operands are bfloat16 where `narrow`, else float32; an output may
// be the memory of an input.
#ifndef TITAN_CUDA_KERNELS_ELEMENTWISE_H
#define TITAN_CUDA_KERNELS_ELEMENTWISE_H

#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum titan_cuda_elementwise {
  TITAN_CUDA_ADD,
  TITAN_CUDA_MUL,
  TITAN_CUDA_SILU_BACKWARD, // a: dy, b: x
} titan_cuda_elementwise;
void titan_cuda_put_elementwise(cudaStream_t stream, titan_cuda_elementwise what, bool narrow, int64_t n, const void *a,
                                const void *b, void *y);
void titan_cuda_put_silu(cudaStream_t stream, bool narrow, int64_t n, const void *x, void *y);
void titan_cuda_put_copy(cudaStream_t stream, size_t bytes, const void *from, void *to);

// gate_up, dgate_up [rows, 2 width]: a row is gate, up. hidden, dhidden [rows, width].
void titan_cuda_put_swiglu(cudaStream_t stream, bool narrow, int64_t rows, int64_t width, const void *gate_up,
                           void *hidden);
void titan_cuda_put_swiglu_backward(cudaStream_t stream, bool narrow, int64_t rows, int64_t width, const void *dhidden,
                                    const void *gate_up, void *dgate_up);

#ifdef __cplusplus
}
#endif

#endif
