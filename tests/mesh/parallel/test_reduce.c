// SPDX-License-Identifier: Apache-2.0
// Property: every unit's gradient shard holds the sum over all ranks of the mesh, step after step, and zeros where
// there is no parameter. Oracle: sums of small integers, exact in float32 in any order. Tolerance: none.
#include "device_test.h"

#include "fake_units.h"
#include "parallel/reduce.h"

#include <math.h>

typedef struct groups {
  titan_comm *shard, *replicate;
} groups;

// Ranks of a shard group are neighbours, as in the mesh.
static groups groups_create(int shard_size) {
  groups g = {0};
  int rank = test_rank();
  expect_on_all(titan_comm_create_split(MPI_COMM_WORLD, rank / shard_size, rank, "shard", &g.shard) == TITAN_OK);
  expect_on_all(titan_comm_create_split(MPI_COMM_WORLD, rank % shard_size, rank, "replicate", &g.replicate) ==
                TITAN_OK);
  return g;
}

static void groups_destroy(groups *g) {
  titan_comm_destroy(&g->shard);
  titan_comm_destroy(&g->replicate);
}

static float gradient_of(int rank, int step, int unit, int64_t element) {
  return (float)((element * 7 + unit * 3 + step * 13) % 50 + rank * (1 + (element + step) % 4) - 20);
}

static float sum_of(int ranks, int step, int unit, int64_t element) {
  float sum = 0;
  for (int rank = 0; rank < ranks; rank++)
    sum += gradient_of(rank, step, unit, element);
  return sum;
}

// All of the vector is overwritten: gradients, and NaN in the gaps, as an uncleared buffer might hold.
static void fill(const titan_unit *unit, int step, int index, float *flat) {
  for (int64_t i = 0; i < unit->flat_elements; i++)
    flat[i] = NAN;
  for (int p = 0; p < unit->plan->parameter_count; p++)
    for (int64_t i = 0; i < unit->plan->parameters[p].elements; i++) {
      int64_t element = unit->plan->parameters[p].first + i;
      flat[element] = gradient_of(test_rank(), step, index, element);
    }
}

static bool is_summed(const titan_unit *unit, int ranks, int step, int index) {
  float *expected;
  size_t bytes = (size_t)unit->flat_elements * sizeof(float);
  bool good = titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, 1, bytes, &expected) == TITAN_OK;
  for (int p = 0; p < unit->plan->parameter_count; p++)
    for (int64_t i = 0; i < unit->plan->parameters[p].elements; i++) {
      int64_t element = unit->plan->parameters[p].first + i;
      expected[element] = sum_of(ranks, step, index, element);
    }
  for (int64_t i = 0; i < unit->shard_elements; i++)
    good &= unit->gradient[i] == expected[unit->first + i];
  titan_memory_free(expected);
  return good;
}

// The arena holds two units' whole gradients in turn, as a step's list lays them out.
static titan_reduce_options options_of(groups g, titan_intra_node intra_node, int count, titan_unit *units,
                                       const int *order) {
  size_t turn = (size_t)titan_units_longest(count, units) * sizeof(float);
  return (titan_reduce_options){.shard = g.shard,
                                .replicate = g.replicate,
                                .device = device,
                                .intra_node = intra_node,
                                .unit_count = count,
                                .units = units,
                                .order = order,
                                .exchange_bytes = titan_comm_size(g.shard) > 1 ? 2 * turn : 0,
                                .own_shards = true};
}

