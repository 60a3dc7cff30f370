#include "parallel/reduce.h"

enum { BUFFERS = TITAN_REDUCE_SCATTERS_IN_FLIGHT };
static const size_t bucket_bytes = (size_t)100 << 20;

struct titan_reduce {
  titan_way way;
  titan_comm *shard, *replicate;
  titan_device *device;
  int unit_count;
  titan_unit *units; // borrowed
  float *gradients;  // the shards of all units, the last unit first
  titan_shared *shared[BUFFERS];
  float *buffers[BUFFERS];
  int turn;
  titan_work **scatters; // by unit: the reduce-scatter in flight
  titan_work **sums;     // by bucket, of which there are at most unit_count
  int sum_count;
  int ended;     // units handed over so far in this step
  int scattered; // of these, units known to be reduced over the shard group
  int summed;    // of these, units whose all-reduce was started
};

static size_t flat_bytes(int unit_count, const titan_unit *units) {
  return (size_t)titan_units_longest(unit_count, units) * sizeof(float);
}

size_t titan_reduce_bytes_of(const titan_comm *shard, int unit_count, const titan_unit *units) {
  size_t bytes = (size_t)titan_units_shard_elements(unit_count, units) * sizeof(float);
  return titan_comm_size(shard) == 1 ? bytes : bytes + BUFFERS * flat_bytes(unit_count, units);
}

static titan_status allocate_own(titan_reduce *reduce) {
  int count = reduce->unit_count;
  int64_t elements = titan_units_shard_elements(count, reduce->units);
  titan_device *device = reduce->device;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, (size_t)count, sizeof(void *), &reduce->scatters));
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, (size_t)count, sizeof(void *), &reduce->sums));
  TITAN_TRY(device->allocate(device, TITAN_MEMORY_GRADIENTS, (size_t)elements * sizeof(float), &reduce->gradients));
  device->vector->fill(device, elements, reduce->gradients, 0);
  float *next = reduce->gradients;
  for (int i = count - 1; i >= 0; i--) {
    reduce->units[i].gradient = next;
    next += reduce->units[i].shard_elements;
  }
  return TITAN_OK;
}

// Agreed on before the collective part, so that no rank of the group enters that alone.
static titan_status allocate(titan_reduce *reduce) {
  titan_device *device = reduce->device;
  size_t bytes = flat_bytes(reduce->unit_count, reduce->units);
  TITAN_TRY(titan_comm_agree(reduce->shard, allocate_own(reduce)));
  for (int i = 0; i < BUFFERS; i++) {
    if (reduce->way == TITAN_WAY_SHARED) {
      TITAN_TRY(titan_shared_create(reduce->shard, bytes, TITAN_MEMORY_GRADIENTS, &reduce->shared[i]));
      reduce->buffers[i] = titan_shared_part(reduce->shared[i], titan_comm_rank(reduce->shard));
    } else if (reduce->way == TITAN_WAY_MPI) {
      TITAN_TRY(device->allocate(device, TITAN_MEMORY_GRADIENTS, bytes, &reduce->buffers[i]));
    }
  }
  return TITAN_OK;
}

titan_status titan_reduce_create(titan_comm *shard, titan_comm *replicate, titan_device *device,
                                 titan_intra_node intra_node, int unit_count, titan_unit *units, titan_reduce **out) {
  titan_reduce *reduce;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, 1, sizeof *reduce, &reduce));
  *reduce = (titan_reduce){.way = titan_way_choose(shard, intra_node),
                           .shard = shard,
                           .replicate = replicate,
                           .device = device,
                           .unit_count = unit_count,
                           .units = units};
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
  for (int i = 0; i < r->unit_count; i++) {
    if (r->scatters != NULL)
      titan_work_wait(&r->scatters[i]);
    if (r->sums != NULL)
      titan_work_wait(&r->sums[i]);
  }
  for (int i = 0; i < BUFFERS; i++) {
    if (r->way == TITAN_WAY_SHARED)
      titan_shared_destroy(&r->shared[i]);
    else
      r->device->free(r->device, r->buffers[i]);
  }
  r->device->free(r->device, r->gradients);
  titan_memory_free(r->scatters);
  titan_memory_free(r->sums);
  titan_memory_free(r);
  *reduce = NULL;
}

