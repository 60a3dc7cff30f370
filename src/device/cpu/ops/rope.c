#include "device/cpu/block.h"
#include "device/cpu/kernel.h"

// Rotates `pairs` pairs; y may be x. sign -1 rotates back.
static inline void rotate(int64_t pairs, const float *x, const float *table, float sign, float *y) {
#pragma omp simd
  for (int64_t i = 0; i < pairs; i++) {
    float even = x[2 * i], odd = x[2 * i + 1];
    float cosine = table[2 * i], sine = sign * table[2 * i + 1];
    y[2 * i] = even * cosine - odd * sine;
    y[2 * i + 1] = even * sine + odd * cosine;
  }
}

static titan_status run(titan_device *device, const titan_op_call *call, void *state, const void *const *inputs,
                        void *const *outputs, void *workspace) {
  (void)state, (void)workspace;
  const int64_t *dims = call->inputs[0].dims;
  int64_t length = dims[1], heads = dims[2], size = dims[3], rows = dims[0] * length;
  titan_dtype dtype = call->inputs[0].dtype;
  float sign = call->attributes.rope.inverse ? -1.0f : 1.0f;
  const float *table = inputs[1];
#pragma omp parallel for schedule(static) num_threads(device->threads) if (rows * heads * size > 16 * TITAN_BLOCK)
  for (int64_t r = 0; r < rows; r++) {
    titan_block buffer_x, buffer_y;
    const float *angles = table + r % length * size;
    for (int64_t head = 0; head < heads; head++)
      for (int64_t first = 0; first < size; first += TITAN_BLOCK) {
        int64_t offset = (r * heads + head) * size + first, count = titan_block_length(first, size);
        const float *x = titan_block_load(inputs[0], dtype, offset, count, buffer_x);
        float *y = titan_block_target(outputs[0], dtype, offset, buffer_y);
        rotate(count / 2, x, angles + first, sign, y);
        titan_block_store(outputs[0], dtype, offset, count, buffer_y);
      }
  }
  return TITAN_OK;
}

const titan_kernel TITAN_CPU_KERNEL(rope) = {.run = run};
