// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/kernel.h"
#include "device/cpu/pair.h"
#include "device/cpu/sigmoid.h"

enum { CHUNK = 4096 }; // elements that a thread takes at a time

VECTOR_INLINE vfloat gradient(vfloat dy, vfloat x) {
  const vfloat one = vector_set(1.0f), s = one / vector_sigmoid_denominator(x);
  return dy * s * vector_fma(x, one - s, one);
}

VECTOR_INLINE void chunk_of(titan_dtype dtype, int64_t i, int64_t end, const void *dy, const void *x, void *dx) {
  for (; i + PAIR_WIDTH <= end; i += PAIR_WIDTH) {
    const vpair d = pair_load_as(dy, dtype, i), both = pair_load_as(x, dtype, i);
    pair_store_as(dx, dtype, i, (vpair){gradient(d.a, both.a), gradient(d.b, both.b)});
  }
  for (; i < end; i += VECTOR_WIDTH) {
    int64_t rest = end - i < VECTOR_WIDTH ? end - i : VECTOR_WIDTH;
    const vfloat d = vector_load_as_partial(dy, dtype, i, rest);
    vector_store_as_partial(dx, dtype, i, gradient(d, vector_load_as_partial(x, dtype, i, rest)), rest);
  }
}

static titan_status silu_backward_run(titan_device *device, const titan_op_call *call, void *state,
                                      const void *const *inputs, void *const *outputs, void *workspace) {
  (void)state, (void)workspace;
  int64_t n = titan_tensor_elements(&call->outputs[0]);
  bool narrow = call->outputs[0].dtype == TITAN_BFLOAT16;
#pragma omp parallel for schedule(static) num_threads(device->threads) if (n > 16384)
  for (int64_t begin = 0; begin < n; begin += CHUNK) {
    int64_t end = begin + CHUNK < n ? begin + CHUNK : n;
    if (narrow)
      chunk_of(TITAN_BFLOAT16, begin, end, inputs[0], inputs[1], outputs[0]);
    else
      chunk_of(TITAN_FLOAT32, begin, end, inputs[0], inputs[1], outputs[0]);
  }
  return TITAN_OK;
}

const titan_kernel TITAN_CPU_KERNEL(silu_backward) = {.run = silu_backward_run};
