// SPDX-License-Identifier: Apache-2.0
#include "parallel/reduce.h"

enum { IN_FLIGHT = TITAN_REDUCE_SCATTERS_IN_FLIGHT };
static const size_t bucket_bytes = (size_t)100 << 20;

typedef struct pending {
  titan_reduce_request request;
  titan_work *work;
} pending;

struct titan_reduce {
  titan_reduce_options options;
  titan_way way;
  titan_comm *shard, *replicate; // what gradients go over
  float *gradients;              // the shards of all units, the first completed first; NULL where they lie elsewhere
  titan_shared *shared;          // the arena, or
  void *owned;                   // the arena from the device
  pending ring[IN_FLIGHT];
  int begun, waited; // requests of this step
  int *completed;    // units whose gradients are complete over the sharding group, in order
  int completed_count;
  int summed;        // of these, units whose all-reduce was started
  titan_work **sums; // by bucket, of which there are at most unit_count
  int sum_count;
};

static size_t own_bytes(const titan_reduce_options *options) {
  return options->own_shards ? (size_t)titan_units_shard_elements(options->unit_count, options->units) * sizeof(float)
                             : 0;
}

size_t titan_reduce_bytes_of(const titan_reduce_options *options) {
  return titan_device_exchange_bytes(options->device, own_bytes(options)) +
         titan_device_exchange_bytes(options->device, options->exchange_bytes);
}

static void place_shards(titan_reduce *reduce) {
  float *next = reduce->gradients;
  for (int i = 0; i < reduce->options.unit_count; i++) {
    titan_unit *unit = &reduce->options.units[reduce->options.order[i]];
    unit->gradient = next;
    next += unit->shard_elements;
  }
}

static titan_status allocate_own(titan_reduce *reduce) {
  const titan_reduce_options *options = &reduce->options;
  titan_device *device = options->device;
  size_t count = (size_t)options->unit_count;
  int64_t elements = titan_units_shard_elements(options->unit_count, options->units);
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, count, sizeof(int), &reduce->completed));
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, count, sizeof(void *), &reduce->sums));
  if (options->own_shards) {
    TITAN_TRY(
        device->allocate(device, TITAN_SPACE_EXCHANGE, TITAN_MEMORY_GRADIENTS, own_bytes(options), &reduce->gradients));
    TITAN_TRY(device->vector->fill(device, elements, reduce->gradients, 0));
    place_shards(reduce);
  }
  return TITAN_OK;
}

static titan_status register_memory(titan_reduce *reduce, titan_status status) {
  const titan_reduce_options *options = &reduce->options;
  TITAN_TRY(status);
  if (reduce->way == TITAN_WAY_MPI) {
    TITAN_TRY(titan_comm_register(reduce->shard, reduce->owned, options->exchange_bytes));
    TITAN_TRY(titan_comm_register(reduce->shard, reduce->gradients, own_bytes(options)));
  }
  return titan_comm_register(reduce->replicate, reduce->gradients, own_bytes(options));
}

// Agreed on before the collective part, so that no rank of the group enters that alone.
static titan_status allocate(titan_reduce *reduce) {
  const titan_reduce_options *options = &reduce->options;
  titan_device *device = options->device;
  TITAN_TRY(titan_comm_agree(options->shard, allocate_own(reduce)));
  if (reduce->way == TITAN_WAY_MPI)
    TITAN_TRY(titan_device_group_create(device, options->shard, TITAN_QUEUE_REDUCE, IN_FLIGHT, &reduce->shard));
  TITAN_TRY(titan_device_group_create(device, options->replicate, TITAN_QUEUE_REDUCE, TITAN_REDUCE_SUMS_IN_FLIGHT,
                                      &reduce->replicate));
  if (options->exchange_bytes > 0 && reduce->way == TITAN_WAY_SHARED)
    return titan_shared_create(options->shard, options->exchange_bytes, TITAN_MEMORY_GRADIENTS, &reduce->shared);
  titan_status status = options->exchange_bytes == 0
                            ? TITAN_OK
                            : device->allocate(device, TITAN_SPACE_EXCHANGE, TITAN_MEMORY_GRADIENTS,
                                               options->exchange_bytes, &reduce->owned);
  return register_memory(reduce, titan_comm_agree(options->shard, status));
}

titan_status titan_reduce_create(const titan_reduce_options *options, titan_reduce **out) {
  titan_reduce *reduce;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, 1, sizeof *reduce, &reduce));
  *reduce = (titan_reduce){.options = *options,
                           .way = titan_way_choose(options->shard, options->intra_node),
                           .shard = options->shard,
                           .replicate = options->replicate};
  titan_status status = allocate(reduce);
  if (status != TITAN_OK)
    titan_reduce_destroy(&reduce);
  *out = reduce;
  return status;
}

