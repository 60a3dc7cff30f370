// SPDX-License-Identifier: Apache-2.0
#include "device/gpu_workspace.h"

enum {
  PRODUCT_BYTES = 32 << 20, // what cuBLASLt's heuristics may choose from
  NORM_GROUPS = 256,        // of rows, each with its own sum of the weights' gradient, added in order afterwards
  ATTENTION_BYTES = 512,    // cuDNN's own, beside what follows
  ALIGNMENT = 256,          // of what lies in a workspace
};

// B batch, L sequence, N heads, K kv heads, H head size. The gradient of q is summed over blocks of keys in float32
// [B,N,L,H], beside a sum for each row [B,N,L] (Dao, "FlashAttention-2", 2023). cuDNN 9 takes as much again for the
// gradients of k and v of each head where several share one (K < N), and on compute capability 8.x once more.
static size_t attention_backward_bytes(const titan_op_call *call, int capability) {
  size_t q = (size_t)titan_tensor_elements(&call->inputs[0]), rows = (size_t)titan_tensor_elements(&call->inputs[4]);
  size_t bytes = (q + rows) * sizeof(float);
  bool shares = call->inputs[1].dims[2] < call->inputs[0].dims[2];
  if (capability == 0 || call->inputs[0].dtype == TITAN_FLOAT32) // cuDNN has no float32
    return bytes;
  bytes += (shares ? q * sizeof(float) : 0) + ATTENTION_BYTES;
  return bytes + (capability / 10 == 8 ? q * sizeof(float) : 0);
}

// `matrix` of all ranks of the group, before the workspace of a product.
static size_t ranks_bytes(const titan_op_call *call, const titan_tensor_type *matrix) {
  size_t bytes = titan_tensor_bytes(matrix) * (size_t)call->attributes.collective.ranks;
  return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static size_t norm_backward_bytes(const titan_op_call *call) {
  return (size_t)NORM_GROUPS * (size_t)titan_tensor_columns(&call->inputs[1]) * sizeof(float);
}

size_t titan_gpu_workspace(const titan_op_call *call, int capability) {
  size_t product = capability > 0 ? PRODUCT_BYTES : 0;
  switch (call->kind) {
  case TITAN_OP_attention_backward:
    return attention_backward_bytes(call, capability);
  case TITAN_OP_gather_columns: // the ranks' columns one after another, before they are put side by side
    return titan_tensor_bytes(&call->outputs[0]);
  case TITAN_OP_matmul:
    return product;
  case TITAN_OP_gather_matmul: // the gathered rows
    return ranks_bytes(call, &call->inputs[0]) + product;
  case TITAN_OP_matmul_scatter: // the product, before it is summed over the ranks
    return ranks_bytes(call, &call->outputs[0]) + product;
  case TITAN_OP_rms_norm_backward:
  case TITAN_OP_layer_norm_backward:
    return norm_backward_bytes(call);
  case TITAN_OP_cross_entropy: // loss of each row in float64, added in order
    return (size_t)titan_tensor_rows(&call->inputs[0]) * sizeof(double);
  default:
    return 0;
  }
}
