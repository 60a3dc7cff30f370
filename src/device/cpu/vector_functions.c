// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/block.h"
#include "device/cpu/kernel.h"
#include "device/numbers.h"

#include <math.h>

enum { PARTS = 256 };

typedef struct adam_factors {
  float beta1, one_minus_beta1, beta2, one_minus_beta2, epsilon, decay, l2, step_size, inverse_root2, gradient_scale;
} adam_factors;

static adam_factors adam_factors_of(const titan_step_state *state, titan_adam_decay decay) {
  const titan_step_constants *s = &state->constants;
  return (adam_factors){
      .beta1 = s->beta1,
      .one_minus_beta1 = (float)(1.0 - (double)s->beta1),
      .beta2 = s->beta2,
      .one_minus_beta2 = (float)(1.0 - (double)s->beta2),
      .epsilon = s->epsilon,
      .decay = decay.decoupled ? (float)(1.0 - (double)s->learning_rate * (double)decay.weight_decay) : 1.0f,
      .l2 = decay.decoupled ? 0.0f : decay.weight_decay,
      .step_size = (float)((double)s->learning_rate / (double)s->bias_correction1),
      .inverse_root2 = (float)(1.0 / sqrt((double)s->bias_correction2)),
      .gradient_scale = state->gradient_scale,
  };
}

static void adam_block(const adam_factors *f, int64_t n, float *restrict w, float *restrict m, float *restrict v,
                       const float *restrict gradient) {
#pragma omp simd
  for (int64_t i = 0; i < n; i++) {
    float g = gradient[i] * f->gradient_scale + f->l2 * w[i];
    float mi = m[i] + f->one_minus_beta1 * (g - m[i]);
    float vi = f->beta2 * v[i] + f->one_minus_beta2 * g * g;
    m[i] = mi;
    v[i] = vi;
    w[i] = w[i] * f->decay - f->step_size * mi / (sqrtf(vi) * f->inverse_root2 + f->epsilon);
  }
}

// Kingma and Ba, "Adam", ICLR 2015; decoupled: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR
// 2019.
static titan_status adam(titan_device *device, const titan_step_state *state, titan_adam_decay decay, int64_t n,
                         float *master, float *exp_avg, float *exp_avg_sq, const float *gradient, void *compute,
                         titan_dtype dtype) {
  if (state->bad)
    return TITAN_OK;
  adam_factors factors = adam_factors_of(state, decay);
#pragma omp parallel for schedule(static) num_threads(device->threads) if (n > 16 * TITAN_BLOCK)
  for (int64_t i = 0; i < n; i += TITAN_BLOCK) {
    int64_t count = titan_block_length(i, n);
    adam_block(&factors, count, master + i, exp_avg + i, exp_avg_sq + i, gradient + i);
    if (compute != NULL && dtype == TITAN_BFLOAT16)
      titan_narrow_exactly(count, master + i, (titan_bf16 *)compute + i);
    else if (compute != NULL && compute != (void *)master)
      memcpy((float *)compute + i, master + i, (size_t)count * sizeof(float));
  }
  return TITAN_OK;
}

// The vector is cut in a fixed number of parts, whose sums are added in order: the result does not depend on the
// threads.
static titan_status sum_of_squares(titan_device *device, int64_t n, const float *x, double *out) {
  double sums[PARTS];
#pragma omp parallel for schedule(static) num_threads(device->threads) if (n > 16 * TITAN_BLOCK)
  for (int64_t part = 0; part < PARTS; part++) {
    double sum = 0;
    int64_t begin = n / PARTS * part + (part < n % PARTS ? part : n % PARTS);
    int64_t end = begin + n / PARTS + (part < n % PARTS);
#pragma omp simd reduction(+ : sum)
    for (int64_t i = begin; i < end; i++)
      sum += (double)x[i] * (double)x[i];
    sums[part] = sum;
  }
  double total = 0;
  for (int part = 0; part < PARTS; part++)
    total += sums[part];
  *out = total;
  return TITAN_OK;
}

static titan_status convert(titan_device *device, int64_t n, const void *from, titan_dtype from_dtype, void *to,
                            titan_dtype to_dtype) {
#pragma omp parallel for schedule(static) num_threads(device->threads) if (n > 16 * TITAN_BLOCK)
  for (int64_t i = 0; i < n; i += TITAN_BLOCK) {
    int64_t count = titan_block_length(i, n);
    size_t size = titan_dtype_bytes(from_dtype);
    if (from_dtype == to_dtype)
      memmove((char *)to + (size_t)i * size, (const char *)from + (size_t)i * size, (size_t)count * size);
    else if (from_dtype == TITAN_BFLOAT16)
      titan_widen(count, (const titan_bf16 *)from + i, (float *)to + i);
    else
      titan_narrow_exactly(count, (const float *)from + i, (titan_bf16 *)to + i);
  }
  return TITAN_OK;
}

static titan_status fill(titan_device *device, int64_t n, float *x, float value) {
#pragma omp parallel for simd schedule(static) num_threads(device->threads) if (n > 16 * TITAN_BLOCK)
  for (int64_t i = 0; i < n; i++)
    x[i] = value;
  return TITAN_OK;
}

static titan_status accumulate(titan_device *device, int64_t n, float *y, const float *x) {
#pragma omp parallel for simd schedule(static) num_threads(device->threads) if (n > 16 * TITAN_BLOCK)
  for (int64_t i = 0; i < n; i++)
    y[i] += x[i];
  return TITAN_OK;
}

static titan_status scaled_add(titan_device *device, const titan_step_state *state, int64_t n, float *y, float a,
                               const float *x, float b, titan_state_factor factor) {
  if (state->bad)
    return TITAN_OK;
  b *= titan_state_factor_of(state, factor);
#pragma omp parallel for simd schedule(static) num_threads(device->threads) if (n > 16 * TITAN_BLOCK)
  for (int64_t i = 0; i < n; i++)
    y[i] = a * y[i] + b * x[i];
  return TITAN_OK;
}

const titan_vector_functions TITAN_CPU_KERNEL(vector_functions) = {.adam = adam,
                                                                   .sum_of_squares = sum_of_squares,
                                                                   .convert = convert,
                                                                   .fill = fill,
                                                                   .accumulate = accumulate,
                                                                   .scaled_add = scaled_add,
                                                                   .numbers = titan_cpu_numbers};
