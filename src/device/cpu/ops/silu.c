// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/kernel.h"
#include "device/cpu/pair.h"
#include "device/cpu/sigmoid.h"

enum { CHUNK = 4096 }; // elements that a thread takes at a time

VECTOR_INLINE void chunk_of(titan_dtype dtype, int64_t i, int64_t end, const void *x, void *y) {
  for (; i + PAIR_WIDTH <= end; i += PAIR_WIDTH) {
    const vpair both = pair_load_as(x, dtype, i);
    pair_store_as(y, dtype, i, (vpair){vector_silu(both.a), vector_silu(both.b)});
  }
  for (; i < end; i += VECTOR_WIDTH) {
    int64_t rest = end - i < VECTOR_WIDTH ? end - i : VECTOR_WIDTH;
    vector_store_as_partial(y, dtype, i, vector_silu(vector_load_as_partial(x, dtype, i, rest)), rest);
  }
}

static titan_status silu_run(titan_device *device, const titan_op_call *call, void *state, const void *const *inputs,
                             void *const *outputs, void *workspace) {
  (void)state, (void)workspace;
  int64_t n = titan_tensor_elements(&call->outputs[0]);
  bool narrow = call->outputs[0].dtype == TITAN_BFLOAT16;
#pragma omp parallel for schedule(static) num_threads(device->threads) if (n > 16384)
  for (int64_t begin = 0; begin < n; begin += CHUNK) {
    int64_t end = begin + CHUNK < n ? begin + CHUNK : n;
    if (narrow)
      chunk_of(TITAN_BFLOAT16, begin, end, inputs[0], outputs[0]);
    else
      chunk_of(TITAN_FLOAT32, begin, end, inputs[0], outputs[0]);
  }
  return TITAN_OK;
}

const titan_kernel TITAN_CPU_KERNEL(silu) = {.run = silu_run};
