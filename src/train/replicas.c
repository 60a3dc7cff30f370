// SPDX-License-Identifier: Apache-2.0
#include "train/replicas.h"

#include "parallel/shard_view.h"

#include <string.h>

typedef struct checksum {
  const float *values; // of the slice
  int64_t first;       // element of the shard at which it begins
  uint64_t sum;
} checksum;

static void add_run(void *context, const titan_unit_run *run) {
  checksum *c = context;
  for (int64_t i = 0; i < run->count; i++) {
    uint32_t bits;
    memcpy(&bits, &c->values[run->first_in_shard - c->first + i], sizeof bits);
    uint64_t z = ((uint64_t)(run->first_in_whole + i) << 32 | bits) * 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 29)) * 0xbf58476d1ce4e5b9u;
    c->sum += z ^ (z >> 32);
  }
}

titan_status titan_replicas_checksum(titan_device *device, const titan_unit *unit, int index, uint64_t *sum) {
  titan_unit_slice slice;
  titan_shard_view view;
  *sum = 0;
  if (!titan_unit_slice_of(unit, index, &slice))
    return TITAN_OK;
  TITAN_TRY(titan_shard_view_open(device, unit->master + slice.first_in_shard, slice.count, TITAN_ACCESS_READ,
                                  TITAN_MEMORY_GENERAL, &view));
  checksum c = {.values = view.values, .first = slice.first_in_shard};
  titan_unit_slice_runs(&slice, add_run, &c);
  *sum = c.sum;
  return titan_shard_view_close(&view);
}

static int parameter_count(titan_runtime *runtime) {
  int count = 0;
  for (int u = 0; u < titan_runtime_unit_count(runtime); u++)
    count += titan_runtime_unit(runtime, u)->plan->parameter_count;
  return count;
}

// One checksum a parameter; 0 where `whole_only` and the tp group cuts it.
static titan_status fill(titan_runtime *runtime, bool whole_only, int64_t *sums) {
  for (int u = 0; u < titan_runtime_unit_count(runtime); u++) {
    const titan_unit *unit = titan_runtime_unit(runtime, u);
    for (int p = 0; p < unit->plan->parameter_count; p++) {
      uint64_t sum = 0;
      if (!whole_only || !unit->plan->parameters[p].sharded)
        TITAN_TRY(titan_replicas_checksum(titan_runtime_optimizer_device(runtime), unit, p, &sum));
      *sums++ = (int64_t)sum;
    }
  }
  return TITAN_OK;
}

static titan_status differs(titan_runtime *runtime, int index, titan_comm *group, int64_t step) {
  int u = 0;
  for (; index >= titan_runtime_unit(runtime, u)->plan->parameter_count; u++)
    index -= titan_runtime_unit(runtime, u)->plan->parameter_count;
  const titan_unit *unit = titan_runtime_unit(runtime, u);
  return titan_error(TITAN_ERROR_NUMBERS,
                     "step %lld: the ranks of group %s hold different values of %s%s, which must be bitwise equal",
                     (long long)step, titan_comm_name(group), unit->prefix, unit->plan->parameters[index].name);
}

// sums: [3,count]. Collective over the group; a difference is reported on all of its ranks.
static titan_status check_group(titan_runtime *runtime, titan_mesh_rows which, int64_t step, int count, int64_t *sums) {
  titan_comm *group = titan_mesh_comm(titan_runtime_mesh(runtime), which);
  int64_t *least = sums + count, *most = least + count;
  if (titan_comm_size(group) == 1)
    return TITAN_OK;
  TITAN_TRY(titan_comm_agree(group, fill(runtime, which == TITAN_MESH_TP, sums)));
  TITAN_TRY(titan_comm_all_reduce(group, sums, least, (size_t)count, TITAN_INT64, TITAN_MIN, NULL));
  TITAN_TRY(titan_comm_all_reduce(group, sums, most, (size_t)count, TITAN_INT64, TITAN_MAX, NULL));
  for (int i = 0; i < count; i++)
    if (least[i] != most[i])
      return differs(runtime, i, group, step);
  return TITAN_OK;
}

// A rank holds the same elements of two parameters that are one.
static titan_status check_tie(titan_runtime *runtime, int64_t step) {
  titan_runtime_tie tie = titan_runtime_tie_of(runtime);
  const titan_unit *units[2];
  const char *names[2];
  uint64_t sums[2];
  if (!tie.exists)
    return TITAN_OK;
  for (int i = 0; i < 2; i++) {
    units[i] = titan_runtime_unit(runtime, tie.units[i]);
    names[i] = units[i]->plan->parameters[tie.parameters[i]].name;
  }
  for (int i = 0; i < 2; i++)
    TITAN_TRY(titan_replicas_checksum(titan_runtime_optimizer_device(runtime), units[i], tie.parameters[i], &sums[i]));
  if (sums[0] == sums[1])
    return TITAN_OK;
  return titan_error(TITAN_ERROR_NUMBERS,
                     "step %lld: %s%s and %s%s are tied (model.tie_embeddings) but hold different values",
                     (long long)step, units[0]->prefix, names[0], units[1]->prefix, names[1]);
}

titan_status titan_replicas_check(titan_runtime *runtime, int64_t step) {
  titan_comm *world = titan_mesh_comm(titan_runtime_mesh(runtime), TITAN_MESH_WORLD);
  int count = parameter_count(runtime);
  int64_t *sums = NULL;
  titan_status status = titan_memory_allocate(TITAN_MEMORY_GENERAL, 3 * (size_t)count * sizeof *sums, &sums);
  TITAN_TRY(titan_comm_agree(world, status)); // no rank enters a group's comparison alone
  status = titan_comm_agree(world, check_group(runtime, TITAN_MESH_TP, step, count, sums));
  if (status == TITAN_OK)
    status = titan_comm_agree(world, check_group(runtime, TITAN_MESH_DP_REPLICATE, step, count, sums));
  if (status == TITAN_OK)
    status = titan_comm_agree(world, check_tie(runtime, step));
  titan_memory_free(sums);
  return status;
}
