// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/kernel.h"
#include "device/cpu/rotate.h"

// One position: dq and dk rotated back, dv copied.
VECTOR_INLINE void row_of(titan_dtype dtype, const titan_op_call *call, int64_t row, const void *const *parts,
                          const float *angles, void *qkv) {
  int64_t size = call->attributes.heads.head_size, heads = call->attributes.heads.heads;
  int64_t kv_heads = call->attributes.heads.kv_heads, to = row * (heads + 2 * kv_heads) * size;
  const vfloat signs = rotation_signs(true);
  rotate_heads(dtype, heads, size, parts[0], row * heads * size, angles, signs, qkv, to);
  to += heads * size;
  rotate_heads(dtype, kv_heads, size, parts[1], row * kv_heads * size, angles, signs, qkv, to);
  to += kv_heads * size;
  size_t element = titan_dtype_bytes(dtype), bytes = (size_t)(kv_heads * size) * element;
  memcpy((char *)qkv + (size_t)to * element, (const char *)parts[2] + (size_t)row * bytes, bytes);
}

static titan_status join_heads_run(titan_device *device, const titan_op_call *call, void *state,
                                   const void *const *inputs, void *const *outputs, void *workspace) {
  (void)state, (void)workspace;
  int64_t rows = titan_tensor_rows(&call->outputs[0]), length = call->attributes.heads.length;
  int64_t elements = titan_tensor_elements(&call->outputs[0]);
  bool narrow = call->outputs[0].dtype == TITAN_BFLOAT16;
#pragma omp parallel for schedule(static) num_threads(device->threads) if (elements > 16384)
  for (int64_t row = 0; row < rows; row++) {
    const float *angles = (const float *)inputs[3] + row % length * call->attributes.heads.head_size;
    if (narrow)
      row_of(TITAN_BFLOAT16, call, row, inputs, angles, outputs[0]);
    else
      row_of(TITAN_FLOAT32, call, row, inputs, angles, outputs[0]);
  }
  return TITAN_OK;
}

const titan_kernel TITAN_CPU_KERNEL(join_heads) = {.run = join_heads_run};
