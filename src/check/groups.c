// SPDX-License-Identifier: Apache-2.0
// Collectives of the groups of the mesh. All groups of a kind work at the same time, as in a step.
#include "check/exchange.h"
#include "check/results.h"

#include "base/clock.h"
#include "base/median.h"
#include "comm/recorder.h"
#include "device/queue.h"

#include <stdio.h>

// Bytes that a whole group exchanges; large groups have a least number of bytes a rank.
static const size_t whole_bytes = (size_t)16 << 20, least_bytes = (size_t)64 << 10;
enum { SMALL_ROUNDS = 15, LARGE_ROUNDS = 7, LEAST_ROUNDS = 3 };
static const double most_seconds = 0.4; // for the rounds of an operation, once the least have been done

// --- which groups ---

// Names that people ask for come first; the others of the same ranks are told beside.
static const titan_mesh_rows preferred[] = {TITAN_MESH_WORLD, TITAN_MESH_DP_SHARD_CP, TITAN_MESH_DP_REPLICATE,
                                            TITAN_MESH_TP,    TITAN_MESH_PP,          TITAN_MESH_CP,
                                            TITAN_MESH_DP,    TITAN_MESH_DP_CP,       TITAN_MESH_DP_SHARD};

// Rows with one rank change no group.
static titan_mesh_rows wide_rows(const titan_mesh *mesh, titan_mesh_rows rows) {
  for (int row = 0; row < TITAN_MESH_DIMENSIONS; row++)
    rows &= mesh->degrees[row] == 1 ? ~(1u << row) : ~0u;
  return rows;
}

static void add_name(titan_check_group *group, const char *name) {
  size_t end = strlen(group->also);
  snprintf(group->also + end, sizeof group->also - end, "%s%s", end > 0 ? ", " : "", name);
}

static void add_group(titan_comm *comm, titan_check_results *results) {
  int ranks = titan_comm_size(comm);
  size_t bytes = whole_bytes / (size_t)ranks / 64 * 64;
  results->groups[results->group_count++] = (titan_check_group){
      .name = titan_comm_name(comm), .comm = comm, .ranks = ranks, .bytes = bytes < least_bytes ? least_bytes : bytes};
}

void titan_check_list_groups(const titan_mesh *mesh, titan_check_results *results) {
  titan_mesh_rows listed[TITAN_CHECK_GROUPS] = {0};
  for (size_t i = 0; i < sizeof preferred / sizeof *preferred; i++) {
    titan_mesh_rows rows = wide_rows(mesh, preferred[i]);
    titan_comm *comm = titan_mesh_comm(mesh, preferred[i]);
    int same = 0;
    while (same < results->group_count && listed[same] != rows)
      same++;
    if (rows == 0 || comm == NULL)
      continue;
    if (same < results->group_count) {
      add_name(&results->groups[same], titan_comm_name(comm));
    } else {
      listed[results->group_count] = rows;
      add_group(comm, results);
    }
  }
}

// --- what they take ---

typedef titan_status operation(const titan_check_exchange *x);

static titan_status all_reduce(const titan_check_exchange *x) {
  return titan_comm_all_reduce(x->group, x->send, x->recv, titan_check_small_bytes / sizeof(float), TITAN_FLOAT32,
                               TITAN_SUM, NULL);
}

static titan_status all_gather(const titan_check_exchange *x) {
  return titan_comm_all_gather(x->group, x->send, x->recv, x->count, TITAN_FLOAT32, NULL);
}

static titan_status reduce_scatter(const titan_check_exchange *x) {
  return titan_comm_reduce_scatter(x->group, x->recv, x->send, x->count, TITAN_FLOAT32, TITAN_SUM, NULL);
}

static const struct {
  operation *run;
  const char *name;
  int rounds;
} operations[TITAN_CHECK_OPERATIONS] = {
    [TITAN_CHECK_ALL_REDUCE] = {all_reduce, "all_reduce", SMALL_ROUNDS},
    [TITAN_CHECK_ALL_GATHER] = {all_gather, "all_gather", LARGE_ROUNDS},
    [TITAN_CHECK_REDUCE_SCATTER] = {reduce_scatter, "reduce_scatter", LARGE_ROUNDS},
};

// Collective over the group. Seconds of the slowest rank.
static titan_status time_once(const titan_check_exchange *x, operation *run, double *seconds) {
  TITAN_TRY(titan_comm_barrier(x->host, NULL));
  double start = titan_clock_seconds();
  TITAN_TRY(run(x));
  TITAN_TRY(titan_device_drain(x->device));
  *seconds = titan_clock_seconds() - start;
  return titan_comm_all_reduce(x->host, seconds, seconds, 1, TITAN_FLOAT64, TITAN_MAX, NULL);
}

static titan_status time_operation(const titan_check_exchange *x, titan_check_operation index, double *median) {
  double seconds[SMALL_ROUNDS], total = 0;
  int count = 0;
  TITAN_TRY(time_once(x, operations[index].run, &seconds[0])); // it warms up
  // All ranks have the same seconds, so that they stop together.
  while (count < operations[index].rounds && (count < LEAST_ROUNDS || total < most_seconds)) {
    TITAN_TRY(time_once(x, operations[index].run, &seconds[count]));
    total += seconds[count++];
  }
  *median = titan_median(seconds, count);
  return TITAN_OK;
}

static titan_status measure_group(const titan_check_environment *e, const titan_check_group *group, double *seconds) {
  titan_check_exchange x = {0};
  titan_status status = TITAN_OK;
  size_t count = group->bytes / sizeof(float);
  TITAN_TRY_CLEANUP(
      titan_check_exchange_create(e, group->comm, TITAN_QUEUE_GATHER, count, count, count * (size_t)group->ranks, &x));
  for (int i = 0; i < TITAN_CHECK_OPERATIONS; i++) {
    titan_recorder_set_action(operations[i].name, group->name);
    TITAN_TRY_CLEANUP(time_operation(&x, (titan_check_operation)i, &seconds[i]));
  }
cleanup:
  titan_check_exchange_destroy(&x);
  return status;
}

titan_status titan_check_measure_groups(const titan_check_environment *e, const titan_check_results *results,
                                        titan_check_record *record) {
  for (int g = 0; g < results->group_count; g++) {
    const titan_check_group *group = &results->groups[g];
    record->first[g] = titan_comm_rank(e->world);
    TITAN_TRY(titan_comm_broadcast(group->comm, &record->first[g], 1, TITAN_INT32, 0, NULL));
    record->one_node[g] = titan_comm_is_one_node(group->comm);
    TITAN_TRY(titan_comm_barrier(e->world, NULL));
    TITAN_TRY(measure_group(e, group, record->seconds[g]));
  }
  return TITAN_OK;
}
