// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/kernel.h"
#include "device/cpu/row_groups.h"

// With n = (x - mean) * rstd and g = dy [* w]:  dx = rstd * (g - mean(g) - n * mean(g * n)),  dw = sum over rows of dy
// * n
typedef struct operands {
  const void *dy, *x, *weight; // weight NULL: none
  const float *mean, *rstd;
  void *dx;
  titan_dtype dtype;
  int64_t rows, width;
} operands;

typedef struct row_means {
  float g, gn;
} row_means;

static size_t layer_norm_backward_workspace_bytes(titan_device *device, const titan_op_call *call) {
  (void)device;
  if (call->input_count < 5)
    return 0;
  return titan_row_group_bytes(titan_tensor_rows(&call->inputs[1]), titan_tensor_columns(&call->inputs[1]));
}

// g of a block: dy itself, or dy * w in `buffer`.
static const float *load_g(const operands *o, const float *dy, int64_t first, int64_t count, float *buffer) {
  if (o->weight == NULL)
    return dy;
  titan_block buffer_w;
  const float *w = titan_block_load(o->weight, o->dtype, first, count, buffer_w);
#pragma omp simd
  for (int64_t i = 0; i < count; i++)
    buffer[i] = dy[i] * w[i];
  return buffer;
}

static row_means means_of(const operands *o, int64_t row) {
  titan_block buffer_dy, buffer_x, buffer_g;
  float mean = o->mean[row];
  double sum_g = 0, sum_gx = 0;
  for (int64_t first = 0; first < o->width; first += TITAN_BLOCK) {
    int64_t count = titan_block_length(first, o->width), offset = row * o->width + first;
    const float *dy = titan_block_load(o->dy, o->dtype, offset, count, buffer_dy);
    const float *x = titan_block_load(o->x, o->dtype, offset, count, buffer_x);
    const float *g = load_g(o, dy, first, count, buffer_g);
    float part_g = 0, part_gx = 0;
#pragma omp simd reduction(+ : part_g, part_gx)
    for (int64_t i = 0; i < count; i++) {
      part_g += g[i];
      part_gx += g[i] * (x[i] - mean);
    }
    sum_g += (double)part_g;
    sum_gx += (double)part_gx;
  }
  double width = (double)o->width;
  return (row_means){(float)(sum_g / width), (float)(sum_gx / width) * o->rstd[row]};
}

static void row_gradient(const operands *o, int64_t row, row_means means, float *dw) {
  titan_block buffer_dy, buffer_x, buffer_g, buffer_dx;
  float mean = o->mean[row], rstd = o->rstd[row];
  for (int64_t first = 0; first < o->width; first += TITAN_BLOCK) {
    int64_t count = titan_block_length(first, o->width), offset = row * o->width + first;
    const float *dy = titan_block_load(o->dy, o->dtype, offset, count, buffer_dy);
    const float *x = titan_block_load(o->x, o->dtype, offset, count, buffer_x);
    const float *g = load_g(o, dy, first, count, buffer_g);
    float *dx = titan_block_target(o->dx, o->dtype, offset, buffer_dx);
    if (dw != NULL) {
      float *sum = dw + first;
#pragma omp simd
      for (int64_t i = 0; i < count; i++)
        sum[i] += dy[i] * ((x[i] - mean) * rstd);
    }
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
      dx[i] = rstd * (g[i] - means.g - (x[i] - mean) * rstd * means.gn);
    titan_block_store(o->dx, o->dtype, offset, count, buffer_dx);
  }
}

static titan_status layer_norm_backward_run(titan_device *device, const titan_op_call *call, void *state,
                                            const void *const *inputs, void *const *outputs, void *workspace) {
  (void)state;
  const titan_tensor_type *type = &call->inputs[1];
  bool weighted = call->input_count == 5;
  operands o = {inputs[0],
                inputs[1],
                weighted ? inputs[4] : NULL,
                inputs[2],
                inputs[3],
                outputs[0],
                type->dtype,
                titan_tensor_rows(type),
                titan_tensor_columns(type)};
  int64_t stride = titan_row_group_stride(o.width);
#pragma omp parallel for schedule(static) num_threads(device->threads) if (o.rows * o.width > 16 * TITAN_BLOCK)
  for (int64_t group = 0; group < titan_row_groups(o.rows); group++) {
    float *dw = weighted ? (float *)workspace + group * stride : NULL;
    if (dw != NULL)
      memset(dw, 0, (size_t)o.width * sizeof *dw);
    for (int64_t row = titan_row_group_begin(o.rows, group); row < titan_row_group_begin(o.rows, group + 1); row++)
      row_gradient(&o, row, means_of(&o, row), dw);
  }
  if (weighted)
    titan_row_groups_sum(o.rows, o.width, workspace, outputs[1], device->threads);
  return TITAN_OK;
}

const titan_kernel TITAN_CPU_KERNEL(layer_norm_backward) = {.workspace = layer_norm_backward_workspace_bytes,
                                                            .run = layer_norm_backward_run};
