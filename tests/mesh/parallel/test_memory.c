// SPDX-License-Identifier: Apache-2.0
// Property: what a rank takes is known before any rank is there: the plan made on a stand-in for its mesh gives, tag by
// tag, the bytes that the real runtime then takes and keeps through two steps, also on simulated nodes. Oracle: the
// allocator's counts. Tolerance: none.
#include "device_test.h"
#include "schedules.h"
#include "small_model.h"

#include "parallel/runtime.h"

#include <string.h>

static const struct {
  int ranks;
  titan_mesh_degrees degrees;
} meshes[] = {
    {1, {1, 1, 1, 1, 1}}, {2, {1, 1, 2, 1, 1}}, {2, {1, 2, 1, 1, 1}}, {2, {1, 1, 1, 1, 2}},
    {4, {1, 1, 4, 1, 1}}, {4, {1, 4, 1, 1, 1}}, {4, {1, 2, 2, 1, 1}}, {4, {1, 1, 2, 1, 2}},
    {4, {1, 1, 1, 1, 4}}, {8, {1, 1, 8, 1, 1}}, {8, {1, 1, 4, 1, 2}}, {8, {1, 2, 2, 1, 2}},
};

// What a run may choose that changes its plans.
typedef struct variant {
  titan_dtype dtype;
  titan_intra_node intra_node;
  bool loss_parallel;
} variant;

static const titan_activation_options activations[] = {
    {.mode = TITAN_ACTIVATIONS_KEPT},
    {.mode = TITAN_ACTIVATIONS_FULL},
    {.mode = TITAN_ACTIVATIONS_EVERY, .every = 2},
    {.mode = TITAN_ACTIVATIONS_OPERATIONS},
};

enum { VARIANTS = 4, ACTIVATIONS = sizeof activations / sizeof *activations };

static const variant variants[VARIANTS] = {
    {TITAN_FLOAT32, TITAN_INTRA_NODE_SHARED, true},
    {TITAN_FLOAT32, TITAN_INTRA_NODE_MPI, false},
    {TITAN_BFLOAT16, TITAN_INTRA_NODE_SHARED, false},
    {TITAN_BFLOAT16, TITAN_INTRA_NODE_MPI, true},
};

// Of the stand-in's nodes, which TITAN_SIMULATED_NODES makes of all ranks but the last node's.
static int ranks_per_node(void) {
  const char *nodes = getenv("TITAN_SIMULATED_NODES");
  return nodes != NULL ? atoi(nodes) : test_size();
}

// Four heads, so that a tp group of four can have one each, and rows that no group divides into less than one.
static titan_runtime_options options_of(titan_mesh_degrees degrees, const variant *v,
                                        const titan_activation_options *kept, bool compile) {
  int dp = degrees.dp_replicate * degrees.dp_shard;
  bool levelled = v->intra_node == TITAN_INTRA_NODE_SHARED && ranks_per_node() < test_size(); // as far as it can be
  titan_runtime_options options =
      small_model_options(0, dp, v->dtype, levelled ? TITAN_INTRA_NODE_AUTO : v->intra_node);
  options.arguments.layers = 3;
  options.arguments.kv_heads = 4;
  options.loss_parallel = v->loss_parallel;
  options.arguments.tied = compile;
  options.activations = *kept;
  options.compile = compile;
  return options;
}

// The bytes of the tags that a plan knows.
typedef struct tags {
  size_t bytes[TITAN_MEMORY_TAG_COUNT];
} tags;

static tags tags_now(void) {
  tags now = {0};
  for (int tag = 0; tag < TITAN_MEMORY_TAG_COUNT; tag++)
    if (tag >= TITAN_MEMORY_PARAMETERS || tag == TITAN_MEMORY_COMMUNICATION)
      now.bytes[tag] = titan_memory_usage_of((titan_memory_tag)tag).live_bytes +
                       titan_memory_usage_of_device((titan_memory_tag)tag).live_bytes;
  return now;
}

