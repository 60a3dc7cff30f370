// SPDX-License-Identifier: Apache-2.0
// Property: after the ranks have written their shards and published them, each rank finds every unit whole, in whatever
// way and order it asks, step after step. Oracle: the values as a function of step, unit and element. Tolerance: none.
#include "mpi_test.h"

#include "fake_units.h"
#include "parallel/gather.h"

#include <string.h>

static titan_comm *comm;
static titan_device *device;

// Exact in bfloat16; never 0, so that memory that was not written shows.
static float value_of(int step, int unit, int64_t element) {
  return (float)(1 + (element + 11 * unit + 29 * step) % 120);
}

static void write_shards(fake_units *fake, titan_dtype dtype, int step) {
  for (int u = 0; u < FAKE_UNITS; u++)
    for (int64_t i = 0; i < fake->units[u].shard_elements; i++) {
      float value = value_of(step, u, fake->units[u].first + i);
      if (dtype == TITAN_FLOAT32)
        ((float *)fake->units[u].compute)[i] = value;
      else
        ((titan_bf16 *)fake->units[u].compute)[i] = titan_bf16_from_float(value);
    }
}

static bool is_whole(const fake_units *fake, titan_dtype dtype, int step, int unit, const void *flat) {
  for (int64_t i = 0; i < fake->units[unit].flat_elements; i++) {
    float value =
        dtype == TITAN_FLOAT32 ? ((const float *)flat)[i] : titan_bf16_to_float(((const titan_bf16 *)flat)[i]);
    if (value != value_of(step, unit, i))
      return false;
  }
  return true;
}

// Where units are made whole, as the step's list gives them places.
typedef struct wholes {
  bool needed;
  void *places[FAKE_UNITS];
  bool begun[FAKE_UNITS];
} wholes;

static void wholes_create(wholes *w, const fake_units *fake, titan_dtype dtype, titan_intra_node intra_node) {
  *w = (wholes){.needed = titan_gather_is_needed(comm, intra_node)};
  bool good = true;
  for (int u = 0; u < FAKE_UNITS; u++)
    good &= titan_memory_allocate(TITAN_MEMORY_GENERAL, (size_t)fake->units[u].flat_elements * titan_dtype_bytes(dtype),
                                  &w->places[u]) == TITAN_OK;
  expect_on_all(good);
}

static void wholes_destroy(wholes *w) {
  for (int u = 0; u < FAKE_UNITS; u++)
    titan_memory_free(w->places[u]);
}

static bool begin_one(titan_gather *gather, wholes *w, int unit) {
  if (!w->needed || w->begun[unit])
    return true;
  w->begun[unit] = true;
  return titan_gather_begin(gather, unit, w->places[unit]) == TITAN_OK;
}

// Waits for `unit`, begins `next` (or -1), and looks at the unit while the next is on its way; then it is released.
static bool use(titan_gather *gather, wholes *w, const fake_units *fake, titan_dtype dtype, int step, int unit,
                int next) {
  const void *flat = NULL;
  bool good = begin_one(gather, w, unit) && titan_gather_wait(gather, unit, &flat) == TITAN_OK;
  if (next >= 0 && next != unit)
    good &= begin_one(gather, w, next);
  good = good && is_whole(fake, dtype, step, unit, flat);
  titan_comm_progress();
  good = good && is_whole(fake, dtype, step, unit, flat);
  w->begun[unit] = false;
  return good;
}

static titan_memory_tag tag_of(titan_dtype dtype) {
  return dtype == TITAN_FLOAT32 ? TITAN_MEMORY_MASTERS : TITAN_MEMORY_PARAMETERS;
}

static void check_steps(titan_dtype dtype, titan_intra_node intra_node) {
  fake_units fake;
  wholes w;
  titan_gather *gather;
  int last = FAKE_UNITS - 1;
  fake_units_create(&fake, 3, titan_comm_rank(comm), titan_comm_size(comm));
  wholes_create(&w, &fake, dtype, intra_node);
  expect_on_all(titan_gather_create(comm, device, dtype, tag_of(dtype), intra_node, 1, FAKE_UNITS, fake.units,
                                    &gather) == TITAN_OK);
  // Between the writing and the reading of a step nothing is collective but publishing itself: the ranks agree once, at
  // the end.
  bool good = true;
  for (int step = 0; step < 4 || step < titan_comm_size(comm); step++) {
    one_rank_is_late(step);
    write_shards(&fake, dtype, step);
    good &= titan_gather_publish(gather) == TITAN_OK;
    memset(w.begun, 0, sizeof w.begun);
    // forward and back, as a step goes
    for (int u = 0; u < last; u++)
      good &= use(gather, &w, &fake, dtype, step, u, u + 1);
    good &= use(gather, &w, &fake, dtype, step, last, last - 1);
    for (int u = last - 1; u >= 0; u--)
      good &= use(gather, &w, &fake, dtype, step, u, u - 1);
    // any order, without prefetch, with prefetch of what is not used, and of what is there
    static const int order[] = {3, 3, 5, 0, 3, 6, 1};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
      good &= use(gather, &w, &fake, dtype, step, order[i], i % 3 == 0 ? -1 : (int)(i + step) % FAKE_UNITS);
    // all reads are done before the shards are written anew
    good &= titan_comm_barrier(comm, NULL) == TITAN_OK;
  }
  expect_on_all(good);
  titan_gather_destroy(&gather);
  assert_null(gather);
  wholes_destroy(&w);
}

