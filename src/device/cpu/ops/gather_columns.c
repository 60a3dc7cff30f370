// SPDX-License-Identifier: Apache-2.0
#include "comm/comm.h"
#include "device/cpu/kernel.h"

#include <string.h>

// The ranks' matrices one after another, as they come.
static size_t gather_columns_workspace_bytes(titan_device *device, const titan_op_call *call) {
  (void)device;
  return titan_tensor_bytes(&call->outputs[0]);
}

static titan_status gather_columns_run(titan_device *device, const titan_op_call *call, void *state, titan_comm *group,
                                       const void *const *inputs, void *const *outputs, void *workspace) {
  (void)state;
  const titan_tensor_type *type = &call->inputs[0];
  int64_t rows = titan_tensor_rows(type), ranks = call->attributes.collective.ranks;
  size_t row_bytes = (size_t)titan_tensor_columns(type) * titan_dtype_bytes(type->dtype);
  TITAN_TRY(titan_comm_all_gather(group, inputs[0], workspace, (size_t)titan_tensor_elements(type), type->dtype, NULL));
#pragma omp parallel for schedule(static) num_threads(device->threads)
  for (int64_t r = 0; r < rows; r++)
    for (int64_t rank = 0; rank < ranks; rank++)
      memcpy((char *)outputs[0] + (size_t)(r * ranks + rank) * row_bytes,
             (const char *)workspace + (size_t)(rank * rows + r) * row_bytes, row_bytes);
  return TITAN_OK;
}

const titan_kernel TITAN_CPU_KERNEL(gather_columns) = {.workspace = gather_columns_workspace_bytes,
                                                       .run_in_group = gather_columns_run};