void titan_reduce_destroy(titan_reduce **reduce) {
  titan_reduce *r = *reduce;
  if (r == NULL)
    return;
  titan_device *device = r->options.device;
  for (int i = 0; i < IN_FLIGHT; i++)
    titan_work_wait(&r->ring[i].work);
  for (int i = 0; i < r->sum_count; i++)
    titan_work_wait(&r->sums[i]);
  titan_shared_destroy(&r->shared);
  titan_device_group_destroy(r->options.shard, &r->shard);
  titan_device_group_destroy(r->options.replicate, &r->replicate);
  device->free(device, TITAN_SPACE_EXCHANGE, r->owned);
  device->free(device, TITAN_SPACE_EXCHANGE, r->gradients);
  titan_memory_free(r->completed);
  titan_memory_free(r->sums);
  titan_memory_free(r);
  *reduce = NULL;
}

void *titan_reduce_exchange(const titan_reduce *reduce) {
  return reduce->shared != NULL ? titan_shared_part(reduce->shared, titan_comm_rank(reduce->options.shard))
                                : reduce->owned;
}

// --- replicas ---

// Starts the all-reduce of the completed units that are not yet summed, once they fill a bucket or `all` are wanted.
static titan_status sum_bucket(titan_reduce *reduce, bool all) {
  titan_comm *replicate = reduce->replicate;
  if (titan_comm_size(replicate) == 1 || reduce->summed == reduce->completed_count)
    return TITAN_OK;
  int end = reduce->options.own_shards ? reduce->completed_count : reduce->summed + 1;
  int64_t elements = 0;
  for (int i = reduce->summed; i < end; i++)
    elements += reduce->options.units[reduce->completed[i]].shard_elements;
  if (!all && (size_t)elements * sizeof(float) < bucket_bytes)
    return TITAN_OK;
  if (reduce->sum_count >= TITAN_REDUCE_SUMS_IN_FLIGHT)
    TITAN_TRY(titan_work_wait(&reduce->sums[reduce->sum_count - TITAN_REDUCE_SUMS_IN_FLIGHT]));
  float *bucket = reduce->options.units[reduce->completed[reduce->summed]].gradient;
  reduce->summed = end;
  return titan_comm_all_reduce(replicate, bucket, bucket, (size_t)elements, TITAN_FLOAT32, TITAN_SUM,
                               &reduce->sums[reduce->sum_count++]);
}

// --- the sharding group ---

static titan_status start(titan_reduce *reduce, const titan_reduce_request *request, titan_work **work) {
  const titan_unit *unit = &reduce->options.units[request->unit];
  size_t count = (size_t)unit->shard_elements;
  float *to = request->part != NULL ? request->part : unit->gradient;
  if (reduce->way == TITAN_WAY_LOCAL)
    return TITAN_OK;
  if (reduce->way == TITAN_WAY_SHARED)
    return titan_shared_reduce_scatter(reduce->shared, request->offset, to, count, TITAN_FLOAT32, TITAN_SUM, work);
  return titan_comm_reduce_scatter(reduce->shard, (const char *)reduce->owned + request->offset, to, count,
                                   TITAN_FLOAT32, TITAN_SUM, work);
}

titan_status titan_reduce_begin(titan_reduce *reduce, const titan_reduce_request *request, int *number) {
  if (reduce->begun - reduce->waited >= IN_FLIGHT)
    return titan_error(TITAN_ERROR_INTERNAL, "a reduction starts while %d are in flight", IN_FLIGHT);
  pending *slot = &reduce->ring[reduce->begun % IN_FLIGHT];
  *slot = (pending){.request = *request};
  *number = reduce->begun++;
  TITAN_TRY(start(reduce, request, &slot->work));
  return reduce->way == TITAN_WAY_LOCAL ? titan_reduce_wait(reduce, *number) : TITAN_OK;
}

// (A mere test would let ranks start their sums at different units.)
titan_status titan_reduce_wait(titan_reduce *reduce, int number) {
  titan_device *device = reduce->options.device;
  for (; reduce->waited <= number && reduce->waited < reduce->begun; reduce->waited++) {
    pending *slot = &reduce->ring[reduce->waited % IN_FLIGHT];
    titan_unit *unit = &reduce->options.units[slot->request.unit];
    TITAN_TRY(titan_work_wait(&slot->work));
    if (slot->request.part != NULL)
      TITAN_TRY(device->vector->accumulate(device, unit->shard_elements, unit->gradient, slot->request.part));
    if (slot->request.last) {
      reduce->completed[reduce->completed_count++] = slot->request.unit;
      TITAN_TRY(sum_bucket(reduce, false));
    }
  }
  return TITAN_OK;
}

titan_status titan_reduce_finish(titan_reduce *reduce) {
  TITAN_TRY(titan_reduce_wait(reduce, reduce->begun - 1));
  while (titan_comm_size(reduce->options.replicate) > 1 && reduce->summed < reduce->completed_count)
    TITAN_TRY(sum_bucket(reduce, true));
  for (int i = 0; i < reduce->sum_count; i++)
    TITAN_TRY(titan_work_wait(&reduce->sums[i]));
  return TITAN_OK;
}

titan_status titan_reduce_end_step(titan_reduce *reduce) {
  TITAN_TRY(titan_reduce_finish(reduce));
  reduce->begun = reduce->waited = reduce->completed_count = reduce->summed = reduce->sum_count = 0;
  return TITAN_OK;
}
