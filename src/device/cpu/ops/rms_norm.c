#include "device/cpu/block.h"
#include "device/cpu/kernel.h"

#include <math.h>

// Zhang and Sennrich, "Root Mean Square Layer Normalization", NeurIPS 2019.
typedef struct operands {
  const void *x, *weight;
  void *y;
  titan_dtype dtype;
  int64_t width;
} operands;

static float row_rstd(const operands *o, int64_t row, float epsilon) {
  titan_block buffer;
  double sum = 0;
  for (int64_t first = 0; first < o->width; first += TITAN_BLOCK) {
    int64_t count = titan_block_length(first, o->width);
    const float *x = titan_block_load(o->x, o->dtype, row * o->width + first, count, buffer);
    float part = 0;
#pragma omp simd reduction(+ : part)
    for (int64_t i = 0; i < count; i++)
      part += x[i] * x[i];
    sum += (double)part;
  }
  return 1.0f / sqrtf((float)(sum / (double)o->width) + epsilon);
}

static void row_normalize(const operands *o, int64_t row, float rstd, bool round_twice) {
  titan_block buffer_x, buffer_w, buffer_y;
  for (int64_t first = 0; first < o->width; first += TITAN_BLOCK) {
    int64_t count = titan_block_length(first, o->width), offset = row * o->width + first;
    const float *x = titan_block_load(o->x, o->dtype, offset, count, buffer_x);
    const float *w = titan_block_load(o->weight, o->dtype, first, count, buffer_w);
    float *y = titan_block_target(o->y, o->dtype, offset, buffer_y);
    if (round_twice) {
      titan_block n;
#pragma omp simd
      for (int64_t i = 0; i < count; i++)
        n[i] = x[i] * rstd;
      titan_round_bf16(count, n);
#pragma omp simd
      for (int64_t i = 0; i < count; i++)
        y[i] = n[i] * w[i];
    } else {
#pragma omp simd
      for (int64_t i = 0; i < count; i++)
        y[i] = x[i] * rstd * w[i];
    }
    titan_block_store(o->y, o->dtype, offset, count, buffer_y);
  }
}

static titan_status run(titan_device *device, const titan_op_call *call, void *state, const void *const *inputs,
                        void *const *outputs, void *workspace) {
  (void)state, (void)workspace;
  operands o = {inputs[0], inputs[1], outputs[0], call->inputs[0].dtype, titan_tensor_columns(&call->inputs[0])};
  int64_t rows = titan_tensor_rows(&call->inputs[0]);
  float epsilon = call->attributes.norm.epsilon, *rstd = outputs[1];
  bool round_twice = o.dtype == TITAN_BFLOAT16 && !call->attributes.norm.fused;
#pragma omp parallel for schedule(static) num_threads(device->threads) if (rows * o.width > 16 * TITAN_BLOCK)
  for (int64_t row = 0; row < rows; row++) {
    rstd[row] = row_rstd(&o, row, epsilon);
    row_normalize(&o, row, rstd[row], round_twice);
  }
  return TITAN_OK;
}

const titan_kernel TITAN_CPU_KERNEL(rms_norm) = {.run = run};
