// SPDX-License-Identifier: Apache-2.0
// Collectives over a group of the device, and the copies that put columns in their places.
#include "comm/comm.h"
#include "cuda/blas.h"
#include "device/queue.h"

static size_t elements(const titan_tensor_type *type) {
  return (size_t)titan_tensor_elements(type);
}

static titan_status all_gather_run(titan_device *device, const titan_op_call *call, void *state, titan_comm *group,
                                   const void *const *inputs, void *const *outputs, void *workspace) {
  (void)device, (void)state, (void)workspace;
  return titan_comm_all_gather(group, inputs[0], outputs[0], elements(&call->inputs[0]), call->inputs[0].dtype, NULL);
}

static titan_status reduce_scatter_run(titan_device *device, const titan_op_call *call, void *state, titan_comm *group,
                                       const void *const *inputs, void *const *outputs, void *workspace) {
  (void)device, (void)state, (void)workspace;
  return titan_comm_reduce_scatter(group, inputs[0], outputs[0], elements(&call->outputs[0]), call->inputs[0].dtype,
                                   TITAN_SUM, NULL);
}

static titan_status all_reduce_run(titan_device *device, const titan_op_call *call, void *state, titan_comm *group,
                                   const void *const *inputs, void *const *outputs, void *workspace) {
  (void)device, (void)state, (void)workspace;
  return titan_comm_all_reduce(group, inputs[0], outputs[0], elements(&call->inputs[0]), call->inputs[0].dtype,
                               call->attributes.collective.maximum ? TITAN_MAX : TITAN_SUM, NULL);
}

static size_t row_bytes(const titan_tensor_type *type) {
  return (size_t)titan_tensor_columns(type) * titan_dtype_bytes(type->dtype);
}

// The workspace has the ranks' matrices one after another, as they come.
static titan_status gather_columns_run(titan_device *device, const titan_op_call *call, void *state, titan_comm *group,
                                       const void *const *inputs, void *const *outputs, void *workspace) {
  (void)state;
  const titan_tensor_type *type = &call->inputs[0];
  size_t columns = row_bytes(type), ranks = (size_t)call->attributes.collective.ranks;
  TITAN_TRY(titan_comm_all_gather(group, inputs[0], workspace, elements(type), type->dtype, NULL));
  for (size_t rank = 0; rank < ranks; rank++)
    TITAN_TRY(titan_queue_copy_rows(device, TITAN_QUEUE_COMPUTE, (char *)outputs[0] + rank * columns, ranks * columns,
                                    (const char *)workspace + rank * titan_tensor_bytes(type), columns, columns,
                                    (size_t)titan_tensor_rows(type)));
  return TITAN_OK;
}

static titan_status take_columns_run(titan_device *device, const titan_op_call *call, void *state,
                                     const void *const *inputs, void *const *outputs, void *workspace) {
  (void)state, (void)workspace;
  const titan_tensor_type *type = &call->outputs[0];
  size_t columns = row_bytes(type), rank = (size_t)call->attributes.collective.rank;
  return titan_queue_copy_rows(device, TITAN_QUEUE_COMPUTE, outputs[0], columns,
                               (const char *)inputs[0] + rank * columns, row_bytes(&call->inputs[0]), columns,
                               (size_t)titan_tensor_rows(type));
}

const titan_kernel TITAN_CUDA_KERNEL(all_gather) = {.run_in_group = all_gather_run};
const titan_kernel TITAN_CUDA_KERNEL(reduce_scatter) = {.run_in_group = reduce_scatter_run};
const titan_kernel TITAN_CUDA_KERNEL(all_reduce) = {.run_in_group = all_reduce_run};
const titan_kernel TITAN_CUDA_KERNEL(gather_columns) = {.workspace = titan_cuda_workspace,
                                                        .run_in_group = gather_columns_run};
const titan_kernel TITAN_CUDA_KERNEL(take_columns) = {.run = take_columns_run};
