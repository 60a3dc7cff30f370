// SPDX-License-Identifier: Apache-2.0
#include "device/gpu_workspace.h"

#include "base/memory.h"

// Of rows, each with its own sum of the weights' gradient, added in order afterwards.
enum { NORM_GROUPS = 256 };

// Scores that the deterministic gradient of attention may store at a time, bytes.
static const size_t SCORE_BYTES = (size_t)512 << 20;

static bool is_hopper(titan_gpu_kind gpu) {
  return gpu.capability / 10 == 9;
}

// Head sizes that cuDNN 9 has engines for, a multiple of 8 in bfloat16. Beyond 128 the gradient is Hopper's alone.
static bool dnn_serves(const titan_op_call *call, titan_gpu_kind gpu) {
  const int64_t head_size = call->inputs[0].dims[3];
  const bool wide = call->kind == TITAN_OP_attention || is_hopper(gpu);
  return gpu.dnn && gpu.capability >= 80 && call->inputs[0].dtype == TITAN_BFLOAT16 && head_size % 8 == 0 &&
         head_size <= (wide ? 256 : 128);
}

// Of the scores' gradient of `heads` query heads, which the deterministic form stores in bfloat16: whole tiles.
static size_t score_bytes(const titan_op_call *call, titan_gpu_kind gpu, int64_t heads) {
  const int64_t *q = call->inputs[0].dims;
  const size_t rows = titan_round_up((size_t)q[1], 64),
               columns = titan_round_up((size_t)q[1], is_hopper(gpu) ? 128 : 64);
  return (size_t)(q[0] * heads) * rows * columns * sizeof(uint16_t);
}

// The most kv heads whose scores keep to SCORE_BYTES: a divisor of all, at least one.
static int64_t heads_at_a_time(const titan_op_call *call, titan_gpu_kind gpu) {
  const int64_t all = call->inputs[1].dims[2], group = call->inputs[0].dims[2] / all;
  int64_t most = 1;
  for (int64_t heads = 2; heads <= all; heads++)
    if (all % heads == 0 && score_bytes(call, gpu, heads * group) <= SCORE_BYTES)
      most = heads;
  return most;
}

// What cuDNN 9 needs for `heads` query heads. Its engine of Hopper (9.x) sums in the device's dq_sum, that of Blackwell
// (10.x) too but for a deterministic sum; the one for all others takes as much again. Where query heads share a kv
// head, the gradients of k and v are computed for each and then summed.
static size_t dnn_backward_bytes(const titan_op_call *call, titan_gpu_kind gpu, int64_t heads) {
  const int64_t *q = call->inputs[0].dims;
  const size_t row_bytes = (size_t)(q[0] * heads * q[3]) * sizeof(float);
  const size_t of_heads = call->inputs[1].dims[2] < q[2] ? row_bytes * (size_t)q[1] : 0;
  const size_t scores = gpu.deterministic ? score_bytes(call, gpu, heads) : 0;
  if (is_hopper(gpu))
    return 256 + of_heads + scores;
  if (gpu.capability / 10 == 10 && !gpu.deterministic)
    return of_heads > 0 ? 128 + of_heads : 0;
  return 128 + of_heads + (gpu.deterministic ? scores : row_bytes * titan_round_up((size_t)q[1], 8));
}

// B batch, L sequence, N heads, K kv heads, H head size. cuDNN sums the gradient of q over blocks of keys in float32
// [B,N,L,H], beside a sum for each row [B,N,L] (Dao, "FlashAttention-2", 2023); the own kernels need the latter alone.
titan_gpu_attention titan_gpu_attention_of(const titan_op_call *call, titan_gpu_kind gpu) {
  const int64_t *q = call->inputs[0].dims, kv_heads = call->inputs[1].dims[2];
  titan_gpu_attention way = {.dnn = dnn_serves(call, gpu), .kv_heads = kv_heads};
  const size_t rows = (size_t)(q[0] * q[1]) * sizeof(float);
  if (call->kind == TITAN_OP_attention) {
    way.library = way.dnn && is_hopper(gpu) ? 256 : 0;
    return way;
  }
  if (way.dnn && gpu.deterministic)
    way.kv_heads = heads_at_a_time(call, gpu);
  const int64_t heads = q[2] / kv_heads * way.kv_heads;
  way.sums = titan_round_up(
      rows * (size_t)q[2], TITAN_GPU_WORKSPACE_ALIGNMENT); // of all heads: the own kernels may have to do without cuDNN
  if ((way.dnn && !gpu.deterministic) || gpu.capability == 0)
    way.dq_sum = titan_round_up(rows * (size_t)(heads * q[3]), TITAN_GPU_WORKSPACE_ALIGNMENT);
  if (way.dnn)
    way.library = dnn_backward_bytes(call, gpu, heads);
  return way;
}

size_t titan_gpu_attention_workspace(const titan_op_call *call, titan_gpu_kind gpu) {
  const titan_gpu_attention way = titan_gpu_attention_of(call, gpu);
  return way.sums + way.dq_sum + way.library;
}

size_t titan_gpu_ranks_bytes(const titan_op_call *call) {
  bool scatters = call->kind == TITAN_OP_matmul_scatter;
  size_t chunk = titan_tensor_bytes(scatters ? &call->outputs[0] : &call->inputs[0]);
  return titan_round_up(chunk * (size_t)(call->attributes.collective.ranks + scatters), TITAN_GPU_WORKSPACE_ALIGNMENT);
}

static size_t norm_backward_bytes(const titan_op_call *call) {
  return (size_t)NORM_GROUPS * (size_t)titan_tensor_columns(&call->inputs[1]) * sizeof(float);
}

size_t titan_gpu_workspace(const titan_op_call *call, int capability) {
  size_t product = capability > 0 ? TITAN_GPU_PRODUCT_BYTES : 0;
  switch (call->kind) {
  case TITAN_OP_attention:
  case TITAN_OP_attention_backward:
    return titan_gpu_attention_workspace(call, (titan_gpu_kind){.capability = capability, .dnn = true});
  case TITAN_OP_gather_columns: // the ranks' columns one after another, before they are put side by side
    return titan_tensor_bytes(&call->outputs[0]);
  case TITAN_OP_matmul:
    return product;
  case TITAN_OP_gather_matmul:
  case TITAN_OP_matmul_scatter:
    return titan_gpu_ranks_bytes(call) + product;
  case TITAN_OP_rms_norm_backward:
  case TITAN_OP_layer_norm_backward:
    return norm_backward_bytes(call);
  case TITAN_OP_cross_entropy: // loss of each row in float64, added in order
    return (size_t)titan_tensor_rows(&call->inputs[0]) * sizeof(double);
  default:
    return 0;
  }
}
