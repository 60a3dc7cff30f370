// SPDX-License-Identifier: Apache-2.0
// Property: what the ranks of a pipeline send each other in a step is what their lists say, and no more: each SEND and
// RECV is one activation, or its gradient, of the compute type, cut over the tp ranks. Gradients are those of one rank.
// Oracles: the counters of the pp group; a runtime of this rank alone. Tolerance: none for bytes; sums over
// microbatches are taken in parts, so gradients agree to 1e-5 of the largest of a unit.
#include "device_test.h"
#include "schedules.h"
#include "small_model.h"

#include <math.h>

static const struct {
  int ranks;
  titan_mesh_degrees degrees;
} meshes[] = {
    {2, {2, 1, 1, 1, 1}}, {4, {4, 1, 1, 1, 1}}, {4, {2, 1, 2, 1, 1}}, {4, {2, 2, 1, 1, 1}},
    {4, {2, 1, 1, 1, 2}}, {8, {2, 1, 2, 1, 2}}, {8, {4, 1, 1, 1, 2}},
};

enum { LAYERS = 7 };

static titan_runtime_options options_of(titan_mesh_degrees degrees, const char *schedule, titan_dtype dtype) {
  int dp = degrees.dp_replicate * degrees.dp_shard;
  titan_runtime_options options = small_model_options(0, dp, dtype, TITAN_INTRA_NODE_AUTO);
  options.arguments.layers = LAYERS;
  options.pipeline.schedule = titan_schedule_find(schedule);
  options.pipeline.parts = options.microbatches = 2 * degrees.pp;
  options.shape.batch /= options.microbatches;
  options.validation = (titan_model_shape){.batch = 2, .length = 8, .dtype = dtype};
  options.validation_microbatches = 3;
  return options;
}

// --- what is sent ---

static titan_comm *pipeline_group(const titan_runtime *runtime) {
  return titan_mesh_comm(titan_runtime_mesh((titan_runtime *)runtime), TITAN_MESH_PP);
}

static int count_transfers(const titan_runtime *runtime, bool validation) {
  const titan_step_list *list = titan_runtime_list_of(runtime, validation).list;
  int count = 0;
  for (int i = 0; i < list->count; i++)
    count += list->actions[i].kind == TITAN_ACTION_SEND || list->actions[i].kind == TITAN_ACTION_RECV;
  return count;
}

static uint64_t bytes_of(const titan_runtime *runtime, const titan_model_shape *shape) {
  int tp = titan_mesh_degree(titan_runtime_mesh((titan_runtime *)runtime), TITAN_MESH_TP);
  int64_t dim = titan_runtime_options_of(runtime)->arguments.dim;
  return (uint64_t)(shape->batch * shape->length / tp * dim) * titan_dtype_bytes(shape->dtype);
}

// Whether the group has moved what the list says since `before`.
static bool is_as_listed(const titan_runtime *runtime, bool validation, const titan_comm_traffic *before) {
  const titan_runtime_options *options = titan_runtime_options_of(runtime);
  const titan_model_shape *shape = validation ? &options->validation : &options->shape;
  titan_comm_traffic now = titan_comm_traffic_of(pipeline_group(runtime));
  uint64_t transfers = (uint64_t)count_transfers(runtime, validation), bytes = bytes_of(runtime, shape);
  bool good = transfers > 0 && now.point_to_point - before->point_to_point == transfers * bytes &&
              now.operations - before->operations == transfers;
  if (!good)
    fprintf(stderr, "%llu bytes in %llu calls, expected %llu of %llu\n",
            (unsigned long long)(now.point_to_point - before->point_to_point),
            (unsigned long long)(now.operations - before->operations), (unsigned long long)transfers,
            (unsigned long long)bytes);
  return good;
}

static void check_traffic(titan_mesh_degrees degrees, const char *schedule, titan_dtype dtype) {
  titan_mesh *mesh;
  titan_runtime *runtime;
  double loss;
  titan_runtime_options options = options_of(degrees, schedule, dtype);
  expect_on_all(titan_mesh_create(MPI_COMM_WORLD, degrees, &mesh) == TITAN_OK);
  expect_on_all(titan_runtime_plan(&options, mesh, device, &runtime) == TITAN_OK);
  expect_on_all(titan_runtime_allocate(runtime) == TITAN_OK);
  expect_on_all(titan_runtime_initialize(runtime, 1) == TITAN_OK);
  for (int step = 0; step < 2; step++) {
    small_model_batch(runtime, step, titan_comm_rank(titan_mesh_comm(mesh, TITAN_MESH_DP)));
    titan_comm_traffic before = titan_comm_traffic_of(pipeline_group(runtime));
    expect_on_all(titan_runtime_validate(runtime, &loss) == TITAN_OK);
    expect_on_all(is_as_listed(runtime, true, &before));
    before = titan_comm_traffic_of(pipeline_group(runtime));
    expect_on_all(titan_runtime_step(runtime, &loss) == TITAN_OK);
    expect_on_all(is_as_listed(runtime, false, &before));
    expect_on_all(titan_runtime_publish(runtime) == TITAN_OK);
  }
  titan_runtime_destroy(&runtime);
  titan_mesh_destroy(&mesh);
}

