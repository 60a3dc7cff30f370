// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/block.h"
#include "device/cpu/kernel.h"

#include <string.h>

// Columns that a thread owns are cut at cache lines, and at most a block wide.
enum { CACHE_LINE_FLOATS = 16 };

static void scatter_columns(const titan_op_call *call, const int32_t *tokens, const void *dy, float *table,
                            int64_t first, int64_t count) {
  int64_t rows = titan_tensor_elements(&call->inputs[0]), width = titan_tensor_columns(&call->inputs[1]);
  titan_dtype dtype = call->inputs[1].dtype;
  titan_block buffer;
  for (int64_t v = 0; v < call->outputs[0].dims[0]; v++)
    memset(table + v * width + first, 0, (size_t)count * sizeof *table);
  for (int64_t r = 0; r < rows; r++) {
    int64_t row = tokens[r] - call->attributes.embedding.first;
    if (row < 0 || row >= call->outputs[0].dims[0])
      continue;
    const float *from = titan_block_load(dy, dtype, r * width + first, count, buffer);
    float *to = table + row * width + first;
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
      to[i] += from[i];
  }
}

// Each thread owns columns, so a table row's sum is taken in the order of the tokens whatever the number of threads.
static titan_status embedding_backward_run(titan_device *device, const titan_op_call *call, void *state,
                                           const void *const *inputs, void *const *outputs, void *workspace) {
  (void)state, (void)workspace;
  const int32_t *tokens = inputs[0];
  int64_t rows = titan_tensor_elements(&call->inputs[0]), width = titan_tensor_columns(&call->inputs[1]);
  int64_t vocabulary = call->outputs[0].dims[0];
  for (int64_t r = 0; r < rows && !call->attributes.embedding.shard; r++)
    if (tokens[r] < 0 || tokens[r] >= vocabulary)
      return titan_error(TITAN_ERROR_DATA, "embedding_backward: token %d at row %lld, expected 0 to %lld", tokens[r],
                         (long long)r, (long long)vocabulary - 1);
  int64_t lines = (width + CACHE_LINE_FLOATS - 1) / CACHE_LINE_FLOATS;
  int64_t share = (lines + device->threads - 1) / device->threads * CACHE_LINE_FLOATS;
  if (share > TITAN_BLOCK)
    share = TITAN_BLOCK;
#pragma omp parallel for schedule(static) num_threads(device->threads) if (rows * width > 16384)
  for (int64_t first = 0; first < width; first += share)
    scatter_columns(call, tokens, inputs[1], outputs[0], first, width - first < share ? width - first : share);
  return TITAN_OK;
}

const titan_kernel TITAN_CPU_KERNEL(embedding_backward) = {.run = embedding_backward_run};
