// SPDX-License-Identifier: Apache-2.0
#include "cuda/kernels/rotary.h"
#include "cuda/cuda.h"

static titan_status rope_run(titan_device *device, const titan_op_call *call, void *state, const void *const *inputs,
                             void *const *outputs, void *workspace) {
  (void)state, (void)workspace;
  const int64_t *dims = call->inputs[0].dims;
  titan_cuda_put_rotary(titan_cuda_stream(device),
                        &(titan_cuda_rotary){.packed = (void *)(uintptr_t)inputs[0],
                                             .q = outputs[0],
                                             .table = inputs[1],
                                             .rows = dims[0] * dims[1],
                                             .length = dims[1],
                                             .heads = dims[2],
                                             .size = dims[3],
                                             .narrow = call->inputs[0].dtype == TITAN_BFLOAT16,
                                             .back = call->attributes.rope.inverse});
  return titan_cuda_launched("rope");
}

// All but the pointers.
static titan_cuda_rotary rotary_of(const titan_op_call *call, const titan_tensor_type *packed) {
  return (titan_cuda_rotary){.rows = titan_tensor_rows(packed),
                             .length = call->attributes.heads.length,
                             .heads = call->attributes.heads.heads,
                             .kv_heads = call->attributes.heads.kv_heads,
                             .size = call->attributes.heads.head_size,
                             .narrow = packed->dtype == TITAN_BFLOAT16};
}

static titan_status split_heads_run(titan_device *device, const titan_op_call *call, void *state,
                                    const void *const *inputs, void *const *outputs, void *workspace) {
  (void)state, (void)workspace;
  titan_cuda_rotary rotary = rotary_of(call, &call->inputs[0]);
  rotary.packed = (void *)(uintptr_t)inputs[0];
  rotary.table = inputs[1];
  rotary.q = outputs[0];
  rotary.k = outputs[1];
  rotary.v = outputs[2];
  titan_cuda_put_rotary(titan_cuda_stream(device), &rotary);
  return titan_cuda_launched("split_heads");
}

static titan_status join_heads_run(titan_device *device, const titan_op_call *call, void *state,
                                   const void *const *inputs, void *const *outputs, void *workspace) {
  (void)state, (void)workspace;
  titan_cuda_rotary rotary = rotary_of(call, &call->outputs[0]);
  rotary.join = rotary.back = true;
  rotary.packed = outputs[0];
  rotary.q = (void *)(uintptr_t)inputs[0];
  rotary.k = (void *)(uintptr_t)inputs[1];
  rotary.v = (void *)(uintptr_t)inputs[2];
  rotary.table = inputs[3];
  titan_cuda_put_rotary(titan_cuda_stream(device), &rotary);
  return titan_cuda_launched("join_heads");
}

const titan_kernel TITAN_CUDA_KERNEL(rope) = {.run = rope_run};
const titan_kernel TITAN_CUDA_KERNEL(split_heads) = {.run = split_heads_run};
const titan_kernel TITAN_CUDA_KERNEL(join_heads) = {.run = join_heads_run};
