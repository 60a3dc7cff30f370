// SPDX-License-Identifier: Apache-2.0
// Memory that a GPU's kernels need beside their operands, from the algorithms that they and their libraries have. The
// same formulas plan for a GPU that is not there (meta) and are what the kernels of one that is there ask for.
#ifndef TITAN_DEVICE_GPU_WORKSPACE_H
#define TITAN_DEVICE_GPU_WORKSPACE_H

#include "graph/op.h"

// Of a chunk of the loss head: fewer chunks read the output's weights, and add up their gradient, less often.
#define TITAN_GPU_LOGITS_BYTES ((size_t)1 << 30)

// Bytes for a call. capability: the device's CUDA compute capability times ten; 0: another maker's device, of which
// only the algorithms that all libraries share are known.
size_t titan_gpu_workspace(const titan_op_call *call, int capability);

#endif
