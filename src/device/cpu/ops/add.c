// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/block.h"
#include "device/cpu/kernel.h"

static titan_status add_run(titan_device *device, const titan_op_call *call, void *state, const void *const *inputs,
                            void *const *outputs, void *workspace) {
  (void)state, (void)workspace;
  int64_t n = titan_tensor_elements(&call->outputs[0]);
  titan_dtype dtype = call->outputs[0].dtype;
#pragma omp parallel for schedule(static) num_threads(device->threads) if (n > 16 * TITAN_BLOCK)
  for (int64_t begin = 0; begin < n; begin += TITAN_BLOCK) {
    titan_block buffer_a, buffer_b, buffer_y;
    int64_t length = titan_block_length(begin, n);
    const float *a = titan_block_load(inputs[0], dtype, begin, length, buffer_a);
    const float *b = titan_block_load(inputs[1], dtype, begin, length, buffer_b);
    float *y = titan_block_target(outputs[0], dtype, begin, buffer_y);
#pragma omp simd
    for (int64_t i = 0; i < length; i++)
      y[i] = a[i] + b[i];
    titan_block_store(outputs[0], dtype, begin, length, buffer_y);
  }
  return TITAN_OK;
}

const titan_kernel TITAN_CPU_KERNEL(add) = {.run = add_run};
