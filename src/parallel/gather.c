// SPDX-License-Identifier: Apache-2.0
#include "parallel/gather.h"

struct titan_gather {
  titan_way way;
  titan_comm *comm;
  titan_comm *group; // what parameters go over
  titan_device *device;
  titan_dtype dtype;
  titan_memory_tag tag;
  int prefetch, unit_count;
  titan_unit *units;     // borrowed
  titan_shared **shared; // by unit
  char *owned;           // shards from the device, one after another
  void **whole;          // by unit: where it is, or is being, gathered
  titan_work **works;    // by unit: the gather in flight
};

static size_t shard_bytes(const titan_unit *unit, titan_dtype dtype) {
  return (size_t)unit->shard_elements * titan_dtype_bytes(dtype);
}

size_t titan_gather_shard_bytes(titan_dtype dtype, int unit_count, const titan_unit *units) {
  size_t bytes = 0;
  for (int i = 0; i < unit_count; i++)
    bytes += shard_bytes(&units[i], dtype);
  return bytes;
}

bool titan_gather_is_needed(const titan_comm *comm, titan_intra_node intra_node) {
  return titan_way_choose(comm, intra_node) == TITAN_WAY_MPI;
}

// Shards of the device are one block, which groups register at once.
static titan_status allocate_shards(titan_gather *gather) {
  titan_device *device = gather->device;
  size_t bytes = titan_gather_shard_bytes(gather->dtype, gather->unit_count, gather->units);
  if (gather->way == TITAN_WAY_SHARED || bytes == 0)
    return TITAN_OK;
  TITAN_TRY(device->allocate(device, TITAN_SPACE_EXCHANGE, gather->tag, bytes, &gather->owned));
  return device->vector->fill(device, (int64_t)(bytes / sizeof(float)), (float *)(void *)gather->owned, 0);
}

static titan_status create_shards(titan_gather *gather) {
  char *next = gather->owned;
  for (int i = 0; i < gather->unit_count; i++) {
    titan_unit *unit = &gather->units[i];
    size_t bytes = shard_bytes(unit, gather->dtype);
    if (bytes == 0) // of another pipeline rank
      continue;
    if (gather->way == TITAN_WAY_SHARED) {
      TITAN_TRY(titan_shared_create(gather->comm, bytes, gather->tag, &gather->shared[i]));
      unit->compute = titan_shared_part(gather->shared[i], titan_comm_rank(gather->comm));
    } else {
      unit->compute = next;
      next += bytes;
    }
  }
  return TITAN_OK;
}

static titan_status allocate_tables(titan_gather *gather) {
  size_t count = (size_t)gather->unit_count;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, count, sizeof(void *), &gather->shared));
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, count, sizeof(void *), &gather->whole));
  return titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, count, sizeof(void *), &gather->works);
}

// Agreed on before the collective part, so that no rank of the group enters that alone.
static titan_status create(titan_gather *gather) {
  titan_status status = allocate_tables(gather);
  if (status == TITAN_OK)
    status = allocate_shards(gather);
  TITAN_TRY(titan_comm_agree(gather->comm, status));
  if (gather->way == TITAN_WAY_MPI)
    TITAN_TRY(titan_device_group_create(gather->device, gather->comm, TITAN_QUEUE_GATHER,
                                        titan_gathers_in_flight(gather->prefetch), &gather->group));
  TITAN_TRY(create_shards(gather));
  return titan_comm_register(gather->group, gather->owned,
                             titan_gather_shard_bytes(gather->dtype, gather->unit_count, gather->units));
}

titan_status titan_gather_register(titan_gather *gather, void *memory, size_t bytes) {
  return titan_comm_register(gather->group, memory, bytes);
}

titan_status titan_gather_create(titan_comm *comm, titan_device *device, titan_dtype dtype, titan_memory_tag tag,
                                 titan_intra_node intra_node, int prefetch, int unit_count, titan_unit *units,
                                 titan_gather **out) {
  *out = NULL;
  if (intra_node == TITAN_INTRA_NODE_SHARED && !titan_comm_is_one_node(comm))
    return titan_error(TITAN_ERROR_USAGE,
                       "comm.intra_node = shared: the %d ranks over which parameters are sharded are on several nodes; "
                       "use auto or mpi, or replicate over nodes with training.data_parallel_replicate_degree",
                       titan_comm_size(comm));
  titan_gather *gather;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, 1, sizeof *gather, &gather));
  *gather = (titan_gather){.way = titan_way_choose(comm, intra_node),
                           .comm = comm,
                           .group = comm,
                           .device = device,
                           .dtype = dtype,
                           .tag = tag,
                           .prefetch = prefetch,
                           .unit_count = unit_count,
                           .units = units};
  titan_status status = create(gather);
  if (status != TITAN_OK)
    titan_gather_destroy(&gather);
  *out = gather;
  return status;
}

void titan_gather_destroy(titan_gather **gather) {
  titan_gather *g = *gather;
  if (g == NULL)
    return;
  for (int i = 0; i < g->unit_count; i++) {
    if (g->works != NULL)
      titan_work_wait(&g->works[i]);
    if (g->shared != NULL)
      titan_shared_destroy(&g->shared[i]);
  }
  titan_device_group_destroy(g->comm, &g->group);
  g->device->free(g->device, TITAN_SPACE_EXCHANGE, g->owned);
  titan_memory_free(g->shared);
  titan_memory_free(g->whole);
  titan_memory_free(g->works);
  titan_memory_free(g);
  *gather = NULL;
}

titan_status titan_gather_begin(titan_gather *gather, int unit, void *whole) {
  const titan_unit *source = &gather->units[unit];
  if (gather->way != TITAN_WAY_MPI)
    return titan_error(TITAN_ERROR_INTERNAL, "unit %d is complete without a gather", unit);
  TITAN_TRY(titan_work_wait(&gather->works[unit]));
  gather->whole[unit] = whole;
  return titan_comm_all_gather(gather->group, source->compute, whole, (size_t)source->shard_elements, gather->dtype,
                               &gather->works[unit]);
}

titan_status titan_gather_wait(titan_gather *gather, int unit, const void **parameters) {
  if (gather->way == TITAN_WAY_LOCAL) {
    *parameters = gather->units[unit].compute;
    return TITAN_OK;
  }
  if (gather->way == TITAN_WAY_SHARED) {
    *parameters = titan_shared_part(gather->shared[unit], 0);
    return TITAN_OK;
  }
  TITAN_TRY(titan_work_wait(&gather->works[unit]));
  *parameters = gather->whole[unit];
  return *parameters != NULL ? TITAN_OK
                             : titan_error(TITAN_ERROR_INTERNAL, "unit %d is used before it is gathered", unit);
}

titan_status titan_gather_publish(titan_gather *gather) {
  for (int i = 0; gather->way == TITAN_WAY_MPI && i < gather->unit_count; i++) {
    TITAN_TRY(titan_work_wait(&gather->works[i]));
    gather->whole[i] = NULL;
  }
  // One barrier would do for all units; the shared blocks need their own memory barriers.
  for (int i = 0; gather->way == TITAN_WAY_SHARED && i < gather->unit_count; i++)
    if (gather->shared[i] != NULL)
      TITAN_TRY(titan_shared_synchronize(gather->shared[i], NULL));
  return TITAN_OK;
}

const char *titan_gather_description(const titan_gather *gather) {
  static const char *const texts[] = {"one rank", "shared memory", "MPI"};
  if (titan_comm_is_levelled(gather->group))
    return "shared memory inside nodes, MPI between them";
  return texts[gather->way];
}