// The unit handed over as number `position` of this step.
static int unit_at(const titan_reduce *reduce, int position) {
  return reduce->unit_count - 1 - position;
}

// Starts the all-reduce of the units scattered but not yet summed, once they fill a bucket or `all` are wanted.
static titan_status sum_bucket(titan_reduce *reduce, bool all) {
  if (titan_comm_size(reduce->replicate) == 1 || reduce->summed == reduce->scattered)
    return TITAN_OK;
  int64_t elements = 0;
  for (int i = reduce->summed; i < reduce->scattered; i++)
    elements += reduce->units[unit_at(reduce, i)].shard_elements;
  if (!all && (size_t)elements * sizeof(float) < bucket_bytes)
    return TITAN_OK;
  if (reduce->sum_count >= TITAN_REDUCE_SUMS_IN_FLIGHT)
    TITAN_TRY(titan_work_wait(&reduce->sums[reduce->sum_count - TITAN_REDUCE_SUMS_IN_FLIGHT]));
  float *bucket = reduce->units[unit_at(reduce, reduce->summed)].gradient;
  reduce->summed = reduce->scattered;
  return titan_comm_all_reduce(reduce->replicate, bucket, bucket, (size_t)elements, TITAN_FLOAT32, TITAN_SUM,
                               &reduce->sums[reduce->sum_count++]);
}

// Units before `position` are waited for. (A mere test would let ranks start their sums at different units.)
static titan_status complete_scatters(titan_reduce *reduce, int position) {
  for (; reduce->scattered < position; reduce->scattered++)
    TITAN_TRY(titan_work_wait(&reduce->scatters[unit_at(reduce, reduce->scattered)]));
  return sum_bucket(reduce, false);
}

titan_status titan_reduce_begin(titan_reduce *reduce, int unit, float **flat) {
  if (reduce->way == TITAN_WAY_LOCAL) {
    *flat = reduce->units[unit].gradient;
    return TITAN_OK;
  }
  // The buffer's last user was BUFFERS units ago.
  TITAN_TRY(complete_scatters(reduce, reduce->ended - BUFFERS + 1));
  *flat = reduce->buffers[reduce->turn];
  return TITAN_OK;
}

titan_status titan_reduce_end(titan_reduce *reduce, int unit) {
  titan_unit *u = &reduce->units[unit];
  if (unit != unit_at(reduce, reduce->ended))
    return titan_error(TITAN_ERROR_INTERNAL, "gradients of unit %d came out of order", unit);
  reduce->ended++;
  if (reduce->way == TITAN_WAY_LOCAL) {
    titan_unit_clear_gaps(u, u->gradient);
    return complete_scatters(reduce, reduce->ended);
  }
  int turn = reduce->turn;
  reduce->turn = (turn + 1) % BUFFERS;
  titan_unit_clear_gaps(u, reduce->buffers[turn]);
  size_t count = (size_t)u->shard_elements;
  if (reduce->way == TITAN_WAY_SHARED)
    return titan_shared_reduce_scatter(reduce->shared[turn], 0, u->gradient, count, TITAN_FLOAT32, TITAN_SUM,
                                       &reduce->scatters[unit]);
  return titan_comm_reduce_scatter(reduce->shard, reduce->buffers[turn], u->gradient, count, TITAN_FLOAT32, TITAN_SUM,
                                   &reduce->scatters[unit]);
}

titan_status titan_reduce_finish(titan_reduce *reduce) {
  TITAN_TRY(complete_scatters(reduce, reduce->ended));
  TITAN_TRY(sum_bucket(reduce, true));
  for (int i = 0; i < reduce->sum_count; i++)
    TITAN_TRY(titan_work_wait(&reduce->sums[i]));
  reduce->sum_count = reduce->ended = reduce->scattered = reduce->summed = 0;
  return TITAN_OK;
}
