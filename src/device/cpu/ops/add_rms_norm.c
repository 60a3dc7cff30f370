// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/kernel.h"
#include "device/cpu/rms.h"

static titan_status add_rms_norm_run(titan_device *device, const titan_op_call *call, void *state,
                                     const void *const *inputs, void *const *outputs, void *workspace) {
  (void)state, (void)workspace;
  int64_t rows = titan_tensor_rows(&call->inputs[0]), width = titan_tensor_columns(&call->inputs[0]);
  float epsilon = call->attributes.norm.epsilon, *rstd = outputs[1];
  bool narrow = call->inputs[0].dtype == TITAN_BFLOAT16, fused = call->attributes.norm.fused;
#pragma omp parallel for schedule(static) num_threads(device->threads) if (rows * width > 16384)
  for (int64_t r = 0; r < rows; r++) {
    const rms_row row = {inputs[0], inputs[1], inputs[2], outputs[2], outputs[0], r * width, width};
    if (!narrow)
      rstd[r] = rms_row_run(TITAN_FLOAT32, true, false, &row, epsilon);
    else if (fused)
      rstd[r] = rms_row_run(TITAN_BFLOAT16, true, false, &row, epsilon);
    else
      rstd[r] = rms_row_run(TITAN_BFLOAT16, true, true, &row, epsilon);
  }
  return TITAN_OK;
}

const titan_kernel TITAN_CPU_KERNEL(add_rms_norm) = {.run = add_rms_norm_run};
