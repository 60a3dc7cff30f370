// SPDX-License-Identifier: Apache-2.0
// Normalisation of rows, and its gradients. Nothing is returned: titan_cuda_launched tells whether a launch failed.
#ifndef TITAN_CUDA_KERNELS_NORM_H
#define TITAN_CUDA_KERNELS_NORM_H

#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// With m the mean of a row, which is 0 where `mean` is NULL (root mean square): y = (x - m) rstd weight. Operands are
// bfloat16 where `narrow`, else float32; statistics are float32.
typedef struct titan_cuda_norm {
  const void *x, *residual, *weight; // residual NULL: none; else x + residual is normalised; weight NULL: ones
  void *y, *sum;                     // sum: x + residual, rounded; y may be the memory of x or of the residual
  float *mean, *rstd;
  int64_t rows, width;
  float epsilon;
  bool narrow, round_twice; // round_twice: (x - m) rstd is rounded before the weight
} titan_cuda_norm;
void titan_cuda_put_norm(cudaStream_t stream, const titan_cuda_norm *norm);

// With n = (x - m) rstd and g = dy weight: dx = carried + rstd (g - mean(g) - n mean(g n)), of which mean(g) is missing
// where `mean` is NULL; dweight = the sum over rows of dy n.
typedef struct titan_cuda_norm_backward {
  const void *dy, *x, *weight, *carried; // weight, carried: may be NULL
  const float *mean, *rstd;
  void *dx;        // may be the memory of dy, x or carried
  float *dweight;  // NULL where weight is
  float *partials; // TITAN_CUDA_NORM_GROUPS * width floats
  int64_t rows, width;
  bool narrow, round_twice; // round_twice: dweight sees n rounded
} titan_cuda_norm_backward;
enum { TITAN_CUDA_NORM_GROUPS = 256 }; // of rows, each with its own sum; the sums are added in order
void titan_cuda_put_norm_backward(cudaStream_t stream, const titan_cuda_norm_backward *norm);

#ifdef __cplusplus
}
#endif

#endif
