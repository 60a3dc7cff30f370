// SPDX-License-Identifier: Apache-2.0
// What the runtime's communication keeps in its groups, so that it is known in advance and a step takes none.
#include "comm/chunks.h"
#include "parallel/runtime_private.h"
#include "passes/tensor.h"

static titan_comm *group_of(const titan_runtime *runtime, titan_mesh_rows rows) {
  return titan_mesh_comm(runtime->mesh, rows);
}

static size_t larger(size_t a, size_t b) {
  return a > b ? a : b;
}

// The most bytes that a rank gives to a collective in shared memory; above them, messages of one copy are as fast, and
// the shared memory would be large.
enum { MOST_STAGED = 32 << 20 };

static bool is_staged(const titan_runtime *runtime) {
  return titan_way_choose(group_of(runtime, TITAN_MESH_TP), runtime->options.intra_node) == TITAN_WAY_SHARED;
}

// Groups that span nodes go in two levels.
static const titan_mesh_rows levelled_rows[] = {TITAN_MESH_DP_SHARD_CP, TITAN_MESH_DP_REPLICATE, TITAN_MESH_TP};
enum { LEVELLED = sizeof levelled_rows / sizeof *levelled_rows };

static bool is_levelled(const titan_runtime *runtime, titan_mesh_rows rows) {
  return runtime->options.intra_node == TITAN_INTRA_NODE_AUTO && titan_comm_can_level(group_of(runtime, rows));
}

// Whether an all_reduce, or a reduce_scatter, of the tp group to which a rank gives so many bytes takes no buffer.
static bool sums_in_shared_memory(const titan_runtime *runtime, size_t bytes) {
  if (is_levelled(runtime, TITAN_MESH_TP))
    return titan_comm_levels_all_reduce(bytes);
  return is_staged(runtime) && titan_comm_stages_all_reduce(bytes);
}

static bool scatters_in_shared_memory(const titan_runtime *runtime, size_t bytes) {
  return is_levelled(runtime, TITAN_MESH_TP) || (is_staged(runtime) && bytes <= MOST_STAGED);
}

// Collectives of the plans block, so one of them is in flight in the group.
static size_t plan_buffer_bytes(const titan_runtime *runtime, const titan_plan *plan) {
  const titan_comm *comm = group_of(runtime, TITAN_MESH_TP);
  size_t size = (size_t)titan_comm_size(comm);
  size_t most = 0;
  for (int phase = 0; phase < TITAN_PHASES; phase++)
    for (int i = 0; i < plan->phases[phase].count; i++) {
      const titan_op_call *call = &plan->phases[phase].instructions[i].node->call;
      if (call->attributes.collective.dimension != TITAN_PLACEMENT_TP)
        continue;
      size_t elements = (size_t)titan_tensor_elements(&call->outputs[0]), bytes = titan_tensor_bytes(&call->outputs[0]);
      if (call->kind == TITAN_OP_all_reduce && !sums_in_shared_memory(runtime, bytes))
        most = larger(most, titan_comm_all_reduce_bytes(comm, elements, call->outputs[0].dtype));
      else if (call->kind == TITAN_OP_reduce_scatter && !scatters_in_shared_memory(runtime, bytes * size))
        most = larger(most, titan_comm_reduce_scatter_bytes(comm, elements, call->outputs[0].dtype));
    }
  return most;
}

// The programs of all lists.
static titan_comm_reservation of_tensor(const titan_runtime *runtime) {
  titan_comm_reservation reservation = {
      .works = 1, .buffers = 1, .buffer_bytes = titan_chunks_bytes(group_of(runtime, TITAN_MESH_TP))};
  for (int kind = 0; kind < STEPS; kind++)
    for (int i = 0; i < runtime->steps[kind].program_count; i++)
      if (titan_runtime_uses(runtime, &runtime->steps[kind], i))
        reservation.buffer_bytes =
            larger(reservation.buffer_bytes, plan_buffer_bytes(runtime, runtime->steps[kind].programs[i].plan));
  return reservation;
}

// The most bytes that a rank gives to one collective of the tp group that is staged.
static size_t staged_bytes(const titan_runtime *runtime) {
  size_t most = 0;
  for (int kind = 0; kind < STEPS; kind++)
    for (int i = 0; i < runtime->steps[kind].program_count; i++)
      if (titan_runtime_uses(runtime, &runtime->steps[kind], i))
        most = larger(most, titan_plan_largest_transfer(runtime->steps[kind].programs[i].plan, TITAN_PLACEMENT_TP));
  return most < MOST_STAGED ? most : MOST_STAGED;
}

static titan_status stage(titan_runtime *runtime) {
  titan_comm *tp = group_of(runtime, TITAN_MESH_TP);
  if (runtime->options.intra_node == TITAN_INTRA_NODE_SHARED && !titan_comm_is_one_node(tp))
    return titan_error(TITAN_ERROR_USAGE,
                       "comm.intra_node = shared: the %d ranks of tensor parallelism are on several nodes; use auto or "
                       "mpi",
                       titan_comm_size(tp));
  if (!is_staged(runtime))
    return TITAN_OK;
  TITAN_TRY(titan_comm_stage(tp, staged_bytes(runtime)));
  runtime->staged = true;
  return TITAN_OK;
}

