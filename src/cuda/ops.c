// SPDX-License-Identifier: Apache-2.0
#include "cuda/cuda.h"

#define ENTRY_0(name) [TITAN_OP_##name] = &TITAN_CUDA_KERNEL(name),
#define ENTRY_1(name)
#define TITAN_OP(name, inputs_min, inputs_max, outputs_min, outputs_max, view, differentiable) ENTRY_##view(name)
static const titan_kernel *const kernels[TITAN_OP_COUNT] = {
#include "graph/ops.def"
};

const titan_kernel *titan_cuda_kernel(titan_device *device, titan_op_kind kind) {
  (void)device;
  return kernels[kind];
}
