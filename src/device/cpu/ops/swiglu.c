// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/kernel.h"
#include "device/cpu/pair.h"
#include "device/cpu/sigmoid.h"

VECTOR_INLINE vfloat gated(vfloat gate, vfloat up) {
  return vector_silu(gate) * up;
}

// One row: from + 0 .. width is the gate, from + width .. 2 width what it lets through.
VECTOR_INLINE void row_of(titan_dtype dtype, int64_t width, const void *gate_up, int64_t from, void *hidden,
                          int64_t to) {
  int64_t i = 0;
  for (; i + PAIR_WIDTH <= width; i += PAIR_WIDTH) {
    const vpair gate = pair_load_as(gate_up, dtype, from + i), up = pair_load_as(gate_up, dtype, from + width + i);
    pair_store_as(hidden, dtype, to + i, (vpair){gated(gate.a, up.a), gated(gate.b, up.b)});
  }
  for (; i + VECTOR_WIDTH <= width; i += VECTOR_WIDTH)
    vector_store_as(hidden, dtype, to + i,
                    gated(vector_load_as(gate_up, dtype, from + i), vector_load_as(gate_up, dtype, from + width + i)));
  if (i < width)
    vector_store_as_partial(hidden, dtype, to + i,
                            gated(vector_load_as_partial(gate_up, dtype, from + i, width - i),
                                  vector_load_as_partial(gate_up, dtype, from + width + i, width - i)),
                            width - i);
}

static titan_status swiglu_run(titan_device *device, const titan_op_call *call, void *state, const void *const *inputs,
                               void *const *outputs, void *workspace) {
  (void)state, (void)workspace;
  int64_t rows = titan_tensor_rows(&call->outputs[0]), width = titan_tensor_columns(&call->outputs[0]);
  bool narrow = call->outputs[0].dtype == TITAN_BFLOAT16;
#pragma omp parallel for schedule(static) num_threads(device->threads) if (rows * width > 16384)
  for (int64_t row = 0; row < rows; row++) {
    if (narrow)
      row_of(TITAN_BFLOAT16, width, inputs[0], row * 2 * width, outputs[0], row * width);
    else
      row_of(TITAN_FLOAT32, width, inputs[0], row * 2 * width, outputs[0], row * width);
  }
  return TITAN_OK;
}

const titan_kernel TITAN_CPU_KERNEL(swiglu) = {.run = swiglu_run};