// `microbatches` of a step, each reduced by itself and added; whole gradients are of the step + microbatch.
static bool run_microbatches(titan_reduce *reduce, titan_unit *units, int count, int step, int microbatches) {
  size_t turn = (size_t)titan_units_longest(count, units) * sizeof(float);
  char *arena = titan_reduce_exchange(reduce);
  float *parts[2] = {NULL, NULL};
  bool good = true;
  int number = 0, at = 0;
  for (int i = 0; i < 2; i++)
    good &= titan_memory_allocate(TITAN_MEMORY_GENERAL, turn, &parts[i]) == TITAN_OK;
  for (int m = 0; m < microbatches; m++)
    for (int u = count - 1; u >= 0; u--, at++) {
      if (at >= 2)
        good &= titan_reduce_wait(reduce, at - 2) == TITAN_OK;
      float *flat = arena != NULL ? (float *)(void *)(arena + (size_t)(at % 2) * turn) : units[u].gradient;
      fill(&units[u], step + m, u, flat);
      titan_unit_clear_gaps(&units[u], device, flat);
      titan_comm_progress();
      titan_reduce_request request = {u, (size_t)(at % 2) * turn, m > 0 ? parts[at % 2] : NULL, m == microbatches - 1};
      good &= titan_reduce_begin(reduce, &request, &number) == TITAN_OK && number == at;
    }
  good &= titan_reduce_end_step(reduce) == TITAN_OK;
  for (int i = 0; i < 2; i++)
    titan_memory_free(parts[i]);
  return good;
}

static bool run_step(titan_reduce *reduce, titan_unit *units, int count, int step) {
  bool good = run_microbatches(reduce, units, count, step, 1);
  for (int u = 0; u < count; u++)
    good &= is_summed(&units[u], test_size(), step, u);
  return good;
}

static const int backward_order[FAKE_UNITS] = {6, 5, 4, 3, 2, 1, 0};

static void check_mesh(int shard_size, titan_intra_node intra_node) {
  fake_units fake;
  titan_reduce *reduce;
  groups g = groups_create(shard_size);
  fake_units_create(&fake, 3, titan_comm_rank(g.shard), shard_size);
  titan_reduce_options options = options_of(g, intra_node, FAKE_UNITS, fake.units, backward_order);
  size_t before = titan_memory_usage_of(TITAN_MEMORY_GRADIENTS).live_bytes;
  expect_on_all(titan_reduce_create(&options, &reduce) == TITAN_OK);
  size_t taken = titan_memory_usage_of(TITAN_MEMORY_GRADIENTS).live_bytes - before;
  expect_on_all(taken == titan_reduce_bytes_of(&options));
  bool good = true;
  for (int step = 0; step < 5 || step < test_size(); step++) {
    one_rank_is_late(step);
    good = run_step(reduce, fake.units, FAKE_UNITS, step) && good;
  }
  expect_on_all(good);
  titan_reduce_destroy(&reduce);
  expect_on_all(reduce == NULL && titan_memory_usage_of(TITAN_MEMORY_GRADIENTS).live_bytes == before);
  groups_destroy(&g);
}

// Two microbatches reduced one after another: the shard holds the sum of both, over all ranks.
static void a_second_microbatch_is_added_to_the_shard(void **state) {
  (void)state;
  for (int way = TITAN_INTRA_NODE_SHARED; way <= TITAN_INTRA_NODE_MPI && test_size() > 1; way++) {
    fake_units fake;
    titan_reduce *reduce;
    groups g = groups_create(test_size());
    fake_units_create(&fake, 3, titan_comm_rank(g.shard), test_size());
    titan_reduce_options options = options_of(g, (titan_intra_node)way, FAKE_UNITS, fake.units, backward_order);
    expect_on_all(titan_reduce_create(&options, &reduce) == TITAN_OK);
    bool good = run_microbatches(reduce, fake.units, FAKE_UNITS, 7, 2);
    for (int u = 0; u < FAKE_UNITS; u++)
      for (int64_t i = 0; i < fake.units[u].shard_elements; i++) {
        int64_t element = fake.units[u].first + i;
        float expected = fake_unit_has(&fake.units[u], element)
                             ? sum_of(test_size(), 7, u, element) + sum_of(test_size(), 8, u, element)
                             : 0;
        good &= fake.units[u].gradient[i] == expected;
      }
    expect_on_all(good);
    titan_reduce_destroy(&reduce);
    groups_destroy(&g);
  }
}

static void shards_hold_the_sum_over_all_ranks_of_every_mesh(void **state) {
  (void)state;
  for (int shard_size = 1; shard_size <= test_size(); shard_size++)
    if (test_size() % shard_size == 0) {
      check_mesh(shard_size, TITAN_INTRA_NODE_SHARED);
      check_mesh(shard_size, TITAN_INTRA_NODE_MPI);
    }
}

