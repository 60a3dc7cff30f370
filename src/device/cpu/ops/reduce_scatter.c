// SPDX-License-Identifier: Apache-2.0
#include "comm/comm.h"
#include "device/cpu/kernel.h"

static titan_status reduce_scatter_run(titan_device *device, const titan_op_call *call, void *state, titan_comm *group,
                                       const void *const *inputs, void *const *outputs, void *workspace) {
  (void)device, (void)state, (void)workspace;
  return titan_comm_reduce_scatter(group, inputs[0], outputs[0], (size_t)titan_tensor_elements(&call->outputs[0]),
                                   call->inputs[0].dtype, TITAN_SUM, NULL);
}

const titan_kernel TITAN_CPU_KERNEL(reduce_scatter) = {.run_in_group = reduce_scatter_run};
