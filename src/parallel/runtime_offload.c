// SPDX-License-Identifier: Apache-2.0
// Masters, states of the optimizer and gradients in host memory, where the host updates them
// (training.enable_cpu_offload). A unit's complete gradients are copied there while the backward goes on; of the
// updated parameters a copy goes back while the next unit is updated.
#include "device/queue.h"
#include "parallel/runtime_private.h"

enum { STAGES = 2 }; // parameters of so many units are on their way back at once

// In TITAN_SPACE_HOST, like the shards.
struct runtime_offload {
  titan_step_state state; // as the device has it
  double squares[];
};

static bool converts(const titan_runtime *runtime) {
  return runtime->options.shape.dtype != TITAN_FLOAT32;
}

static size_t stage_bytes(const titan_runtime *runtime) {
  int64_t longest = titan_units_longest(runtime->unit_count, runtime->units); // cut over the ranks of the group
  return (size_t)(longest / titan_comm_size(titan_runtime_shard_group(runtime))) *
         titan_dtype_bytes(runtime->options.shape.dtype);
}

static size_t block_bytes(const titan_runtime *runtime) {
  return sizeof(struct runtime_offload) + titan_runtime_square_count(runtime) * sizeof(double);
}

void titan_runtime_offload_add_bytes(const titan_runtime *runtime, size_t by_tag[TITAN_MEMORY_TAG_COUNT]) {
  size_t shards = (size_t)titan_units_shard_elements(runtime->unit_count, runtime->units) * sizeof(float);
  by_tag[TITAN_MEMORY_MASTERS] += shards;
  by_tag[TITAN_MEMORY_OPTIMIZER] += (size_t)runtime->options.slot_count * shards;
  by_tag[TITAN_MEMORY_GRADIENTS] += shards;
  by_tag[TITAN_MEMORY_PARAMETERS] += converts(runtime) ? STAGES * stage_bytes(runtime) : 0;
  by_tag[TITAN_MEMORY_BATCH] += block_bytes(runtime);
}

titan_status titan_runtime_offload_allocate(titan_runtime *runtime) {
  titan_device *device = runtime->device;
  struct runtime_offload *block;
  int64_t elements = titan_units_shard_elements(runtime->unit_count, runtime->units), first = 0;
  TITAN_TRY(device->allocate(device, TITAN_SPACE_HOST, TITAN_MEMORY_BATCH, block_bytes(runtime), &block));
  runtime->offload = block;
  block->state = (titan_step_state){.gradient_scale = 1};
  for (int i = 0; converts(runtime) && i < STAGES; i++)
    TITAN_TRY(device->allocate(device, TITAN_SPACE_HOST, TITAN_MEMORY_PARAMETERS, stage_bytes(runtime),
                               &runtime->stages_of_parameters[i]));
  TITAN_TRY(device->allocate(device, TITAN_SPACE_HOST, TITAN_MEMORY_GRADIENTS, (size_t)elements * sizeof(float),
                             &runtime->gradients));
  TITAN_TRY(device->host->vector->fill(device->host, elements, runtime->gradients, 0));
  for (int i = 0; i < runtime->unit_count; i++) {
    runtime->units[i].offloaded = runtime->gradients + first;
    first += runtime->units[i].shard_elements;
  }
  return TITAN_OK;
}

void titan_runtime_offload_free(titan_runtime *runtime) {
  titan_device *device = runtime->device;
  for (int i = 0; i < STAGES; i++)
    device->free(device, TITAN_SPACE_HOST, runtime->stages_of_parameters[i]);
  device->free(device, TITAN_SPACE_HOST, runtime->gradients);
  device->free(device, TITAN_SPACE_HOST, runtime->offload);
}

titan_device *titan_runtime_optimizer_device(titan_runtime *runtime) {
  titan_device *host = runtime->device->host; // NULL: the device is only planned for
  return runtime->options.offload && host != NULL ? host : runtime->device;
}

titan_step_state *titan_runtime_optimizer_state(titan_runtime *runtime) {
  return runtime->options.offload ? &runtime->offload->state : runtime->state;
}

