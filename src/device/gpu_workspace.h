// SPDX-License-Identifier: Apache-2.0
// Memory that a GPU's kernels need beside their operands, from the algorithms that they and their libraries have. The
// same formulas plan for a GPU that is not there (meta) and are what the kernels of one that is there ask for.
#ifndef TITAN_DEVICE_GPU_WORKSPACE_H
#define TITAN_DEVICE_GPU_WORKSPACE_H

#include "graph/op.h"

// Of a chunk of the loss head: fewer chunks read the output's weights, and add up their gradient, less often.
#define TITAN_GPU_LOGITS_BYTES ((size_t)1 << 30)

enum {
  TITAN_GPU_PRODUCT_BYTES = 32 << 20,  // of a matrix product: what cuBLASLt's heuristics may choose from
  TITAN_GPU_WORKSPACE_ALIGNMENT = 256, // of the parts of a workspace, bytes
  TITAN_GPU_EXCHANGE_BYTES = 2 << 20,  // memory that NCCL gives is a multiple of these (titan_device.exchange_unit)
};

// Bytes for a call. capability: the device's CUDA compute capability times ten; 0: another maker's device, of which
// only the algorithms that all libraries share are known. Attention as with cuDNN and without determinism.
size_t titan_gpu_workspace(const titan_op_call *call, int capability);
// Of these, where a product is with a transfer, what lies before the workspace of the product. Of a gather_matmul: the
// rows of all ranks. Of a matmul_scatter: a chunk more than the ranks have (comm/chunks.h).
size_t titan_gpu_ranks_bytes(const titan_op_call *call);

// What the way of attention depends on, beside the call.
typedef struct titan_gpu_kind {
  int capability;     // as above
  bool dnn;           // cuDNN is there
  bool deterministic; // no sum may have another order in the next run
} titan_gpu_kind;

// How a GPU computes a call of attention or its gradient. The three parts of its workspace lie one after another.
typedef struct titan_gpu_attention {
  bool dnn;         // by cuDNN; else by the device's own kernels
  int64_t kv_heads; // that it works on at a time: all, or a divisor of them, which saves memory
  size_t sums;      // bytes of the sums of do * o, a float32 a row
  size_t dq_sum;    // bytes of the gradient of q while it is summed over blocks of keys, in float32
  size_t library;   // bytes that cuDNN itself needs
} titan_gpu_attention;

titan_gpu_attention titan_gpu_attention_of(const titan_op_call *call, titan_gpu_kind gpu);
size_t titan_gpu_attention_workspace(const titan_op_call *call, titan_gpu_kind gpu);

#endif
