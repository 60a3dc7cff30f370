// SPDX-License-Identifier: Apache-2.0
// The numbers of a step (device/numbers.h): where they lie, their sums over the ranks, and how the host learns them.
#include "device/queue.h"
#include "parallel/runtime_private.h"

#include <string.h>

// What of this lies in the device's memory, in one block.
typedef struct device_block {
  titan_step_state state;
  titan_step_numbers numbers;
  double flags[TITAN_NUMBERS];
  float d_loss;
  double squares[]; // by counted slice of a parameter; then losses by microbatch
} device_block;

// The host's, twice: the device copies to one while the host reads the other.
struct runtime_slot {
  titan_step_numbers numbers;
  titan_step_constants constants;
  double flags[TITAN_NUMBERS];
  titan_mark copied;
};

size_t titan_runtime_square_count(const titan_runtime *runtime) {
  size_t count = 0;
  for (int unit = 0; unit < runtime->unit_count; unit++)
    count += runtime->holds[unit] ? (size_t)runtime->units[unit].plan->parameter_count : 0;
  return count;
}

static size_t loss_count(const titan_runtime *runtime) {
  int training = titan_runtime_microbatches(runtime, STEP_TRAINING),
      validation = titan_runtime_microbatches(runtime, STEP_VALIDATION);
  return (size_t)(training > validation ? training : validation);
}

size_t titan_runtime_numbers_bytes(const titan_runtime *runtime) {
  size_t bytes =
      sizeof(device_block) + titan_runtime_square_count(runtime) * sizeof(double) + loss_count(runtime) * sizeof(float);
  return (bytes + sizeof(float) - 1) / sizeof(float) * sizeof(float);
}

size_t titan_runtime_numbers_host_bytes(const titan_runtime *runtime) {
  return SLOTS * sizeof(runtime_slot) +
         (runtime->device->queues != NULL ? loss_count(runtime) * sizeof(float) : 0); // where losses are read
}

titan_status titan_runtime_numbers_allocate(titan_runtime *runtime) {
  titan_device *device = runtime->device;
  device_block *block;
  size_t bytes = titan_runtime_numbers_bytes(runtime);
  double divisor = (double)runtime->options.global_tokens;
  TITAN_TRY(device->allocate(device, TITAN_SPACE_DEVICE, TITAN_MEMORY_BATCH, bytes, &block));
  runtime->block = block;
  runtime->state = &block->state;
  runtime->numbers = &block->numbers;
  runtime->flags = block->flags;
  runtime->d_loss = &block->d_loss;
  runtime->squares = block->squares;
  runtime->losses = (float *)(void *)(block->squares + titan_runtime_square_count(runtime));
  TITAN_TRY(device->vector->fill(device, (int64_t)(bytes / sizeof(float)), (float *)block, 0));
  TITAN_TRY(device->vector->fill(device, 1, &block->state.gradient_scale, 1));
  TITAN_TRY(device->vector->fill(device, 1, runtime->d_loss, (float)(1.0 / divisor)));
  TITAN_TRY(device->allocate(device, TITAN_SPACE_HOST, TITAN_MEMORY_BATCH, SLOTS * sizeof(runtime_slot),
                             &runtime->slots_of_numbers));
  for (int i = 0; i < SLOTS; i++)
    runtime->slots_of_numbers[i] = (runtime_slot){0};
  if (device->queues == NULL)
    return TITAN_OK;
  return device->allocate(device, TITAN_SPACE_HOST, TITAN_MEMORY_BATCH, loss_count(runtime) * sizeof(float),
                          &runtime->host_losses);
}

void titan_runtime_numbers_free(titan_runtime *runtime) {
  titan_device *device = runtime->device;
  device->free(device, TITAN_SPACE_HOST, runtime->slots_of_numbers);
  device->free(device, TITAN_SPACE_HOST, runtime->host_losses);
  device->free(device, TITAN_SPACE_DEVICE, runtime->block);
}

titan_step_state *titan_runtime_state(titan_runtime *runtime) {
  return runtime->state;
}

// --- the numbers of a step ---

static runtime_slot *slot_of(const titan_runtime *runtime, int64_t step) {
  return &runtime->slots_of_numbers[step % SLOTS];
}

