// SPDX-License-Identifier: Apache-2.0
// Steps that are recorded once and replayed. All pointers of a step are the same each time, and what changes from step
// to step is copied into the device's memory before it is replayed: the batch, the optimizer's constants, flags.
#include "device/queue.h"
#include "parallel/runtime_private.h"

#include <stdio.h>

static bool groups_are_recordable(const titan_runtime *runtime) {
  for (int group = 0; group < RUNTIME_GROUPS; group++)
    if (!titan_comm_is_recordable(runtime->device_groups[group]))
      return false;
  return true; // those of gathers and reductions go over the same
}

titan_recording_obstacle titan_runtime_recording_obstacle(const titan_runtime *runtime) {
  const titan_queue_functions *queues = runtime->device->queues;
  if (queues == NULL)
    return TITAN_RECORDING_NO_QUEUE;
  if (queues->record == NULL)
    return TITAN_RECORDING_DEVICE;
  if (titan_comm_size(titan_runtime_pipeline_group(runtime)) > 1)
    return TITAN_RECORDING_PIPELINE;
  if (runtime->options.offload)
    return TITAN_RECORDING_OFFLOAD;
  if (!groups_are_recordable(runtime))
    return TITAN_RECORDING_HOST_GROUPS;
  return titan_executor_is_synchronous() ? TITAN_RECORDING_SYNCHRONOUS : TITAN_RECORDING_POSSIBLE;
}

const char *titan_recording_obstacle_text(titan_recording_obstacle obstacle) {
  static const char *const texts[] = {
      [TITAN_RECORDING_POSSIBLE] = "nothing",
      [TITAN_RECORDING_SYNCHRONOUS] = "debug.device_synchronous waits after each operation",
      [TITAN_RECORDING_HOST_GROUPS] = "ranks communicate through host memory",
      [TITAN_RECORDING_OFFLOAD] = "training.enable_cpu_offload updates the weights on the host",
      [TITAN_RECORDING_PIPELINE] = "messages between pipeline ranks cannot be recorded",
      [TITAN_RECORDING_DEVICE] = "the device cannot record",
      [TITAN_RECORDING_NO_QUEUE] = "the CPU computes everything at once",
  };
  return texts[obstacle];
}

void titan_runtime_record_steps(titan_runtime *runtime) {
  runtime->recording.wanted = true;
}

bool titan_runtime_replays(const titan_runtime *runtime) {
  bool observed = runtime->watch != NULL || runtime->measured != NULL || titan_executor_is_observed();
  return runtime->recording.wanted && runtime->recording.eager > 0 && !observed;
}

void titan_runtime_forget_recording(titan_runtime *runtime) {
  if (runtime->recording.step != NULL)
    runtime->device->queues->forget(runtime->device, runtime->recording.step);
  runtime->recording.step = NULL;
}

// With the recording ended also where `ask` fails, whose message is the one that counts.
static titan_status record(titan_runtime *runtime, titan_status (*ask)(void *context), void *context) {
  titan_device *device = runtime->device;
  titan_recording *recorded = NULL;
  char message[1024] = "";
  TITAN_TRY(device->queues->record(device));
  runtime->recording.is_on = true;
  titan_status status = ask(context);
  runtime->recording.is_on = false;
  if (status != TITAN_OK)
    snprintf(message, sizeof message, "%s", titan_error_message());
  titan_status ended = device->queues->record_end(device, &recorded);
  if (status == TITAN_OK && ended == TITAN_OK) {
    runtime->recording.step = recorded;
    return TITAN_OK;
  }
  if (recorded != NULL)
    device->queues->forget(device, recorded);
  return status != TITAN_OK ? titan_error(status, "%s", message) : ended;
}

static titan_status record_step(titan_runtime *runtime, titan_status (*ask)(void *context), void *context) {
  titan_comm *world = titan_mesh_comm(runtime->mesh, TITAN_MESH_WORLD);
  uint64_t before = titan_comm_bytes_of_all();
  titan_runtime_forget_recording(runtime);
  titan_status status = record(runtime, ask, context);
  if (status != TITAN_OK)
    status = titan_error(status, "a step cannot be recorded: %s; with training.record_steps = off it is not",
                         titan_error_message());
  runtime->recording.bytes = titan_comm_bytes_of_all() - before;
  runtime->recording.of_lists = runtime->recording.lists;
  status = titan_comm_agree(world, status);
  if (status != TITAN_OK)
    titan_runtime_forget_recording(runtime);
  return status;
}

titan_status titan_runtime_replay(titan_runtime *runtime, titan_status (*ask)(void *context), void *context) {
  titan_device *device = runtime->device;
  TITAN_TRY(titan_runtime_batch_load_all(runtime, &runtime->steps[STEP_TRAINING]));
  if (runtime->recording.step == NULL || runtime->recording.of_lists != runtime->recording.lists)
    TITAN_TRY(record_step(runtime, ask, context));
  else
    titan_comm_count_repeated(runtime->recording.bytes);
  return device->queues->replay(device, runtime->recording.step);
}
