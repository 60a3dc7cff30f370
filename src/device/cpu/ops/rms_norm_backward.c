#include "device/cpu/kernel.h"
#include "device/cpu/row_groups.h"

// With n = x * rstd and g = dy * w:  dx = rstd * (g - n * mean(g * n)),  dw = sum over rows of dy * n
typedef struct operands {
  const void *dy, *x, *weight;
  const float *rstd;
  void *dx;
  titan_dtype dtype;
  int64_t rows, width;
  bool round_twice; // the forward rounded n before the weight, so dw sees the rounded n
} operands;

static size_t workspace_bytes(titan_device *device, const titan_op_call *call) {
  (void)device;
  return titan_row_group_bytes(titan_tensor_rows(&call->inputs[1]), titan_tensor_columns(&call->inputs[1]));
}

static float mean_product(const operands *o, int64_t row) {
  titan_block buffer_dy, buffer_x, buffer_w;
  double sum = 0;
  for (int64_t first = 0; first < o->width; first += TITAN_BLOCK) {
    int64_t count = titan_block_length(first, o->width), offset = row * o->width + first;
    const float *dy = titan_block_load(o->dy, o->dtype, offset, count, buffer_dy);
    const float *x = titan_block_load(o->x, o->dtype, offset, count, buffer_x);
    const float *w = titan_block_load(o->weight, o->dtype, first, count, buffer_w);
    float part = 0;
#pragma omp simd reduction(+ : part)
    for (int64_t i = 0; i < count; i++)
      part += dy[i] * w[i] * x[i];
    sum += (double)part;
  }
  return (float)(sum / (double)o->width) * o->rstd[row];
}

static void row_gradient(const operands *o, int64_t row, float mean, float *dw) {
  titan_block buffer_dy, buffer_x, buffer_w, buffer_dx;
  float rstd = o->rstd[row];
  for (int64_t first = 0; first < o->width; first += TITAN_BLOCK) {
    int64_t count = titan_block_length(first, o->width), offset = row * o->width + first;
    const float *dy = titan_block_load(o->dy, o->dtype, offset, count, buffer_dy);
    const float *x = titan_block_load(o->x, o->dtype, offset, count, buffer_x);
    const float *w = titan_block_load(o->weight, o->dtype, first, count, buffer_w);
    float *dx = titan_block_target(o->dx, o->dtype, offset, buffer_dx), *sum = dw + first;
    if (o->round_twice) {
      titan_block n;
#pragma omp simd
      for (int64_t i = 0; i < count; i++)
        n[i] = x[i] * rstd;
      titan_round_bf16(count, n);
#pragma omp simd
      for (int64_t i = 0; i < count; i++)
        sum[i] += dy[i] * n[i];
    } else {
#pragma omp simd
      for (int64_t i = 0; i < count; i++)
        sum[i] += dy[i] * (x[i] * rstd);
    }
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
      dx[i] = rstd * (dy[i] * w[i] - x[i] * rstd * mean);
    titan_block_store(o->dx, o->dtype, offset, count, buffer_dx);
  }
}

static titan_status run(titan_device *device, const titan_op_call *call, void *state, const void *const *inputs,
                        void *const *outputs, void *workspace) {
  (void)state;
  const titan_tensor_type *type = &call->inputs[1];
  operands o = {inputs[0],
                inputs[1],
                inputs[2],
                inputs[3],
                outputs[0],
                type->dtype,
                titan_tensor_rows(type),
                titan_tensor_columns(type),
                type->dtype == TITAN_BFLOAT16 && !call->attributes.norm.fused};
  int64_t stride = titan_row_group_stride(o.width);
#pragma omp parallel for schedule(static) num_threads(device->threads) if (o.rows * o.width > 16 * TITAN_BLOCK)
  for (int64_t group = 0; group < titan_row_groups(o.rows); group++) {
    float *dw = (float *)workspace + group * stride;
    memset(dw, 0, (size_t)o.width * sizeof *dw);
    for (int64_t row = titan_row_group_begin(o.rows, group); row < titan_row_group_begin(o.rows, group + 1); row++)
      row_gradient(&o, row, mean_product(&o, row), dw);
  }
  titan_row_groups_sum(o.rows, o.width, workspace, outputs[1], device->threads);
  return TITAN_OK;
}

const titan_kernel TITAN_CPU_KERNEL(rms_norm_backward) = {.workspace = workspace_bytes, .run = run};
