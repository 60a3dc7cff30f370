// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/block.h"
#include "device/cpu/kernel.h"
#include "device/logits.h"

#include <math.h>

static titan_status vocabulary_max_run(titan_device *device, const titan_op_call *call, void *state,
                                       const void *const *inputs, void *const *outputs, void *workspace) {
  (void)state, (void)workspace;
  const float *logits = inputs[0];
  float *largest = outputs[0];
  int64_t rows = call->inputs[0].dims[0], width = call->inputs[0].dims[1], columns = titan_logits_columns(call);
#pragma omp parallel for schedule(static) num_threads(device->threads) if (rows * width > 16 * TITAN_BLOCK)
  for (int64_t r = 0; r < rows; r++) {
    float most = -INFINITY;
    const float *row = logits + r * width;
#pragma omp simd reduction(max : most)
    for (int64_t i = 0; i < columns; i++)
      most = row[i] > most ? row[i] : most;
    largest[r] = most;
  }
  return TITAN_OK;
}

const titan_kernel TITAN_CPU_KERNEL(vocabulary_max) = {.run = vocabulary_max_run};
