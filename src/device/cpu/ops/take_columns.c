// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/kernel.h"

#include <string.h>

static titan_status take_columns_run(titan_device *device, const titan_op_call *call, void *state,
                                     const void *const *inputs, void *const *outputs, void *workspace) {
  (void)state, (void)workspace;
  const titan_tensor_type *type = &call->outputs[0];
  int64_t rows = titan_tensor_rows(type), ranks = call->attributes.collective.ranks;
  size_t row_bytes = (size_t)titan_tensor_columns(type) * titan_dtype_bytes(type->dtype);
#pragma omp parallel for schedule(static) num_threads(device->threads)
  for (int64_t r = 0; r < rows; r++)
    memcpy((char *)outputs[0] + (size_t)r * row_bytes,
           (const char *)inputs[0] + (size_t)(r * ranks + call->attributes.collective.rank) * row_bytes, row_bytes);
  return TITAN_OK;
}

const titan_kernel TITAN_CPU_KERNEL(take_columns) = {.run = take_columns_run};