static void a_step_moves_what_its_list_says(void **state) {
  (void)state;
  int way = 0;
  for (size_t m = 0; m < sizeof meshes / sizeof *meshes; m++)
    for (int i = 0; i < SCHEDULES && meshes[m].ranks == test_size(); i++)
      check_traffic(meshes[m].degrees, schedules[i], way++ % 2 ? TITAN_BFLOAT16 : TITAN_FLOAT32);
}

// --- gradients ---

// This rank alone, with the whole batch.
static titan_runtime *alone(titan_mesh **mesh) {
  titan_runtime *runtime;
  double loss;
  titan_runtime_options options = small_model_options(0, 1, TITAN_FLOAT32, TITAN_INTRA_NODE_AUTO);
  options.arguments.layers = LAYERS;
  expect_on_all(titan_mesh_create(MPI_COMM_SELF, (titan_mesh_degrees){1, 1, 1, 1, 1}, mesh) == TITAN_OK);
  expect_on_all(titan_runtime_plan(&options, *mesh, device, &runtime) == TITAN_OK);
  expect_on_all(titan_runtime_allocate(runtime) == TITAN_OK);
  expect_on_all(titan_runtime_initialize(runtime, 1) == TITAN_OK);
  small_model_batch(runtime, 0, 0);
  expect_on_all(titan_runtime_step(runtime, &loss) == TITAN_OK);
  return runtime;
}

// A unit that is held has the gradient of the whole; one that is not has no elements.
static bool has_gradients_of(titan_runtime *runtime, titan_runtime *whole) {
  bool good = true;
  for (int unit = 0; unit < titan_runtime_unit_count(runtime); unit++) {
    const titan_unit *mine = titan_runtime_unit(runtime, unit), *all = titan_runtime_unit(whole, unit);
    if (!titan_runtime_holds(runtime, unit)) {
      good &= mine->shard_elements == 0;
      continue;
    }
    float largest = 0, error = 0;
    const float *expected = host_floats(device, all->gradient, all->shard_elements),
                *given = host_floats(device, mine->gradient, mine->shard_elements);
    for (int64_t i = 0; i < all->shard_elements; i++) {
      largest = fmaxf(largest, fabsf(expected[i]));
      error = fmaxf(error, fabsf(expected[i] - given[i]));
    }
    good &= mine->shard_elements == all->shard_elements && largest > 0 && error <= 1e-5f * largest;
  }
  return good;
}

// Pipeline ranks alone: shards are whole.
static void every_schedule_has_the_gradients_of_one_rank(void **state) {
  (void)state;
  titan_mesh *own, *mesh;
  titan_runtime *whole = alone(&own), *runtime;
  titan_mesh_degrees degrees = {test_size(), 1, 1, 1, 1};
  double loss;
  expect_on_all(titan_mesh_create(MPI_COMM_WORLD, degrees, &mesh) == TITAN_OK);
  for (int i = 0; i < SCHEDULES && test_size() <= 4; i++)
    for (int full = 0; full < 2; full++) {
      titan_runtime_options options = options_of(degrees, schedules[i], TITAN_FLOAT32);
      options.activations.mode = full ? TITAN_ACTIVATIONS_FULL : TITAN_ACTIVATIONS_KEPT;
      expect_on_all(titan_runtime_plan(&options, mesh, device, &runtime) == TITAN_OK);
      expect_on_all(titan_runtime_allocate(runtime) == TITAN_OK);
      expect_on_all(titan_runtime_initialize(runtime, 1) == TITAN_OK);
      small_model_batch(runtime, 0, 0);
      expect_on_all(titan_runtime_step(runtime, &loss) == TITAN_OK);
      expect_on_all(has_gradients_of(runtime, whole));
      titan_runtime_destroy(&runtime);
    }
  titan_runtime_destroy(&whole);
  titan_mesh_destroy(&mesh);
  titan_mesh_destroy(&own);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_step_moves_what_its_list_says),
      cmocka_unit_test(every_schedule_has_the_gradients_of_one_rank),
  };
  begin_mpi_tests(&argc, &argv);
  return end_mpi_tests(cmocka_run_group_tests(tests, begin_device, end_device));
}
