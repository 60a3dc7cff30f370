// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"
#include "device/queue.h"
#include "setup/setup.h"

// The best of several counts: what else the machine does makes some of them slow. They take half a second where a few
// do not end sooner.
enum { SIZE = 768, LEAST_REPETITIONS = 3, MOST_REPETITIONS = 12 };
static const double most_seconds = 0.5;

static titan_status run(titan_device *device, titan_dtype dtype, void *memory, double *flops) {
  titan_op_call call = {.kind = TITAN_OP_matmul, .input_count = 2};
  call.inputs[0] = call.inputs[1] = (titan_tensor_type){dtype, 2, {SIZE, SIZE}};
  call.attributes.matmul.transpose_b = true;
  call.attributes.matmul.output = dtype;
  TITAN_TRY(titan_op_infer(&call));
  const titan_kernel *kernel = device->kernel(device, TITAN_OP_matmul);
  size_t matrix = titan_tensor_bytes(&call.inputs[0]);
  size_t workspace_bytes = kernel->workspace != NULL ? kernel->workspace(device, &call) : 0;
  void *state = NULL, *workspace = NULL;
  titan_status status = TITAN_OK;
  const void *inputs[2] = {memory, (char *)memory + matrix};
  void *outputs[1] = {(char *)memory + 2 * matrix};
  TITAN_TRY(device->allocate(device, TITAN_SPACE_DEVICE, TITAN_MEMORY_GENERAL, workspace_bytes, &workspace));
  if (kernel->prepare != NULL)
    TITAN_TRY_CLEANUP(kernel->prepare(device, &call, &state));
  double best = 0, begin = titan_clock_seconds();
  for (int i = 0; i <= MOST_REPETITIONS; i++) { // the first warms up
    double start = titan_clock_seconds();
    if (i > LEAST_REPETITIONS && start - begin > most_seconds)
      break;
    TITAN_TRY_CLEANUP(kernel->run(device, &call, state, inputs, outputs, workspace));
    TITAN_TRY_CLEANUP(titan_device_drain(device));
    double rate = titan_op_cost_of(&call).flops / (titan_clock_seconds() - start);
    if (i > 0 && rate > best)
      best = rate;
  }
  *flops = best;
cleanup:
  if (state != NULL && kernel->release != NULL)
    kernel->release(device, state);
  device->free(device, TITAN_SPACE_DEVICE, workspace);
  return status;
}

titan_status titan_setup_measure_peak(titan_device *device, titan_dtype dtype, double *flops) {
  void *memory;
  size_t bytes = 3 * (size_t)SIZE * SIZE * sizeof(float);
  TITAN_TRY(device->allocate(device, TITAN_SPACE_DEVICE, TITAN_MEMORY_GENERAL, bytes, &memory));
  titan_status status = device->vector->fill(device, (int64_t)(bytes / sizeof(float)), memory, 1.0f);
  if (status == TITAN_OK)
    status = titan_device_drain(device);
  if (status == TITAN_OK)
    status = run(device, dtype, memory, flops);
  device->free(device, TITAN_SPACE_DEVICE, memory);
  return status;
}
