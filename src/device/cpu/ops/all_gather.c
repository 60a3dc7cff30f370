// SPDX-License-Identifier: Apache-2.0
#include "comm/comm.h"
#include "device/cpu/kernel.h"

static titan_status all_gather_run(titan_device *device, const titan_op_call *call, void *state, titan_comm *group,
                                   const void *const *inputs, void *const *outputs, void *workspace) {
  (void)device, (void)state, (void)workspace;
  return titan_comm_all_gather(group, inputs[0], outputs[0], (size_t)titan_tensor_elements(&call->inputs[0]),
                               call->inputs[0].dtype, NULL);
}

const titan_kernel TITAN_CPU_KERNEL(all_gather) = {.run_in_group = all_gather_run};
