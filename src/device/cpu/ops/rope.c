// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/kernel.h"
#include "device/cpu/rotate.h"

static titan_status rope_run(titan_device *device, const titan_op_call *call, void *state, const void *const *inputs,
                             void *const *outputs, void *workspace) {
  (void)state, (void)workspace;
  const int64_t *dims = call->inputs[0].dims;
  int64_t length = dims[1], heads = dims[2], size = dims[3], rows = dims[0] * length;
  bool narrow = call->inputs[0].dtype == TITAN_BFLOAT16, inverse = call->attributes.rope.inverse;
#pragma omp parallel for schedule(static) num_threads(device->threads) if (rows * heads * size > 16384)
  for (int64_t r = 0; r < rows; r++) {
    const float *angles = (const float *)inputs[1] + r % length * size;
    int64_t at = r * heads * size;
    const vfloat signs = rotation_signs(inverse);
    if (narrow)
      rotate_heads(TITAN_BFLOAT16, heads, size, inputs[0], at, angles, signs, outputs[0], at);
    else
      rotate_heads(TITAN_FLOAT32, heads, size, inputs[0], at, angles, signs, outputs[0], at);
  }
  return TITAN_OK;
}

const titan_kernel TITAN_CPU_KERNEL(rope) = {.run = rope_run};
