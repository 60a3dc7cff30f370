// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/kernel.h"
#include "device/cpu/pair.h"
#include "device/cpu/sigmoid.h"

// With s = sigmoid(gate):  dup = dy * gate * s,  dgate = dy * up * s * (1 + gate * (1 - s))
VECTOR_INLINE void gradients(vfloat dy, vfloat gate, vfloat up, vfloat *dgate, vfloat *dup) {
  const vfloat one = vector_set(1.0f), s = one / vector_sigmoid_denominator(gate), through = dy * s;
  *dup = through * gate;
  *dgate = through * up * vector_fma(gate, one - s, one);
}

// One row; dgate_up may be gate_up: a vector of either half is read before it is written.
VECTOR_INLINE void row_of(titan_dtype dtype, int64_t width, int64_t row, const void *dy, const void *gate_up,
                          void *dgate_up) {
  int64_t gate = row * 2 * width, up = gate + width, i = 0;
  vfloat dgate, dup;
  for (; i + PAIR_WIDTH <= width; i += PAIR_WIDTH) {
    const vpair d = pair_load_as(dy, dtype, row * width + i), g = pair_load_as(gate_up, dtype, gate + i);
    const vpair u = pair_load_as(gate_up, dtype, up + i);
    vpair dg, du;
    gradients(d.a, g.a, u.a, &dg.a, &du.a);
    gradients(d.b, g.b, u.b, &dg.b, &du.b);
    pair_store_as(dgate_up, dtype, gate + i, dg);
    pair_store_as(dgate_up, dtype, up + i, du);
  }
  for (; i + VECTOR_WIDTH <= width; i += VECTOR_WIDTH) {
    gradients(vector_load_as(dy, dtype, row * width + i), vector_load_as(gate_up, dtype, gate + i),
              vector_load_as(gate_up, dtype, up + i), &dgate, &dup);
    vector_store_as(dgate_up, dtype, gate + i, dgate);
    vector_store_as(dgate_up, dtype, up + i, dup);
  }
  int64_t rest = width - i;
  if (rest > 0) {
    gradients(vector_load_as_partial(dy, dtype, row * width + i, rest),
              vector_load_as_partial(gate_up, dtype, gate + i, rest),
              vector_load_as_partial(gate_up, dtype, up + i, rest), &dgate, &dup);
    vector_store_as_partial(dgate_up, dtype, gate + i, dgate, rest);
    vector_store_as_partial(dgate_up, dtype, up + i, dup, rest);
  }
}

static titan_status swiglu_backward_run(titan_device *device, const titan_op_call *call, void *state,
                                        const void *const *inputs, void *const *outputs, void *workspace) {
  (void)state, (void)workspace;
  int64_t rows = titan_tensor_rows(&call->inputs[0]), width = titan_tensor_columns(&call->inputs[0]);
  bool narrow = call->inputs[0].dtype == TITAN_BFLOAT16;
#pragma omp parallel for schedule(static) num_threads(device->threads) if (rows * width > 16384)
  for (int64_t row = 0; row < rows; row++) {
    if (narrow)
      row_of(TITAN_BFLOAT16, width, row, inputs[0], inputs[1], outputs[0]);
    else
      row_of(TITAN_FLOAT32, width, row, inputs[0], inputs[1], outputs[0]);
  }
  return TITAN_OK;
}

const titan_kernel TITAN_CPU_KERNEL(swiglu_backward) = {.run = swiglu_backward_run};
