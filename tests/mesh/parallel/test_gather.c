// Property: after the ranks have written their shards and published them, each rank finds every unit whole, in whatever
// way and order it asks, step after step. Oracle: the values as a function of step, unit and element. Tolerance: none.
#include "../mpi_test.h"

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

// Waits for `unit`, begins `next` (or -1), and looks at the unit while the next is on its way.
static bool use(titan_gather *gather, const fake_units *fake, titan_dtype dtype, int step, int unit, int next) {
  const void *flat = NULL;
  bool good = titan_gather_wait(gather, unit, &flat) == TITAN_OK;
  if (next >= 0)
    good &= titan_gather_begin(gather, next) == TITAN_OK;
  good = good && is_whole(fake, dtype, step, unit, flat);
  titan_comm_progress();
  return good && is_whole(fake, dtype, step, unit, flat);
}

// Between the writing and the reading of a step nothing is collective but publishing itself: the ranks agree once, at
// the end.
static void check_steps(titan_dtype dtype, titan_intra_node intra_node) {
  fake_units fake;
  titan_gather *gather;
  int last = FAKE_UNITS - 1;
  fake_units_create(&fake, 3, titan_comm_rank(comm), titan_comm_size(comm));
  expect_on_all(titan_gather_create(comm, device, dtype, intra_node, FAKE_UNITS, fake.units, &gather) == TITAN_OK);
  for (int u = 0; u < FAKE_UNITS; u++)
    expect_on_all((fake.units[u].master == fake.units[u].compute) == (dtype == TITAN_FLOAT32));
  bool good = true;
  for (int step = 0; step < 4 || step < titan_comm_size(comm); step++) {
    one_rank_is_late(step);
    write_shards(&fake, dtype, step);
    good &= titan_gather_publish(gather) == TITAN_OK;
    // forward and back, as the runtime goes
    good &= titan_gather_begin(gather, 0) == TITAN_OK;
    for (int u = 0; u < last; u++)
      good &= use(gather, &fake, dtype, step, u, u + 1);
    good &= use(gather, &fake, dtype, step, last, last - 1);
    for (int u = last - 1; u >= 0; u--)
      good &= use(gather, &fake, dtype, step, u, u - 1);
    // any order, without prefetch, with prefetch of what is not used, and of what is there
    static const int order[] = {3, 3, 5, 0, 3, 6, 1};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
      good &= use(gather, &fake, dtype, step, order[i], i % 3 == 0 ? -1 : (int)(i + step) % FAKE_UNITS);
    // all reads are done before the shards are written anew
    good &= titan_comm_barrier(comm, NULL) == TITAN_OK;
  }
  expect_on_all(good);
  titan_gather_destroy(&gather);
  assert_null(gather);
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
    expect_on_all(titan_gather_create(comm, device, TITAN_FLOAT32, ways[way], FAKE_UNITS, fake.units, &gather) ==
                  TITAN_OK);
    expect_on_all(strcmp(titan_gather_description(gather), titan_comm_size(comm) == 1 ? "one rank" : texts[way]) == 0);
    titan_gather_destroy(&gather);
  }
}

static void what_is_allocated_is_what_was_said_and_zero(void **state) {
  (void)state;
  for (int i = 0; i < 6; i++) {
    titan_dtype dtype = i % 2 ? TITAN_BFLOAT16 : TITAN_FLOAT32;
    titan_intra_node way = (titan_intra_node)(i / 2);
    titan_memory_tag shard_tag = dtype == TITAN_FLOAT32 ? TITAN_MEMORY_MASTERS : TITAN_MEMORY_PARAMETERS;
    fake_units fake;
    titan_gather *gather;
    fake_units_create(&fake, 5, titan_comm_rank(comm), titan_comm_size(comm));
    titan_gather_bytes bytes = titan_gather_bytes_of(comm, dtype, way, FAKE_UNITS, fake.units);
    expect_on_all(titan_gather_create(comm, device, dtype, way, FAKE_UNITS, fake.units, &gather) == TITAN_OK);
    size_t parameters = titan_memory_usage_of(TITAN_MEMORY_PARAMETERS).live_bytes;
    size_t masters = titan_memory_usage_of(TITAN_MEMORY_MASTERS).live_bytes;
    size_t shards = shard_tag == TITAN_MEMORY_MASTERS ? masters : parameters - bytes.gathered;
    expect_on_all(parameters + masters == bytes.shards + bytes.gathered && shards == bytes.shards);
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
  expect_on_all(titan_gather_create(comm, device, TITAN_FLOAT32, TITAN_INTRA_NODE_MPI, FAKE_UNITS, fake.units,
                                    &gather) == TITAN_OK);
  write_shards(&fake, TITAN_FLOAT32, 0);
  expect_on_all(titan_gather_begin(gather, 2) == TITAN_OK);
  expect_on_all(titan_gather_begin(gather, 4) == TITAN_OK);
  titan_gather_destroy(&gather);
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
      cmocka_unit_test(the_way_is_the_one_asked_for),
      cmocka_unit_test(what_is_allocated_is_what_was_said_and_zero),
      cmocka_unit_test(a_gather_in_flight_is_completed_by_destroying),
  };
  begin_mpi_tests(&argc, &argv);
  return end_mpi_tests(cmocka_run_group_tests(tests, begin, end));
}