static titan_status leave_alone(void *context, titan_runtime *runtime, int index) {
  const titan_unit *unit = titan_runtime_unit(runtime, index);
  (void)context;
  if (unit->offloaded != NULL && unit->updated != unit->master) // host memory that is sent to the device
    memset(unit->updated, 0, (size_t)unit->shard_elements * sizeof(uint16_t));
  return unit->gradient != NULL ? TITAN_OK : TITAN_ERROR_INTERNAL;
}

// By one process for itself, of a mesh that is not there.
static tags estimate(titan_mesh_degrees degrees, const titan_runtime_options *options) {
  titan_mesh *mesh = NULL;
  titan_runtime *runtime = NULL;
  tags planned = {0};
  if (titan_mesh_create_fake(degrees, test_rank(), ranks_per_node(), &mesh) == TITAN_OK &&
      titan_runtime_plan(options, mesh, device, &runtime) == TITAN_OK)
    memcpy(planned.bytes, titan_runtime_memory_of(runtime).by_tag, sizeof planned.bytes);
  for (int tag = 0; runtime != NULL && tag < TITAN_MEMORY_TAG_COUNT; tag++)
    planned.bytes[tag] += titan_runtime_memory_of(runtime).pinned_by_tag[tag];
  titan_runtime_destroy(&runtime);
  titan_mesh_destroy(&mesh);
  return planned;
}

static bool are_as_planned(const tags *planned, const tags *before) {
  tags now = tags_now();
  bool good = planned->bytes[TITAN_MEMORY_MASTERS] > 0;
  for (int tag = 0; tag < TITAN_MEMORY_TAG_COUNT; tag++)
    if (now.bytes[tag] - before->bytes[tag] != planned->bytes[tag]) {
      fprintf(stderr, "%s: %zu bytes taken, %zu estimated\n", titan_memory_tag_text((titan_memory_tag)tag),
              now.bytes[tag] - before->bytes[tag], planned->bytes[tag]);
      good = false;
    }
  return good;
}

// The loss is where the head is.
static bool has_loss(const titan_runtime *runtime) {
  return titan_runtime_holds(runtime, titan_runtime_unit_count(runtime) - 1);
}

static void check(titan_mesh_degrees degrees, titan_runtime_options options) {
  titan_mesh *mesh;
  titan_runtime *runtime;
  double loss;
  tags planned = estimate(degrees, &options);
  expect_on_all(titan_mesh_create(MPI_COMM_WORLD, degrees, &mesh) == TITAN_OK);
  tags before = tags_now();
  expect_on_all(titan_runtime_plan(&options, mesh, device, &runtime) == TITAN_OK);
  expect_on_all(titan_runtime_allocate(runtime) == TITAN_OK);
  expect_on_all(titan_runtime_initialize(runtime, 1) == TITAN_OK);
  expect_on_all(are_as_planned(&planned, &before));
  titan_memory_reset_peaks();
  titan_runtime_set_updater(runtime, (titan_updater){.update = leave_alone});
  for (int step = 0; step < 2; step++) {
    small_model_batch(runtime, step, titan_comm_rank(titan_mesh_comm(mesh, TITAN_MESH_DP)));
    if (options.validation.batch > 0) // of the first tokens
      expect_on_all(titan_runtime_validate(runtime, &loss) == TITAN_OK && (loss > 0) == has_loss(runtime));
    expect_on_all(titan_runtime_step(runtime, &loss) == TITAN_OK);
    expect_on_all((options.early_update ? titan_runtime_publish(runtime) : titan_runtime_update(runtime)) == TITAN_OK);
  }
  expect_on_all(are_as_planned(&planned, &before));
  bool none_more = true;
  for (int tag = TITAN_MEMORY_PARAMETERS; tag < TITAN_MEMORY_TAG_COUNT; tag++)
    none_more &= titan_memory_usage_of((titan_memory_tag)tag).peak_bytes ==
                 titan_memory_usage_of((titan_memory_tag)tag).live_bytes;
  for (int tag = 0; tag < TITAN_MEMORY_TAG_COUNT; tag++)
    none_more &= titan_memory_usage_of_device((titan_memory_tag)tag).peak_bytes ==
                 titan_memory_usage_of_device((titan_memory_tag)tag).live_bytes;
  expect_on_all(none_more);
  titan_runtime_destroy(&runtime);
  titan_mesh_destroy(&mesh);
}

