// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/block.h"
#include "device/cpu/kernel.h"

#include <math.h>

// Ba, Kiros and Hinton, "Layer Normalization", arXiv:1607.06450, without a bias: y = (x - mean) * rstd [* w].
typedef struct operands {
  const void *x, *weight; // weight NULL: none
  void *y;
  titan_dtype dtype;
  int64_t width;
} operands;

// Mean of x (power 1), or of (x - mean)^2 (power 2).
static float row_mean(const operands *o, int64_t row, float mean, int power) {
  titan_block buffer;
  double sum = 0;
  for (int64_t first = 0; first < o->width; first += TITAN_BLOCK) {
    int64_t count = titan_block_length(first, o->width);
    const float *x = titan_block_load(o->x, o->dtype, row * o->width + first, count, buffer);
    float part = 0;
    if (power == 1) {
#pragma omp simd reduction(+ : part)
      for (int64_t i = 0; i < count; i++)
        part += x[i];
    } else {
#pragma omp simd reduction(+ : part)
      for (int64_t i = 0; i < count; i++)
        part += (x[i] - mean) * (x[i] - mean);
    }
    sum += (double)part;
  }
  return (float)(sum / (double)o->width);
}

static void row_normalize(const operands *o, int64_t row, float mean, float rstd) {
  titan_block buffer_x, buffer_w, buffer_y;
  for (int64_t first = 0; first < o->width; first += TITAN_BLOCK) {
    int64_t count = titan_block_length(first, o->width), offset = row * o->width + first;
    const float *x = titan_block_load(o->x, o->dtype, offset, count, buffer_x);
    float *y = titan_block_target(o->y, o->dtype, offset, buffer_y);
    if (o->weight != NULL) {
      const float *w = titan_block_load(o->weight, o->dtype, first, count, buffer_w);
#pragma omp simd
      for (int64_t i = 0; i < count; i++)
        y[i] = (x[i] - mean) * rstd * w[i];
    } else {
#pragma omp simd
      for (int64_t i = 0; i < count; i++)
        y[i] = (x[i] - mean) * rstd;
    }
    titan_block_store(o->y, o->dtype, offset, count, buffer_y);
  }
}

static titan_status layer_norm_run(titan_device *device, const titan_op_call *call, void *state,
                                   const void *const *inputs, void *const *outputs, void *workspace) {
  (void)state, (void)workspace;
  operands o = {inputs[0], call->input_count == 2 ? inputs[1] : NULL, outputs[0], call->inputs[0].dtype,
                titan_tensor_columns(&call->inputs[0])};
  int64_t rows = titan_tensor_rows(&call->inputs[0]);
  float epsilon = call->attributes.norm.epsilon, *mean = outputs[1], *rstd = outputs[2];
#pragma omp parallel for schedule(static) num_threads(device->threads) if (rows * o.width > 16 * TITAN_BLOCK)
  for (int64_t row = 0; row < rows; row++) {
    mean[row] = row_mean(&o, row, 0, 1);
    rstd[row] = 1.0f / sqrtf(row_mean(&o, row, mean[row], 2) + epsilon);
    row_normalize(&o, row, mean[row], rstd[row]);
  }
  return TITAN_OK;
}

const titan_kernel TITAN_CPU_KERNEL(layer_norm) = {.run = layer_norm_run};
