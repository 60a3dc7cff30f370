// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/kernel.h"
#include "device/cpu/rms.h"
#include "device/cpu/row_groups.h"

// With n = x * rstd and g = dy * w:  dx = [c +] rstd * (g - n * mean(g * n)),  dw = sum over rows of dy * n
typedef struct operands {
  const void *dy, *x, *weight;
  const float *rstd;
  const void *carried; // c, or NULL
  void *dx;            // may be dy, x or c: each vector of them is read before it is written
  int64_t rows, width;
} operands;

static size_t rms_norm_backward_workspace_bytes(titan_device *device, const titan_op_call *call) {
  (void)device;
  return titan_row_group_bytes(titan_tensor_rows(&call->inputs[1]), titan_tensor_columns(&call->inputs[1]));
}

VECTOR_INLINE vpair add_product(titan_dtype dtype, const operands *o, int64_t at, int64_t i, vpair sum) {
  const vpair g = pair_mul(pair_load_as(o->dy, dtype, at + i), pair_load_as(o->weight, dtype, i));
  return pair_fma(g, pair_load_as(o->x, dtype, at + i), sum);
}

// mean(g * n) of the row at element `at`.
VECTOR_INLINE float mean_product(titan_dtype dtype, const operands *o, int64_t at, float rstd) {
  double total = 0;
  for (int64_t i = 0; i < o->width;) {
    int64_t end = o->width - i < RMS_BLOCK ? o->width : i + RMS_BLOCK;
    vpair sums[2] = {{{0}, {0}}, {{0}, {0}}};
    for (; i + 2 * PAIR_WIDTH <= end; i += 2 * PAIR_WIDTH) {
#pragma GCC unroll 2
      for (int k = 0; k < 2; k++)
        sums[k] = add_product(dtype, o, at, i + k * PAIR_WIDTH, sums[k]);
    }
    for (; i < end; i += VECTOR_WIDTH) {
      int64_t rest = end - i < VECTOR_WIDTH ? end - i : VECTOR_WIDTH;
      const vfloat w = vector_load_as_partial(o->weight, dtype, i, rest);
      const vfloat g = vector_load_as_partial(o->dy, dtype, at + i, rest) * w;
      sums[0].a = vector_fma(g, vector_load_as_partial(o->x, dtype, at + i, rest), sums[0].a);
    }
    i = end;
    total += (double)vector_sum((sums[0].a + sums[1].a) + (sums[0].b + sums[1].b));
  }
  return (float)(total / (double)o->width) * rstd;
}

// dw: its lanes lie as those of pairs of the type, where there are whole pairs.
VECTOR_INLINE void row_of(titan_dtype dtype, bool round_twice, const operands *o, int64_t row, float *dw) {
  const titan_dtype between = round_twice ? dtype : TITAN_FLOAT32; // of the forward's n, which dw sees
  int64_t at = row * o->width, i = 0;
  const float rstd = o->rstd[row], mean = mean_product(dtype, o, at, rstd);
  const vpair scale = pair_set(rstd), away = pair_set(-mean);
  for (; i + PAIR_WIDTH <= o->width; i += PAIR_WIDTH) {
    const vpair dy = pair_load_as(o->dy, dtype, at + i), n = pair_mul(pair_load_as(o->x, dtype, at + i), scale);
    const vpair g = pair_mul(dy, pair_load_as(o->weight, dtype, i));
    const vpair c = o->carried != NULL ? pair_load_as(o->carried, dtype, at + i) : pair_set(0);
    const vpair sum = pair_load_as(dw, TITAN_FLOAT32, i);
    pair_store_as(dw, TITAN_FLOAT32, i, pair_fma(dy, pair_rounded_as(between, n), sum));
    pair_store_as(o->dx, dtype, at + i, pair_fma(scale, pair_fma(n, away, g), c));
  }
  for (; i < o->width; i += VECTOR_WIDTH) {
    int64_t rest = o->width - i < VECTOR_WIDTH ? o->width - i : VECTOR_WIDTH;
    const vfloat dy = vector_load_as_partial(o->dy, dtype, at + i, rest);
    const vfloat n = vector_load_as_partial(o->x, dtype, at + i, rest) * scale.a;
    const vfloat g = dy * vector_load_as_partial(o->weight, dtype, i, rest);
    const vfloat sum = vector_fma(dy, vector_rounded_as(between, n), vector_load_partial(dw + i, rest));
    vfloat c = vector_set(0);
    if (o->carried != NULL)
      c = vector_load_as_partial(o->carried, dtype, at + i, rest);
    vector_store_partial(dw + i, sum, rest);
    vector_store_as_partial(o->dx, dtype, at + i, vector_fma(scale.a, vector_fma(n, away.a, g), c), rest);
  }
}

static void put_in_order(int64_t width, float *dw) {
  for (int64_t i = 0; i + PAIR_WIDTH <= width; i += PAIR_WIDTH)
    pair_store_as(dw, TITAN_FLOAT32, i, pair_in_order(TITAN_BFLOAT16, pair_load_as(dw, TITAN_FLOAT32, i)));
}

static titan_status rms_norm_backward_run(titan_device *device, const titan_op_call *call, void *state,
                                          const void *const *inputs, void *const *outputs, void *workspace) {
  (void)state;
  const titan_tensor_type *type = &call->inputs[1];
  const operands o = {.dy = inputs[0],
                      .x = inputs[1],
                      .weight = inputs[2],
                      .rstd = inputs[3],
                      .carried = call->input_count == 5 ? inputs[4] : NULL,
                      .dx = outputs[0],
                      .rows = titan_tensor_rows(type),
                      .width = titan_tensor_columns(type)};
  int64_t stride = titan_row_group_stride(o.width);
  bool narrow = type->dtype == TITAN_BFLOAT16, fused = call->attributes.norm.fused;
#pragma omp parallel for schedule(static) num_threads(device->threads) if (o.rows * o.width > 16384)
  for (int64_t group = 0; group < titan_row_groups(o.rows); group++) {
    float *dw = (float *)workspace + group * stride;
    int64_t end = titan_row_group_begin(o.rows, group + 1);
    memset(dw, 0, (size_t)o.width * sizeof *dw);
    for (int64_t row = titan_row_group_begin(o.rows, group); row < end; row++) {
      if (!narrow)
        row_of(TITAN_FLOAT32, false, &o, row, dw);
      else if (fused)
        row_of(TITAN_BFLOAT16, false, &o, row, dw);
      else
        row_of(TITAN_BFLOAT16, true, &o, row, dw);
    }
  }
  titan_row_groups_sum(o.rows, o.width, workspace, outputs[1], device->threads);
  if (narrow)
    put_in_order(o.width, outputs[1]);
  return TITAN_OK;
}

const titan_kernel TITAN_CPU_KERNEL(rms_norm_backward) = {.workspace = rms_norm_backward_workspace_bytes,
                                                          .run = rms_norm_backward_run};
