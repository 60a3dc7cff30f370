// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/block.h"
#include "device/cpu/kernel.h"
#include "device/logits.h"

static titan_status cross_entropy_backward_run(titan_device *device, const titan_op_call *call, void *state,
                                               const void *const *inputs, void *const *outputs, void *workspace) {
  (void)state, (void)workspace;
  const float *logits = inputs[0], *lse = inputs[1], *dloss = inputs[3];
  const int32_t *labels = inputs[2];
  titan_dtype dtype = call->outputs[0].dtype;
  int64_t rows = titan_tensor_rows(&call->inputs[0]), vocabulary = titan_tensor_columns(&call->inputs[0]);
  int64_t columns = titan_logits_columns(call);
  float scale = dloss[0];
#pragma omp parallel for schedule(static) num_threads(device->threads) if (rows * vocabulary > 16 * TITAN_BLOCK)
  for (int64_t r = 0; r < rows; r++) {
    titan_block buffer;
    float shift = lse[r];
    for (int64_t first = 0; first < vocabulary; first += TITAN_BLOCK) {
      int64_t count = titan_block_length(first, vocabulary), offset = r * vocabulary + first;
      const float *x = logits + offset;
      float *d = titan_block_target(outputs[0], dtype, offset, buffer);
      int64_t counted = labels[r] < 0 ? 0 : columns - first;
#pragma omp simd
      for (int64_t i = 0; i < count; i++)
        d[i] = scale * titan_exp(x[i] - shift);
      for (int64_t i = counted > 0 ? counted : 0; i < count; i++)
        d[i] = 0;
      int64_t label = labels[r] - call->attributes.cross_entropy.first - first;
      if (label >= 0 && label < count && label < counted)
        d[label] -= scale;
      titan_block_store(outputs[0], dtype, offset, count, buffer);
    }
  }
  return TITAN_OK;
}

const titan_kernel TITAN_CPU_KERNEL(cross_entropy_backward) = {.run = cross_entropy_backward_run};
