// SPDX-License-Identifier: Apache-2.0
// Functions over flat vectors in device memory: those of titan_vector_functions (device/device.h).
#ifndef TITAN_CUDA_KERNELS_VECTOR_H
#define TITAN_CUDA_KERNELS_VECTOR_H

#include "device/device.h"

#include <cuda_runtime_api.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct titan_cuda_adam {
  const titan_step_state *state;
  titan_adam_decay decay;
  int64_t n;
  float *master, *exp_avg, *exp_avg_sq;
  const float *gradient;
  void *compute; // NULL, or the new master in float32, or in bfloat16 where `narrow`
  bool narrow;
} titan_cuda_adam;
void titan_cuda_put_adam(cudaStream_t stream, const titan_cuda_adam *adam);
// The same of up to TITAN_ADAM_SPANS spans in one launch, whose arguments they are: their blocks follow each other.
typedef struct titan_cuda_adam_spans {
  const titan_step_state *state;
  int count;
  bool narrow;
  unsigned blocks[TITAN_ADAM_SPANS]; // of the spans up to this one, itself included
  titan_adam_span spans[TITAN_ADAM_SPANS];
} titan_cuda_adam_spans;
// Sets `blocks`.
void titan_cuda_put_adam_spans(cudaStream_t stream, titan_cuda_adam_spans *spans);
void titan_cuda_put_sum_of_squares(cudaStream_t stream, int64_t n, const float *x, double *sum);
void titan_cuda_put_widen(cudaStream_t stream, int64_t n, const void *from, float *to);
void titan_cuda_put_narrow(cudaStream_t stream, int64_t n, const float *from, void *to);
void titan_cuda_put_fill(cudaStream_t stream, int64_t n, float *x, float value);
void titan_cuda_put_accumulate(cudaStream_t stream, int64_t n, float *y, const float *x);
void titan_cuda_put_scaled_add(cudaStream_t stream, const titan_step_state *state, int64_t n, float *y, float a,
                               const float *x, float b, titan_state_factor factor);
void titan_cuda_put_numbers(cudaStream_t stream, const titan_numbers_request *request, titan_step_numbers *numbers,
                            titan_step_state *state);

#ifdef __cplusplus
}
#endif

#endif
