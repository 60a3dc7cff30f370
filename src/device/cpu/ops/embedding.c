// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/kernel.h"

#include <string.h>

static titan_status embedding_run(titan_device *device, const titan_op_call *call, void *state,
                                  const void *const *inputs, void *const *outputs, void *workspace) {
  (void)state, (void)workspace;
  const int32_t *tokens = inputs[0];
  const char *table = inputs[1];
  char *x = outputs[0];
  int64_t rows = titan_tensor_elements(&call->inputs[0]), vocabulary = call->inputs[1].dims[0];
  size_t row_bytes = (size_t)call->inputs[1].dims[1] * titan_dtype_bytes(call->inputs[1].dtype);
  int64_t begin = call->attributes.embedding.first;
  bool shard = call->attributes.embedding.shard;
  for (int64_t r = 0; r < rows && !shard; r++)
    if (tokens[r] < 0 || tokens[r] >= vocabulary)
      return titan_error(TITAN_ERROR_DATA, "embedding: token %d at row %lld, expected 0 to %lld", tokens[r],
                         (long long)r, (long long)vocabulary - 1);
#pragma omp parallel for schedule(static) num_threads(device->threads) if (rows * (int64_t)row_bytes > 65536)
  for (int64_t r = 0; r < rows; r++) {
    int64_t row = tokens[r] - begin;
    if (row >= 0 && row < vocabulary)
      memcpy(x + (size_t)r * row_bytes, table + (size_t)row * row_bytes, row_bytes);
    else
      memset(x + (size_t)r * row_bytes, 0, row_bytes);
  }
  return TITAN_OK;
}

const titan_kernel TITAN_CPU_KERNEL(embedding) = {.run = embedding_run};