titan_status titan_runtime_share(titan_runtime *runtime) {
  titan_comm *world = group_of(runtime, TITAN_MESH_WORLD);
  TITAN_TRY(titan_comm_agree(world, stage(runtime)));
  for (int i = 0; i < LEVELLED; i++) {
    titan_mesh_rows rows = levelled_rows[i];
    TITAN_TRY(
        titan_comm_agree(world, is_levelled(runtime, rows) ? titan_comm_level(group_of(runtime, rows)) : TITAN_OK));
    runtime->levelled = i + 1;
  }
  return TITAN_OK;
}

void titan_runtime_unshare(titan_runtime *runtime) {
  for (; runtime->levelled > 0; runtime->levelled--)
    if (is_levelled(runtime, levelled_rows[runtime->levelled - 1]))
      titan_comm_unlevel(group_of(runtime, levelled_rows[runtime->levelled - 1]));
  if (runtime->staged)
    titan_comm_unstage(group_of(runtime, TITAN_MESH_TP));
  runtime->staged = false;
}

static titan_comm_reservation of_shards(const titan_runtime *runtime) {
  const titan_comm *comm = group_of(runtime, TITAN_MESH_DP_SHARD_CP);
  titan_comm_reservation reservation = {.works = titan_gathers_in_flight(titan_runtime_prefetch(runtime)) +
                                                 TITAN_REDUCE_SCATTERS_IN_FLIGHT};
  if (titan_way_choose(comm, runtime->options.intra_node) == TITAN_WAY_MPI &&
      !is_levelled(runtime, TITAN_MESH_DP_SHARD_CP)) {
    reservation.buffers = TITAN_REDUCE_SCATTERS_IN_FLIGHT;
    for (int unit = 0; unit < runtime->unit_count; unit++)
      reservation.buffer_bytes =
          larger(reservation.buffer_bytes,
                 titan_comm_reduce_scatter_bytes(comm, (size_t)runtime->units[unit].shard_elements, TITAN_FLOAT32));
  }
  return reservation;
}

// A bucket is no longer than all shards together.
static titan_comm_reservation of_replicas(const titan_runtime *runtime) {
  size_t elements = (size_t)titan_units_shard_elements(runtime->unit_count, runtime->units);
  titan_comm_reservation reservation = {.works = TITAN_REDUCE_SUMS_IN_FLIGHT};
  if (!is_levelled(runtime, TITAN_MESH_DP_REPLICATE)) {
    reservation.buffers = TITAN_REDUCE_SUMS_IN_FLIGHT;
    reservation.buffer_bytes =
        titan_comm_all_reduce_bytes(group_of(runtime, TITAN_MESH_DP_REPLICATE), elements, TITAN_FLOAT32);
  }
  return reservation;
}

static titan_comm_reservation of_pipeline(const titan_runtime *runtime) {
  return titan_comm_reservation_join(titan_comm_reservation_least(group_of(runtime, TITAN_MESH_PP)),
                                     (titan_comm_reservation){.works = titan_runtime_transfers_in_flight(runtime)});
}

static titan_comm_reservation reservation_of(const titan_runtime *runtime, titan_mesh_rows rows) {
  switch (rows) {
  case TITAN_MESH_DP_REPLICATE:
    return of_replicas(runtime);
  case TITAN_MESH_DP_SHARD_CP:
    return of_shards(runtime);
  case TITAN_MESH_TP:
    return of_tensor(runtime);
  case TITAN_MESH_PP:
    return of_pipeline(runtime);
  default:
    return titan_comm_reservation_least(group_of(runtime, rows));
  }
}

static int count_held(const titan_runtime *runtime) {
  int count = 0;
  for (int unit = 0; unit < runtime->unit_count; unit++)
    count += runtime->holds[unit];
  return count;
}

size_t titan_runtime_communication_bytes(const titan_runtime *runtime) {
  const titan_comm *shards = group_of(runtime, TITAN_MESH_DP_SHARD_CP);
  size_t bytes = titan_runtime_group_bytes(runtime);
  for (int i = 0; i < titan_mesh_group_count(runtime->mesh); i++) {
    const titan_mesh_group *group = titan_mesh_group_at(runtime->mesh, i);
    bytes += titan_comm_reservation_bytes(group->comm, reservation_of(runtime, group->rows)) -
             titan_comm_reservation_bytes(group->comm, titan_comm_reservation_least(group->comm));
  }
  for (int i = 0; i < LEVELLED; i++)
    bytes += is_levelled(runtime, levelled_rows[i]) ? titan_comm_level_bytes(group_of(runtime, levelled_rows[i])) : 0;
  if (is_staged(runtime))
    bytes += titan_comm_stage_bytes(group_of(runtime, TITAN_MESH_TP), staged_bytes(runtime));
  if (titan_way_choose(shards, runtime->options.intra_node) == TITAN_WAY_SHARED)
    bytes += (size_t)(count_held(runtime) + 1) * titan_shared_handle_bytes(shards);
  return bytes;
}

titan_status titan_runtime_reserve(titan_runtime *runtime) {
  for (int i = 0; i < titan_mesh_group_count(runtime->mesh); i++) {
    const titan_mesh_group *group = titan_mesh_group_at(runtime->mesh, i);
    TITAN_TRY(titan_comm_reserve(group->comm, reservation_of(runtime, group->rows)));
  }
  return TITAN_OK;
}
