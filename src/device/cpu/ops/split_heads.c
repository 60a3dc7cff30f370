// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/kernel.h"
#include "device/cpu/rotate.h"

// One position: q and k rotated, v copied.
VECTOR_INLINE void row_of(titan_dtype dtype, const titan_op_call *call, int64_t row, const void *qkv,
                          const float *angles, void *const *parts) {
  int64_t size = call->attributes.heads.head_size, heads = call->attributes.heads.heads;
  int64_t kv_heads = call->attributes.heads.kv_heads, from = row * (heads + 2 * kv_heads) * size;
  const vfloat signs = rotation_signs(false);
  rotate_heads(dtype, heads, size, qkv, from, angles, signs, parts[0], row * heads * size);
  from += heads * size;
  rotate_heads(dtype, kv_heads, size, qkv, from, angles, signs, parts[1], row * kv_heads * size);
  from += kv_heads * size;
  size_t element = titan_dtype_bytes(dtype), bytes = (size_t)(kv_heads * size) * element;
  memcpy((char *)parts[2] + (size_t)row * bytes, (const char *)qkv + (size_t)from * element, bytes);
}

static titan_status split_heads_run(titan_device *device, const titan_op_call *call, void *state,
                                    const void *const *inputs, void *const *outputs, void *workspace) {
  (void)state, (void)workspace;
  int64_t rows = titan_tensor_rows(&call->inputs[0]), length = call->attributes.heads.length;
  int64_t elements = titan_tensor_elements(&call->inputs[0]);
  bool narrow = call->inputs[0].dtype == TITAN_BFLOAT16;
#pragma omp parallel for schedule(static) num_threads(device->threads) if (elements > 16384)
  for (int64_t row = 0; row < rows; row++) {
    const float *angles = (const float *)inputs[1] + row % length * call->attributes.heads.head_size;
    if (narrow)
      row_of(TITAN_BFLOAT16, call, row, inputs[0], angles, outputs);
    else
      row_of(TITAN_FLOAT32, call, row, inputs[0], angles, outputs);
  }
  return TITAN_OK;
}

const titan_kernel TITAN_CPU_KERNEL(split_heads) = {.run = split_heads_run};