// A unit that the list does not gather is an error, not a read of what happens to lie there.
static void a_unit_is_not_used_before_it_is_gathered(void **state) {
  (void)state;
  fake_units fake;
  titan_gather *gather;
  const void *flat;
  fake_units_create(&fake, 1, titan_comm_rank(comm), titan_comm_size(comm));
  expect_on_all(titan_gather_create(comm, device, TITAN_FLOAT32, TITAN_MEMORY_MASTERS, TITAN_INTRA_NODE_MPI, 1,
                                    FAKE_UNITS, fake.units, &gather) == TITAN_OK);
  bool alone = titan_comm_size(comm) == 1;
  expect_on_all(titan_gather_wait(gather, 1, &flat) == (alone ? TITAN_OK : TITAN_ERROR_INTERNAL));
  titan_gather_destroy(&gather);
}

static void every_rank_reads_what_all_have_published(void **state) {
  (void)state;
  static const titan_intra_node ways[] = {TITAN_INTRA_NODE_AUTO, TITAN_INTRA_NODE_SHARED, TITAN_INTRA_NODE_MPI};
  for (int way = 0; way < 3; way++) {
    check_steps(TITAN_FLOAT32, ways[way]);
    check_steps(TITAN_BFLOAT16, ways[way]);
  }
}

static void the_way_is_the_one_asked_for(void **state) {
  (void)state;
  static const titan_intra_node ways[] = {TITAN_INTRA_NODE_AUTO, TITAN_INTRA_NODE_SHARED, TITAN_INTRA_NODE_MPI};
  static const char *const texts[] = {"shared memory", "shared memory", "MPI"};
  for (int way = 0; way < 3; way++) {
    fake_units fake;
    titan_gather *gather;
    fake_units_create(&fake, 1, titan_comm_rank(comm), titan_comm_size(comm));
    expect_on_all(titan_gather_create(comm, device, TITAN_FLOAT32, TITAN_MEMORY_MASTERS, ways[way], 1, FAKE_UNITS,
                                      fake.units, &gather) == TITAN_OK);
    expect_on_all(strcmp(titan_gather_description(gather), titan_comm_size(comm) == 1 ? "one rank" : texts[way]) == 0);
    titan_gather_destroy(&gather);
  }
}

static void what_is_allocated_is_what_was_said_and_zero(void **state) {
  (void)state;
  for (int i = 0; i < 6; i++) {
    titan_dtype dtype = i % 2 ? TITAN_BFLOAT16 : TITAN_FLOAT32;
    titan_intra_node way = (titan_intra_node)(i / 2);
    fake_units fake;
    titan_gather *gather;
    fake_units_create(&fake, 5, titan_comm_rank(comm), titan_comm_size(comm));
    size_t bytes = titan_gather_shard_bytes(dtype, FAKE_UNITS, fake.units);
    expect_on_all(titan_gather_create(comm, device, dtype, tag_of(dtype), way, 1, FAKE_UNITS, fake.units, &gather) ==
                  TITAN_OK);
    size_t parameters = titan_memory_usage_of(TITAN_MEMORY_PARAMETERS).live_bytes;
    size_t masters = titan_memory_usage_of(TITAN_MEMORY_MASTERS).live_bytes;
    expect_on_all(parameters + masters == bytes &&
                  (tag_of(dtype) == TITAN_MEMORY_MASTERS ? masters : parameters) == bytes);
    bool zero = true;
    for (int u = 0; u < FAKE_UNITS; u++)
      for (size_t k = 0; k < (size_t)fake.units[u].shard_elements * titan_dtype_bytes(dtype); k++)
        zero &= ((char *)fake.units[u].compute)[k] == 0;
    expect_on_all(zero);
    titan_gather_destroy(&gather);
  }
}

// Ended while a gather is in flight: it is waited for.
static void a_gather_in_flight_is_completed_by_destroying(void **state) {
  (void)state;
  fake_units fake;
  titan_gather *gather;
  fake_units_create(&fake, 3, titan_comm_rank(comm), titan_comm_size(comm));
  expect_on_all(titan_gather_create(comm, device, TITAN_FLOAT32, TITAN_MEMORY_MASTERS, TITAN_INTRA_NODE_MPI, 1,
                                    FAKE_UNITS, fake.units, &gather) == TITAN_OK);
  wholes w;
  wholes_create(&w, &fake, TITAN_FLOAT32, TITAN_INTRA_NODE_MPI);
  write_shards(&fake, TITAN_FLOAT32, 0);
  expect_on_all(begin_one(gather, &w, 2));
  expect_on_all(begin_one(gather, &w, 4));
  titan_gather_destroy(&gather);
  // What was in flight has arrived, of this rank's and of the others' shards.
  expect_on_all(!w.needed || (is_whole(&fake, TITAN_FLOAT32, 0, 2, w.places[2]) &&
                              is_whole(&fake, TITAN_FLOAT32, 0, 4, w.places[4])));
  wholes_destroy(&w);
}

static int begin(void **state) {
  (void)state;
  return titan_comm_create_mpi(MPI_COMM_WORLD, "world", &comm) != TITAN_OK ||
         titan_device_create_cpu(1, &device) != TITAN_OK;
}

static int end(void **state) {
  (void)state;
  titan_comm_destroy(&comm);
  titan_device_destroy(&device);
  return 0;
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_rank_reads_what_all_have_published),
      cmocka_unit_test(a_unit_is_not_used_before_it_is_gathered),
      cmocka_unit_test(the_way_is_the_one_asked_for),
      cmocka_unit_test(what_is_allocated_is_what_was_said_and_zero),
      cmocka_unit_test(a_gather_in_flight_is_completed_by_destroying),
  };
  begin_mpi_tests(&argc, &argv);
  return end_mpi_tests(cmocka_run_group_tests(tests, begin, end));
}
