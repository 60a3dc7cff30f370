#include "parallel/gather.h"

enum { BUFFERS = 2, NO_UNIT = -1 };

typedef struct gather_buffer {
  void *data;
  int unit; // that it holds or is receiving
  titan_work *work;
} gather_buffer;

struct titan_gather {
  titan_way way;
  titan_comm *comm;
  titan_device *device;
  titan_dtype dtype;
  int unit_count;
  titan_unit *units;     // borrowed
  titan_shared **shared; // by unit
  void **owned;          // by unit: shards from the device
  gather_buffer buffers[BUFFERS];
  int latest; // buffer that was begun or waited for last
};

static size_t shard_bytes(const titan_unit *unit, titan_dtype dtype) {
  return (size_t)unit->shard_elements * titan_dtype_bytes(dtype);
}

static size_t buffer_bytes(int unit_count, const titan_unit *units, titan_dtype dtype) {
  return (size_t)titan_units_longest(unit_count, units) * titan_dtype_bytes(dtype);
}

titan_gather_bytes titan_gather_bytes_of(const titan_comm *comm, titan_dtype dtype, titan_intra_node intra_node,
                                         int unit_count, const titan_unit *units) {
  titan_gather_bytes bytes = {0};
  for (int i = 0; i < unit_count; i++)
    bytes.shards += shard_bytes(&units[i], dtype);
  if (titan_way_choose(comm, intra_node) == TITAN_WAY_MPI)
    bytes.gathered = BUFFERS * buffer_bytes(unit_count, units, dtype);
  return bytes;
}

static titan_status create_shards(titan_gather *gather) {
  titan_memory_tag tag = gather->dtype == TITAN_FLOAT32 ? TITAN_MEMORY_MASTERS : TITAN_MEMORY_PARAMETERS;
  for (int i = 0; i < gather->unit_count; i++) {
    titan_unit *unit = &gather->units[i];
    size_t bytes = shard_bytes(unit, gather->dtype);
    if (gather->way == TITAN_WAY_SHARED) {
      TITAN_TRY(titan_shared_create(gather->comm, bytes, tag, &gather->shared[i]));
      unit->compute = titan_shared_part(gather->shared[i], titan_comm_rank(gather->comm));
    } else {
      TITAN_TRY(gather->device->allocate(gather->device, tag, bytes, &gather->owned[i]));
      unit->compute = gather->owned[i];
      gather->device->vector->fill(gather->device, (int64_t)(bytes / sizeof(float)), unit->compute, 0);
    }
    if (gather->dtype == TITAN_FLOAT32)
      unit->master = unit->compute;
  }
  return TITAN_OK;
}

static titan_status create_buffers(titan_gather *gather) {
  size_t bytes = buffer_bytes(gather->unit_count, gather->units, gather->dtype);
  for (int i = 0; i < BUFFERS; i++) {
    gather->buffers[i].unit = NO_UNIT;
    if (gather->way == TITAN_WAY_MPI)
      TITAN_TRY(gather->device->allocate(gather->device, TITAN_MEMORY_PARAMETERS, bytes, &gather->buffers[i].data));
  }
  return TITAN_OK;
}

titan_status titan_gather_create(titan_comm *comm, titan_device *device, titan_dtype dtype, titan_intra_node intra_node,
                                 int unit_count, titan_unit *units, titan_gather **out) {
  *out = NULL;
  if (intra_node == TITAN_INTRA_NODE_SHARED && !titan_comm_is_one_node(comm))
    return titan_error(TITAN_ERROR_USAGE,
                       "comm.intra_node = shared: the %d ranks over which parameters are sharded lie on several nodes; "
                       "use auto or mpi, or replicate over nodes with training.data_parallel_replicate_degree",
                       titan_comm_size(comm));
  titan_gather *gather;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, 1, sizeof *gather, &gather));
  *gather = (titan_gather){.way = titan_way_choose(comm, intra_node),
                           .comm = comm,
                           .device = device,
                           .dtype = dtype,
                           .unit_count = unit_count,
                           .units = units};
  size_t count = (size_t)unit_count;
  titan_status status = titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, count, sizeof(void *), &gather->shared);
  if (status == TITAN_OK)
    status = titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, count, sizeof(void *), &gather->owned);
  status = titan_comm_agree(comm, status); // what follows is collective
  if (status == TITAN_OK)
    status = create_shards(gather);
  if (status == TITAN_OK)
    status = create_buffers(gather);
  if (status != TITAN_OK)
    titan_gather_destroy(&gather);
  *out = gather;
  return status;
}

void titan_gather_destroy(titan_gather **gather) {
  titan_gather *g = *gather;
  if (g == NULL)
    return;
  for (int i = 0; i < BUFFERS; i++) {
    titan_work_wait(&g->buffers[i].work);
    g->device->free(g->device, g->buffers[i].data);
  }
  for (int i = 0; i < g->unit_count; i++) {
    if (g->shared != NULL)
      titan_shared_destroy(&g->shared[i]);
    if (g->owned != NULL)
      g->device->free(g->device, g->owned[i]);
  }
  titan_memory_free(g->shared);
  titan_memory_free(g->owned);
  titan_memory_free(g);
  *gather = NULL;
}

static gather_buffer *buffer_of(titan_gather *gather, int unit) {
  for (int i = 0; i < BUFFERS; i++)
    if (gather->buffers[i].unit == unit)
      return &gather->buffers[i];
  return NULL;
}

titan_status titan_gather_begin(titan_gather *gather, int unit) {
  if (gather->way != TITAN_WAY_MPI)
    return TITAN_OK;
  gather_buffer *buffer = buffer_of(gather, unit);
  if (buffer != NULL) {
    gather->latest = (int)(buffer - gather->buffers);
    return TITAN_OK;
  }
  gather->latest = (gather->latest + 1) % BUFFERS;
  buffer = &gather->buffers[gather->latest];
  TITAN_TRY(titan_work_wait(&buffer->work));
  buffer->unit = unit;
  const titan_unit *source = &gather->units[unit];
  return titan_comm_all_gather(gather->comm, source->compute, buffer->data, (size_t)source->shard_elements,
                               gather->dtype, &buffer->work);
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
  gather_buffer *buffer = buffer_of(gather, unit);
  if (buffer == NULL) {
    TITAN_TRY(titan_gather_begin(gather, unit));
    buffer = buffer_of(gather, unit);
  }
  gather->latest = (int)(buffer - gather->buffers); // the next one to begin takes the other buffer
  TITAN_TRY(titan_work_wait(&buffer->work));
  *parameters = buffer->data;
  return TITAN_OK;
}

titan_status titan_gather_publish(titan_gather *gather) {
  for (int i = 0; i < BUFFERS; i++) {
    TITAN_TRY(titan_work_wait(&gather->buffers[i].work));
    gather->buffers[i].unit = NO_UNIT;
  }
  // One barrier would do for all units; the shared blocks need their own memory barriers.
  for (int i = 0; gather->way == TITAN_WAY_SHARED && i < gather->unit_count; i++)
    TITAN_TRY(titan_shared_synchronize(gather->shared[i], NULL));
  return TITAN_OK;
}

const char *titan_gather_description(const titan_gather *gather) {
  static const char *const texts[] = {"one rank", "shared memory", "MPI"};
  return texts[gather->way];
}