static void a_plan_without_ranks_gives_the_bytes_that_ranks_take(void **state) {
  (void)state;
  int v = 0;
  for (size_t m = 0; m < sizeof meshes / sizeof *meshes; m++)
    for (int a = 0; a < ACTIVATIONS && meshes[m].ranks == test_size(); a++)
      for (int compile = 0; compile < 2; compile++, v++)
        check(meshes[m].degrees, options_of(meshes[m].degrees, &variants[v % VARIANTS], &activations[a], compile));
}

// Microbatches with both ways to reduce, early updates, and a second list for validation, longer or shorter.
static void so_it_is_with_accumulation_early_updates_and_validation(void **state) {
  (void)state;
  int v = 0;
  for (size_t m = 0; m < sizeof meshes / sizeof *meshes; m++)
    for (int way = 0; way < 8 && meshes[m].ranks == test_size(); way++, v++) {
      titan_runtime_options options =
          options_of(meshes[m].degrees, &variants[v % VARIANTS], &activations[v % ACTIVATIONS], v % 3 == 0);
      options.microbatches = way % 2 == 0 ? 3 : 1;
      options.shape.batch /= options.microbatches;
      options.reduce = way / 2 % 2 == 0 ? TITAN_REDUCE_EACH : TITAN_REDUCE_LAST;
      options.early_update = way >= 4;
      options.arguments.tied = (way + (int)m) % 2;
      if (way % 3 != 0)
        options.validation =
            (titan_model_shape){.batch = way % 3, .length = way % 3 == 1 ? 24 : 8, .dtype = options.shape.dtype};
      check(meshes[m].degrees, options);
    }
}

// --- offloading ---

static titan_runtime_memory memory_of(titan_mesh_degrees degrees, const titan_runtime_options *options) {
  titan_mesh *mesh = NULL;
  titan_runtime *runtime = NULL;
  titan_runtime_memory memory = {0};
  if (titan_mesh_create_fake(degrees, test_rank(), ranks_per_node(), &mesh) == TITAN_OK &&
      titan_runtime_plan(options, mesh, device, &runtime) == TITAN_OK)
    memory = titan_runtime_memory_of(runtime);
  titan_runtime_destroy(&runtime);
  titan_mesh_destroy(&mesh);
  return memory;
}

// The device has what it had without masters, states of the optimizer and gradients: the host has those. With float32
// the masters were what is gathered, which the device has to have.
static void check_offload(titan_mesh_degrees degrees, titan_runtime_options options) {
  titan_runtime_memory before = memory_of(degrees, &options);
  bool float32 = options.shape.dtype == TITAN_FLOAT32;
  size_t shards = before.by_tag[TITAN_MEMORY_OPTIMIZER] / (size_t)options.slot_count;
  options.offload = true;
  titan_runtime_memory after = memory_of(degrees, &options);
  if (titan_device_is_host(device)) {
    expect_on_all(after.total == before.total && after.pinned == before.pinned);
    return;
  }
  bool good = after.by_tag[TITAN_MEMORY_MASTERS] == 0 && after.by_tag[TITAN_MEMORY_OPTIMIZER] == 0;
  good &= after.by_tag[TITAN_MEMORY_PARAMETERS] == before.by_tag[TITAN_MEMORY_PARAMETERS] + (float32 ? shards : 0);
  good &= after.by_tag[TITAN_MEMORY_ACTIVATIONS] == before.by_tag[TITAN_MEMORY_ACTIVATIONS];
  good &= after.pinned_by_tag[TITAN_MEMORY_MASTERS] == shards && after.pinned_by_tag[TITAN_MEMORY_GRADIENTS] == shards;
  good &= after.pinned_by_tag[TITAN_MEMORY_OPTIMIZER] == before.by_tag[TITAN_MEMORY_OPTIMIZER];
  // On their way to the host: the shards of a few units, as with early updates.
  if (!options.early_update && options.microbatches == 1)
    good &= after.by_tag[TITAN_MEMORY_GRADIENTS] < before.by_tag[TITAN_MEMORY_GRADIENTS];
  expect_on_all(good);
  check(degrees, options);
}

