#include "device/cpu/kernel.h"

#include <math.h>

static titan_status run(titan_device *device, const titan_op_call *call, void *state, const void *const *inputs,
                        void *const *outputs, void *workspace) {
  (void)state, (void)workspace, (void)inputs;
  float *table = outputs[0];
  int64_t length = call->outputs[0].dims[0], pairs = call->outputs[0].dims[1];
  double theta = call->attributes.rope.theta;
  int64_t first = call->attributes.rope.first_position;
#pragma omp parallel for schedule(static) num_threads(device->threads)
  for (int64_t i = 0; i < pairs; i++) {
    double frequency = pow(theta, -(double)i / (double)pairs);
    for (int64_t l = 0; l < length; l++) {
      double angle = (double)(first + l) * frequency;
      table[(l * pairs + i) * 2] = (float)cos(angle);
      table[(l * pairs + i) * 2 + 1] = (float)sin(angle);
    }
  }
  return TITAN_OK;
}

const titan_kernel TITAN_CPU_KERNEL(rope_table) = {.run = run};
