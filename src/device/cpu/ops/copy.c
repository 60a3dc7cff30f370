// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/kernel.h"

#include <string.h>

// What is copied is small: gradients of norms.
static titan_status copy_run(titan_device *device, const titan_op_call *call, void *state, const void *const *inputs,
                             void *const *outputs, void *workspace) {
  (void)device, (void)state, (void)workspace;
  memcpy(outputs[0], inputs[0], titan_tensor_bytes(&call->outputs[0]));
  return TITAN_OK;
}

const titan_kernel TITAN_CPU_KERNEL(copy) = {.run = copy_run};
