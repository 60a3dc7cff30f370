// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/block.h"
#include "device/cpu/kernel.h"
#include "device/logits.h"

static titan_status vocabulary_sums_run(titan_device *device, const titan_op_call *call, void *state,
                                        const void *const *inputs, void *const *outputs, void *workspace) {
  (void)state, (void)workspace;
  const float *logits = inputs[0], *largest = inputs[2];
  const int32_t *labels = inputs[1];
  float *sums = outputs[0];
  int64_t rows = call->inputs[0].dims[0], width = call->inputs[0].dims[1], columns = titan_logits_columns(call);
  int64_t first = call->attributes.cross_entropy.first;
#pragma omp parallel for schedule(static) num_threads(device->threads) if (rows * width > 16 * TITAN_BLOCK)
  for (int64_t r = 0; r < rows; r++) {
    const float *row = logits + r * width;
    float sum = 0, shift = largest[r];
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < columns; i++)
      sum += titan_exp(row[i] - shift);
    int64_t label = labels[r] - first;
    sums[r] = sum;
    sums[rows + r] = label >= 0 && label < columns ? row[label] : 0;
  }
  return TITAN_OK;
}

const titan_kernel TITAN_CPU_KERNEL(vocabulary_sums) = {.run = vocabulary_sums_run};
