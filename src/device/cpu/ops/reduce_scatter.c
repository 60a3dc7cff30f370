#include "comm/comm.h"
#include "device/cpu/kernel.h"

static titan_status run(titan_device *device, const titan_op_call *call, void *state, const void *const *inputs,
                        void *const *outputs, void *workspace) {
  (void)state, (void)workspace;
  return titan_comm_reduce_scatter(device->groups[call->attributes.collective.dimension], inputs[0], outputs[0],
                                   (size_t)titan_tensor_elements(&call->outputs[0]), call->inputs[0].dtype, TITAN_SUM,
                                   NULL);
}

const titan_kernel TITAN_CPU_KERNEL(reduce_scatter) = {.run = run};
