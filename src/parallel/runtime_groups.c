// SPDX-License-Identifier: Apache-2.0
// The device's groups: those of the mesh, for the device's memory, in the queues that the step uses. On a device whose
// memory is the host's they are the mesh's own.
#include "parallel/runtime_private.h"

static const titan_mesh_rows rows_of[RUNTIME_GROUPS] = {
    [GROUP_TENSOR] = TITAN_MESH_TP,          [GROUP_PIPELINE] = TITAN_MESH_PP,
    [GROUP_NUMBERS_DATA] = TITAN_MESH_DP_CP, [GROUP_NUMBERS_PIPELINE] = TITAN_MESH_PP,
    [GROUP_NUMBERS_TENSOR] = TITAN_MESH_TP,
};

static titan_queue queue_of(const titan_runtime *runtime, int group) {
  if (group == GROUP_PIPELINE)
    return TITAN_QUEUE_PIPELINE;
  return group == GROUP_TENSOR && runtime->options.async_tensor ? TITAN_QUEUE_TENSOR : TITAN_QUEUE_COMPUTE;
}

static int works_of(const titan_runtime *runtime, int group) {
  return group == GROUP_PIPELINE ? titan_runtime_transfers_in_flight(runtime) : 1;
}

static titan_comm *host_of(const titan_runtime *runtime, int group) {
  return titan_mesh_comm(runtime->mesh, rows_of[group]);
}

titan_status titan_runtime_groups_create(titan_runtime *runtime) {
  for (int i = 0; i < RUNTIME_GROUPS; i++)
    TITAN_TRY(titan_device_group_create(runtime->device, host_of(runtime, i), queue_of(runtime, i),
                                        works_of(runtime, i), &runtime->device_groups[i]));
  runtime->groups[TITAN_PLACEMENT_TP] = runtime->device_groups[GROUP_TENSOR];
  return TITAN_OK;
}

void titan_runtime_groups_destroy(titan_runtime *runtime) {
  for (int i = 0; i < RUNTIME_GROUPS; i++)
    titan_device_group_destroy(host_of(runtime, i), &runtime->device_groups[i]);
}

size_t titan_runtime_group_bytes(const titan_runtime *runtime) {
  const titan_device *device = runtime->device;
  const titan_comm *shards = titan_runtime_shard_group(runtime);
  size_t bytes = titan_device_group_bytes(device, titan_runtime_replicate_group(runtime), TITAN_QUEUE_REDUCE,
                                          TITAN_REDUCE_SUMS_IN_FLIGHT);
  if (titan_way_choose(shards, runtime->options.intra_node) == TITAN_WAY_MPI)
    bytes += titan_device_group_bytes(device, shards, TITAN_QUEUE_GATHER,
                                      titan_gathers_in_flight(titan_runtime_prefetch(runtime))) +
             titan_device_group_bytes(device, shards, TITAN_QUEUE_REDUCE, TITAN_REDUCE_SCATTERS_IN_FLIGHT);
  for (int i = 0; i < RUNTIME_GROUPS; i++)
    bytes += titan_device_group_bytes(device, host_of(runtime, i), queue_of(runtime, i), works_of(runtime, i));
  return bytes;
}
