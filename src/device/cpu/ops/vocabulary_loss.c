// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/kernel.h"

#include <math.h>

static titan_status vocabulary_loss_run(titan_device *device, const titan_op_call *call, void *state,
                                        const void *const *inputs, void *const *outputs, void *workspace) {
  (void)device, (void)state, (void)workspace;
  const int32_t *labels = inputs[1];
  const float *largest = inputs[2], *sums = inputs[3];
  float *loss = outputs[0], *lse = outputs[1];
  int64_t rows = call->inputs[0].dims[0];
  double total = 0;
  for (int64_t r = 0; r < rows; r++) {
    lse[r] = largest[r] + logf(sums[r]);
    total += labels[r] < 0 ? 0 : (double)lse[r] - (double)sums[rows + r];
  }
  *loss = (float)total;
  return TITAN_OK;
}

const titan_kernel TITAN_CPU_KERNEL(vocabulary_loss) = {.run = vocabulary_loss_run};
