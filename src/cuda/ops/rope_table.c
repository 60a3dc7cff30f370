// SPDX-License-Identifier: Apache-2.0
// The table is the CPU's, to the bit: made in pinned memory when the call is prepared, and copied when it runs.
#include "cuda/cuda.h"
#include "device/queue.h"

static void rope_table_release(titan_device *device, void *state) {
  // The last copy may still be on its way.
  (void)titan_queue_finish(device, TITAN_QUEUE_COMPUTE);
  device->free(device, TITAN_SPACE_HOST, state);
}

static titan_status rope_table_prepare(titan_device *device, const titan_op_call *call, void **state) {
  titan_device *host = device->host;
  void *table = NULL;
  *state = NULL;
  TITAN_TRY(device->allocate(device, TITAN_SPACE_HOST, TITAN_MEMORY_KERNEL_STATE, titan_tensor_bytes(&call->outputs[0]),
                             &table));
  titan_status status = host->kernel(host, TITAN_OP_rope_table)->run(host, call, NULL, NULL, &table, NULL);
  if (status == TITAN_OK)
    *state = table;
  else
    device->free(device, TITAN_SPACE_HOST, table);
  return status;
}

static titan_status rope_table_run(titan_device *device, const titan_op_call *call, void *state,
                                   const void *const *inputs, void *const *outputs, void *workspace) {
  (void)inputs, (void)workspace;
  return titan_queue_copy(device, TITAN_QUEUE_COMPUTE, outputs[0], state, titan_tensor_bytes(&call->outputs[0]));
}

const titan_kernel TITAN_CUDA_KERNEL(rope_table) = {
    .prepare = rope_table_prepare, .run = rope_table_run, .release = rope_table_release};