titan_status titan_runtime_set_constants(titan_runtime *runtime, int64_t step, const titan_step_constants *constants) {
  runtime_slot *slot = slot_of(runtime, step);
  TITAN_TRY(titan_queue_wait(runtime->device, slot->copied));
  slot->constants = *constants;
  TITAN_TRY(titan_queue_copy(runtime->device, TITAN_QUEUE_COMPUTE, &runtime->state->constants, &slot->constants,
                             sizeof *constants));
  TITAN_TRY(titan_queue_mark(runtime->device, TITAN_QUEUE_COMPUTE, &slot->copied));
  // Early updates come before the step's numbers: they go by the step's before.
  return runtime->options.offload && runtime->options.early_update ? titan_runtime_offload_read_state(runtime)
                                                                   : TITAN_OK;
}

// The slot is free: the step's constants waited for it.
titan_status titan_runtime_set_flags(titan_runtime *runtime, int64_t step, const double *flags) {
  runtime_slot *slot = slot_of(runtime, step);
  memcpy(slot->flags, flags, sizeof slot->flags);
  return titan_queue_copy(runtime->device, TITAN_QUEUE_COMPUTE, runtime->flags, slot->flags, sizeof slot->flags);
}

titan_status titan_runtime_sum_numbers(titan_runtime *runtime, titan_numbers_request *request) {
  static const runtime_group groups[] = {GROUP_NUMBERS_DATA, GROUP_NUMBERS_PIPELINE, GROUP_NUMBERS_TENSOR};
  titan_device *device = runtime->device;
  request->losses = runtime->losses;
  request->loss_count =
      runtime->holds[runtime->unit_count - 1] ? titan_runtime_microbatches(runtime, STEP_TRAINING) : 0;
  request->squares = runtime->squares;
  request->flags = runtime->flags;
  if (runtime->options.offload)
    TITAN_TRY(titan_runtime_offload_squares(runtime, request->square_count));
  request->divisor = (double)runtime->options.global_tokens;
  for (int stage = TITAN_NUMBERS_OWN; stage <= TITAN_NUMBERS_OVER_TENSOR; stage++) {
    double *sums = runtime->numbers->sums;
    request->stage = (titan_numbers_stage)stage;
    TITAN_TRY(device->vector->numbers(device, request, runtime->numbers, runtime->state));
    if (stage < TITAN_NUMBERS_OVER_TENSOR)
      TITAN_TRY(titan_comm_all_reduce(runtime->device_groups[groups[stage]], sums, sums, TITAN_NUMBERS, TITAN_FLOAT64,
                                      TITAN_SUM, NULL));
  }
  return TITAN_OK;
}

titan_status titan_runtime_send_numbers(titan_runtime *runtime, int64_t step) {
  runtime_slot *slot = slot_of(runtime, step);
  TITAN_TRY(
      titan_queue_copy(runtime->device, TITAN_QUEUE_COMPUTE, &slot->numbers, runtime->numbers, sizeof slot->numbers));
  return titan_queue_mark(runtime->device, TITAN_QUEUE_COMPUTE, &slot->copied);
}

titan_status titan_runtime_numbers(titan_runtime *runtime, int64_t step, titan_step_numbers *out) {
  const runtime_slot *slot = slot_of(runtime, step);
  TITAN_TRY(titan_queue_wait(runtime->device, slot->copied));
  *out = slot->numbers;
  return TITAN_OK;
}

// --- losses that the host waits for ---

titan_status titan_runtime_read_losses(titan_runtime *runtime, runtime_step_kind kind, double *sum) {
  titan_device *device = runtime->device;
  int count = runtime->holds[runtime->unit_count - 1] ? titan_runtime_microbatches(runtime, kind) : 0;
  const float *losses = runtime->losses;
  *sum = 0;
  if (device->queues != NULL) {
    TITAN_TRY(titan_queue_copy(device, TITAN_QUEUE_COMPUTE, runtime->host_losses, runtime->losses,
                               (size_t)count * sizeof(float)));
    TITAN_TRY(titan_queue_finish(device, TITAN_QUEUE_COMPUTE));
    losses = runtime->host_losses;
  }
  for (int m = 0; m < count; m++)
    *sum += (double)losses[m];
  return TITAN_OK;
}