double *titan_runtime_squares(titan_runtime *runtime) {
  return runtime->options.offload ? runtime->offload->squares : runtime->squares;
}

// --- in a step ---

titan_status titan_runtime_offload_squares(titan_runtime *runtime, int count) {
  return titan_queue_copy(runtime->device, TITAN_QUEUE_COMPUTE, runtime->squares, runtime->offload->squares,
                          (size_t)count * sizeof(double));
}

titan_status titan_runtime_offload_read_state(titan_runtime *runtime) {
  TITAN_TRY(titan_queue_copy(runtime->device, TITAN_QUEUE_COMPUTE, &runtime->offload->state, runtime->state,
                             sizeof runtime->offload->state));
  return titan_queue_finish(runtime->device, TITAN_QUEUE_COMPUTE);
}

titan_status titan_runtime_offload_begin(titan_runtime *runtime, int unit) {
  titan_device *device = runtime->device;
  titan_unit *u = &runtime->units[unit];
  // What COMPUTE gets from now on may use the memory of the gradients before these.
  TITAN_TRY(titan_queue_after(device, TITAN_QUEUE_COMPUTE, runtime->gradients_copied));
  TITAN_TRY(titan_queue_follow(device, TITAN_QUEUE_COPY, TITAN_QUEUE_COMPUTE));
  TITAN_TRY(
      titan_queue_copy(device, TITAN_QUEUE_COPY, u->offloaded, u->gradient, (size_t)u->shard_elements * sizeof(float)));
  u->gradient = u->offloaded;
  return titan_queue_mark(device, TITAN_QUEUE_COPY, &runtime->gradients_copied);
}

titan_status titan_runtime_offload_end(titan_runtime *runtime) {
  TITAN_TRY(titan_queue_wait(runtime->device, runtime->gradients_copied));
  runtime->gradients_copied = (titan_mark){0};
  return TITAN_OK;
}

// Where the host writes a unit's parameters in the compute type.
static titan_status begin_parameters(titan_runtime *runtime, titan_unit *unit, int *stage) {
  *stage = runtime->parameter_stage;
  unit->updated = unit->master;
  if (!converts(runtime))
    return TITAN_OK;
  runtime->parameter_stage = (*stage + 1) % STAGES;
  unit->updated = runtime->stages_of_parameters[*stage];
  return titan_queue_wait(runtime->device, runtime->parameters_copied[*stage]);
}

static titan_status send_parameters(titan_runtime *runtime, const titan_unit *unit, int stage) {
  size_t bytes = (size_t)unit->shard_elements * titan_dtype_bytes(runtime->options.shape.dtype);
  TITAN_TRY(titan_queue_copy(runtime->device, TITAN_QUEUE_COPY, unit->compute, unit->updated, bytes));
  return titan_queue_mark(runtime->device, TITAN_QUEUE_COPY, &runtime->parameters_copied[stage]);
}

titan_status titan_runtime_offload_update(titan_runtime *runtime, int unit) {
  titan_unit *u = &runtime->units[unit];
  int stage;
  TITAN_TRY(titan_runtime_offload_end(runtime));
  TITAN_TRY(begin_parameters(runtime, u, &stage));
  TITAN_TRY(runtime->updater.update(runtime->updater.context, runtime, unit));
  return send_parameters(runtime, u, stage);
}

titan_status titan_runtime_offload_masters(titan_runtime *runtime) {
  const titan_device *host = runtime->device->host;
  TITAN_TRY(titan_queue_follow(runtime->device, TITAN_QUEUE_COPY, TITAN_QUEUE_COMPUTE));
  for (int i = 0; i < runtime->unit_count; i++) {
    titan_unit *unit = &runtime->units[i];
    int stage;
    if (unit->shard_elements == 0)
      continue;
    TITAN_TRY(begin_parameters(runtime, unit, &stage));
    if (converts(runtime))
      TITAN_TRY(host->vector->convert(runtime->device->host, unit->shard_elements, unit->master, TITAN_FLOAT32,
                                      unit->updated, runtime->options.shape.dtype));
    TITAN_TRY(send_parameters(runtime, unit, stage));
  }
  return titan_queue_finish(runtime->device, TITAN_QUEUE_COPY);
}