// Replicas sum in buckets of about 100 MB; four units of 60 make two buckets that begin while units are still to come.
static void several_buckets_are_summed(void **state) {
  (void)state;
  enum { UNITS = 4, ELEMENTS = 15 << 20 };
  titan_plan_parameter parameters[UNITS];
  titan_plan plans[UNITS] = {0};
  titan_unit units[UNITS];
  titan_reduce *reduce;
  if (test_size() != 2)
    skip();
  groups g = groups_create(1);
  for (int u = 0; u < UNITS; u++) {
    plans[u].parameters = &parameters[u];
    fake_plan_add(&plans[u], ELEMENTS + u);
    titan_unit_lay_out(&units[u], "", &plans[u], 0, 1);
  }
  static const int order[UNITS] = {3, 2, 1, 0};
  titan_reduce_options options = options_of(g, TITAN_INTRA_NODE_AUTO, UNITS, units, order);
  expect_on_all(titan_reduce_create(&options, &reduce) == TITAN_OK);
  uint64_t before = titan_comm_traffic_of(g.replicate).operations;
  expect_on_all(run_step(reduce, units, UNITS, 1));
  expect_on_all(titan_comm_traffic_of(g.replicate).operations - before == 2);
  expect_on_all(run_step(reduce, units, UNITS, 2));
  titan_reduce_destroy(&reduce);
  groups_destroy(&g);
}

static void a_third_reduction_in_flight_is_an_error(void **state) {
  (void)state;
  fake_units fake;
  titan_reduce *reduce;
  int number;
  if (test_size() == 1)
    skip();
  groups g = groups_create(test_size());
  fake_units_create(&fake, 1, titan_comm_rank(g.shard), test_size());
  titan_reduce_options options = options_of(g, TITAN_INTRA_NODE_AUTO, FAKE_UNITS, fake.units, backward_order);
  expect_on_all(titan_reduce_create(&options, &reduce) == TITAN_OK);
  expect_on_all(titan_reduce_begin(reduce, &(titan_reduce_request){.unit = 6, .last = true}, &number) == TITAN_OK);
  expect_on_all(titan_reduce_begin(reduce, &(titan_reduce_request){.unit = 5, .last = true}, &number) == TITAN_OK);
  expect_on_all(titan_reduce_begin(reduce, &(titan_reduce_request){.unit = 4, .last = true}, &number) ==
                TITAN_ERROR_INTERNAL);
  titan_reduce_destroy(&reduce);
  groups_destroy(&g);
}

// A failed step leaves sums in flight; destroying waits for them.
static void sums_in_flight_are_completed_by_destroying(void **state) {
  (void)state;
  for (int way = TITAN_INTRA_NODE_SHARED; way <= TITAN_INTRA_NODE_MPI; way++) {
    fake_units fake;
    titan_reduce *reduce;
    int number;
    groups g = groups_create(test_size());
    fake_units_create(&fake, 3, titan_comm_rank(g.shard), test_size());
    titan_reduce_options options = options_of(g, (titan_intra_node)way, FAKE_UNITS, fake.units, backward_order);
    expect_on_all(titan_reduce_create(&options, &reduce) == TITAN_OK);
    char *arena = titan_reduce_exchange(reduce);
    for (int u = FAKE_UNITS - 1; u >= FAKE_UNITS - 2; u--) {
      size_t offset = u == FAKE_UNITS - 1 ? 0 : options.exchange_bytes / 2;
      fill(&fake.units[u], 0, u, arena != NULL ? (float *)(void *)(arena + offset) : fake.units[u].gradient);
      expect_on_all(titan_reduce_begin(reduce, &(titan_reduce_request){u, offset, NULL, true}, &number) == TITAN_OK);
    }
    titan_reduce_destroy(&reduce);
    groups_destroy(&g);
  }
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(shards_hold_the_sum_over_all_ranks_of_every_mesh),
      cmocka_unit_test(several_buckets_are_summed),
      cmocka_unit_test(a_second_microbatch_is_added_to_the_shard),
      cmocka_unit_test(a_third_reduction_in_flight_is_an_error),
      cmocka_unit_test(sums_in_flight_are_completed_by_destroying),
  };
  begin_mpi_tests(&argc, &argv);
  return end_mpi_tests(cmocka_run_group_tests(tests, begin_device, end_device));
}
