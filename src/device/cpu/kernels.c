// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/kernel.h"

#define ENTRY_0(name) [TITAN_OP_##name] = &TITAN_CPU_KERNEL(name),
#define ENTRY_1(name)
const titan_kernel *const TITAN_CPU_KERNEL(kernels)[TITAN_OP_COUNT] = {
#define TITAN_OP(name, inputs_min, inputs_max, outputs_min, outputs_max, view, differentiable) ENTRY_##view(name)
#include "graph/ops.def"
#undef TITAN_OP
};
