// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/block.h"
#include "device/cpu/kernel.h"
#include "device/logits.h"

#include <math.h>

// One double a row: the rows' losses, added in order, so that the sum does not depend on the number of threads.
static size_t cross_entropy_workspace_bytes(titan_device *device, const titan_op_call *call) {
  (void)device;
  return (size_t)titan_tensor_rows(&call->inputs[0]) * sizeof(double);
}

static float log_sum_exp(int64_t n, const float *x) {
  float largest = -INFINITY, sum = 0;
#pragma omp simd reduction(max : largest)
  for (int64_t i = 0; i < n; i++)
    largest = x[i] > largest ? x[i] : largest;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; i++)
    sum += titan_exp(x[i] - largest);
  // cppcheck-suppress invalidFunctionArg ; n >= 1, so that the sum has exp(0) of the largest
  return largest + logf(sum);
}

static titan_status cross_entropy_run(titan_device *device, const titan_op_call *call, void *state,
                                      const void *const *inputs, void *const *outputs, void *workspace) {
  (void)state;
  const float *logits = inputs[0];
  const int32_t *labels = inputs[1];
  float *loss = outputs[0], *lse = outputs[1];
  double *losses = workspace;
  int64_t rows = titan_tensor_rows(&call->inputs[0]), width = titan_tensor_columns(&call->inputs[0]);
  int64_t vocabulary = titan_logits_columns(call);
  for (int64_t r = 0; r < rows; r++)
    if (labels[r] >= vocabulary)
      return titan_error(TITAN_ERROR_DATA, "cross_entropy: label %d at row %lld, expected at most %lld", labels[r],
                         (long long)r, (long long)vocabulary - 1);
#pragma omp parallel for schedule(static) num_threads(device->threads) if (rows * vocabulary > 16 * TITAN_BLOCK)
  for (int64_t r = 0; r < rows; r++) {
    const float *row = logits + r * width;
    lse[r] = log_sum_exp(vocabulary, row);
    losses[r] = labels[r] < 0 ? 0 : (double)lse[r] - (double)row[labels[r]];
  }
  double total = 0;
  for (int64_t r = 0; r < rows; r++)
    total += losses[r];
  *loss = (float)total;
  return TITAN_OK;
}

const titan_kernel TITAN_CPU_KERNEL(cross_entropy) = {.workspace = cross_entropy_workspace_bytes,
                                                      .run = cross_entropy_run};
