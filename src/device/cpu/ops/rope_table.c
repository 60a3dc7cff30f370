// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/kernel.h"

#include <math.h>

// See titan_rope_scaling.
static double scale(double frequency, const titan_rope_scaling *scaling) {
  if (scaling->factor == 0)
    return frequency;
  double turns = (double)scaling->original_length * frequency / (2 * 3.14159265358979323846);
  double kept = (turns - scaling->low) / (scaling->high - scaling->low);
  kept = kept < 0 ? 0 : kept > 1 ? 1 : kept;
  return (1 - kept) * frequency / scaling->factor + kept * frequency;
}

static titan_status rope_table_run(titan_device *device, const titan_op_call *call, void *state,
                                   const void *const *inputs, void *const *outputs, void *workspace) {
  (void)state, (void)workspace, (void)inputs;
  float *table = outputs[0];
  int64_t length = call->outputs[0].dims[0], pairs = call->outputs[0].dims[1];
  double theta = call->attributes.rope.theta;
  int64_t first = call->attributes.rope.first_position;
#pragma omp parallel for schedule(static) num_threads(device->threads)
  for (int64_t i = 0; i < pairs; i++) {
    double frequency = scale(pow(theta, -(double)i / (double)pairs), &call->attributes.rope.scaling);
    for (int64_t l = 0; l < length; l++) {
      double angle = (double)(first + l) * frequency;
      table[(l * pairs + i) * 2] = (float)cos(angle);
      table[(l * pairs + i) * 2 + 1] = (float)sin(angle);
    }
  }
  return TITAN_OK;
}

const titan_kernel TITAN_CPU_KERNEL(rope_table) = {.run = rope_table_run};
