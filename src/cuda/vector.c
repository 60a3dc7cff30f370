// SPDX-License-Identifier: Apache-2.0
#include "cuda/kernels/vector.h"
#include "cuda/cuda.h"
#include "cuda/kernels/elementwise.h"

static titan_status adam(titan_device *device, const titan_step_state *state, titan_adam_decay decay, int64_t n,
                         float *master, float *exp_avg, float *exp_avg_sq, const float *gradient, void *compute,
                         titan_dtype dtype) {
  titan_cuda_put_adam(titan_cuda_stream(device), &(titan_cuda_adam){.state = state,
                                                                    .decay = decay,
                                                                    .n = n,
                                                                    .master = master,
                                                                    .exp_avg = exp_avg,
                                                                    .exp_avg_sq = exp_avg_sq,
                                                                    .gradient = gradient,
                                                                    .compute = compute,
                                                                    .narrow = dtype == TITAN_BFLOAT16});
  return titan_cuda_launched("adam");
}

static titan_status adam_spans(titan_device *device, const titan_step_state *state, int count,
                               const titan_adam_span *spans, titan_dtype dtype) {
  titan_cuda_adam_spans all = {.state = state, .count = count, .narrow = dtype == TITAN_BFLOAT16};
  if (count > TITAN_ADAM_SPANS)
    return titan_error(TITAN_ERROR_INTERNAL, "adam of %d spans at once, expected %d at most", count, TITAN_ADAM_SPANS);
  for (int i = 0; i < count; i++)
    all.spans[i] = spans[i];
  titan_cuda_put_adam_spans(titan_cuda_stream(device), &all);
  return titan_cuda_launched("adam_spans");
}

static titan_status sum_of_squares(titan_device *device, int64_t n, const float *x, double *sum) {
  titan_cuda_put_sum_of_squares(titan_cuda_stream(device), n, x, sum);
  return titan_cuda_launched("sum_of_squares");
}

static titan_status convert(titan_device *device, int64_t n, const void *from, titan_dtype from_dtype, void *to,
                            titan_dtype to_dtype) {
  cudaStream_t stream = titan_cuda_stream(device);
  if (from_dtype != to_dtype && from_dtype == TITAN_BFLOAT16)
    titan_cuda_put_widen(stream, n, from, to);
  else if (from_dtype != to_dtype)
    titan_cuda_put_narrow(stream, n, from, to);
  else if (n > 0 && from != to)
    titan_cuda_put_copy(stream, (size_t)n * titan_dtype_bytes(from_dtype), from, to);
  return titan_cuda_launched("convert");
}

static titan_status fill(titan_device *device, int64_t n, float *x, float value) {
  titan_cuda_put_fill(titan_cuda_stream(device), n, x, value);
  return titan_cuda_launched("fill");
}

static titan_status accumulate(titan_device *device, int64_t n, float *y, const float *x) {
  titan_cuda_put_accumulate(titan_cuda_stream(device), n, y, x);
  return titan_cuda_launched("accumulate");
}

static titan_status scaled_add(titan_device *device, const titan_step_state *state, int64_t n, float *y, float a,
                               const float *x, float b, titan_state_factor factor) {
  titan_cuda_put_scaled_add(titan_cuda_stream(device), state, n, y, a, x, b, factor);
  return titan_cuda_launched("scaled_add");
}

static titan_status numbers(titan_device *device, const titan_numbers_request *request, titan_step_numbers *result,
                            titan_step_state *state) {
  titan_cuda_put_numbers(titan_cuda_stream(device), request, result, state);
  return titan_cuda_launched("numbers");
}

const titan_vector_functions titan_cuda_vector_functions = {.adam = adam,
                                                            .adam_spans = adam_spans,
                                                            .sum_of_squares = sum_of_squares,
                                                            .convert = convert,
                                                            .fill = fill,
                                                            .accumulate = accumulate,
                                                            .scaled_add = scaled_add,
                                                            .numbers = numbers};