static void so_it_is_with_offloading(void **state) {
  (void)state;
  int v = 0;
  for (size_t m = 0; m < sizeof meshes / sizeof *meshes; m++)
    for (int way = 0; way < 8 && meshes[m].ranks == test_size(); way++, v++) {
      titan_runtime_options options =
          options_of(meshes[m].degrees, &variants[v % VARIANTS], &activations[v % ACTIVATIONS], v % 3 == 0);
      options.arguments.layers = 6;
      options.microbatches = way % 2 == 0 ? 3 : 1;
      options.shape.batch /= options.microbatches;
      options.reduce = way / 2 % 2 == 0 ? TITAN_REDUCE_EACH : TITAN_REDUCE_LAST;
      options.early_update = way >= 4;
      options.arguments.tied = (way + (int)m) % 2;
      if (way % 3 == 1)
        options.validation = (titan_model_shape){.batch = 1, .length = 24, .dtype = options.shape.dtype};
      check_offload(meshes[m].degrees, options);
    }
}

// --- pipelines ---

static const struct {
  int ranks;
  titan_mesh_degrees degrees;
} pipelines[] = {
    {2, {2, 1, 1, 1, 1}}, {4, {4, 1, 1, 1, 1}}, {4, {2, 1, 2, 1, 1}}, {4, {2, 2, 1, 1, 1}},
    {4, {2, 1, 1, 1, 2}}, {8, {2, 1, 2, 1, 2}}, {8, {4, 1, 2, 1, 1}},
};

// A unit or two a stage. Both ends of a model with tied embeddings are on rank 0 where stages are placed as a V.
static titan_runtime_options pipeline_of(titan_mesh_degrees degrees, const char *schedule, int way) {
  titan_runtime_options options =
      options_of(degrees, &variants[way % VARIANTS], &activations[way % ACTIVATIONS], way % 3 == 0);
  options.pipeline.schedule = titan_schedule_find(schedule);
  options.pipeline.parts = 2 * degrees.pp;
  options.microbatches = options.pipeline.parts * (way % 2 == 0 ? 1 : 3);
  options.shape.batch = 1 + way % 2;
  options.arguments.layers = 2 * degrees.pp + way % 3 - (way % 3 == 2 ? 3 : 0);
  options.arguments.tied = options.pipeline.schedule->placement == TITAN_STAGES_V && way % 2;
  options.reduce = way / 2 % 2 == 0 ? TITAN_REDUCE_EACH : TITAN_REDUCE_LAST;
  options.early_update = way / 4 % 2;
  options.offload = way % 5 == 0; // no effect on the CPU
  if (way % 3 == 1) {
    options.validation = (titan_model_shape){.batch = 1 + way % 2, .length = 24, .dtype = options.shape.dtype};
    options.validation_microbatches = degrees.pp;
  }
  return options;
}

static void so_it_is_with_every_pipeline(void **state) {
  (void)state;
  int way = 0;
  for (size_t m = 0; m < sizeof pipelines / sizeof *pipelines; m++)
    for (int i = 0; i < SCHEDULES && pipelines[m].ranks == test_size(); i++)
      for (int repeat = 0; repeat < 8 / test_size(); repeat++, way++)
        check(pipelines[m].degrees, pipeline_of(pipelines[m].degrees, schedules[i], way));
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_plan_without_ranks_gives_the_bytes_that_ranks_take),
      cmocka_unit_test(so_it_is_with_accumulation_early_updates_and_validation),
      cmocka_unit_test(so_it_is_with_offloading),
      cmocka_unit_test(so_it_is_with_every_pipeline),
  };
  begin_mpi_tests(&argc, &argv);
  if (ranks_per_node() < test_size()) // what else a plan has does not depend on nodes
    cmocka_set_test_filter("a_plan_without_ranks_*");
  return end_mpi_tests(cmocka_run_group_tests(tests, begin_device, end_device));
}
