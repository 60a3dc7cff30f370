// SPDX-License-Identifier: Apache-2.0
// Property: a model whose output weights are its embedding's trains alike on every mesh, and its two copies of them,
// with all states of the optimizer, have the same bits after every step. Oracles: a runtime of this rank alone with the
// whole batch, and a gradient of the loss by finite differences. Tolerances: none between the copies; sums over ranks
// are taken in another order, so that losses, norms and weights agree to 1e-5 relative (float32 has 6e-8, times ten
// steps of AdamW); central differences with h = 1e-2 have h^2 and float32's rounding of the loss over h: 1 % of the
// largest.
#include "device_test.h"
#include "small_model.h"

#include "optim/optimizer.h"
#include "parallel/shard_view.h"

#include <math.h>
#include <string.h>

enum { STEPS = 10 };

// How a run may differ in what a step's list is.
typedef struct way {
  titan_mesh_degrees degrees;
  titan_intra_node intra_node;
  titan_reduce_when reduce;
  int microbatches;
  bool early;
  titan_dtype dtype;
} way;

typedef struct run {
  titan_mesh *mesh;
  titan_runtime *runtime;
} run;

static run begin(MPI_Comm comm, const way *w) {
  run r = {0};
  int dp = w->degrees.dp_replicate * w->degrees.dp_shard;
  titan_runtime_options options = small_model_options(0, dp, w->dtype, w->intra_node);
  options.arguments.tied = true;
  options.arguments.kv_heads = 4;
  options.microbatches = w->microbatches;
  options.shape.batch /= w->microbatches;
  options.reduce = w->reduce;
  options.early_update = w->early;
  options.loss_parallel = true;
  expect_on_all(titan_mesh_create(comm, w->degrees, &r.mesh) == TITAN_OK);
  expect_on_all(titan_runtime_plan(&options, r.mesh, device, &r.runtime) == TITAN_OK);
  expect_on_all(titan_runtime_allocate(r.runtime) == TITAN_OK);
  expect_on_all(titan_runtime_initialize(r.runtime, 7) == TITAN_OK);
  return r;
}

static void end(run *r) {
  titan_runtime_destroy(&r->runtime);
  titan_mesh_destroy(&r->mesh);
}

static int dp_rank(const run *r) {
  return titan_comm_rank(titan_mesh_comm(r->mesh, TITAN_MESH_DP));
}

// A step of AdamW that clips (not with early updates); *loss: of the whole batch.
static bool step(run *r, int number, bool early, double *loss, double *norm) {
  titan_optimizer_options options = {.rule = &titan_optimizer_rule_adamw,
                                     .learning_rate = 1e-3,
                                     .beta1 = 0.9,
                                     .beta2 = 0.95,
                                     .epsilon = 1e-8,
                                     .weight_decay = 0.1,
                                     .no_decay = 1u << TITAN_PARAMETER_NORM,
                                     .max_norm = early ? 1e9 : 0.5,
                                     .total_steps = STEPS};
  titan_optimizer_step_state state;
  double mine = 0, squares = 0;
  small_model_batch(r->runtime, number, dp_rank(r));
  bool good = titan_optimizer_begin(&state, r->runtime, &options, number + 1) == TITAN_OK;
  good &= titan_runtime_step(r->runtime, &mine) == TITAN_OK;
  good &= titan_optimizer_read_squares(&state, r->runtime, &squares) == TITAN_OK;
  titan_comm *shards = titan_mesh_comm(r->mesh, TITAN_MESH_DP_SHARD_CP), *tp = titan_mesh_comm(r->mesh, TITAN_MESH_TP);
  good &= titan_comm_all_reduce(shards, &squares, &squares, 1, TITAN_FLOAT64, TITAN_SUM, NULL) == TITAN_OK;
  good &= titan_comm_all_reduce(tp, &squares, &squares, 1, TITAN_FLOAT64, TITAN_SUM, NULL) == TITAN_OK;
  good &= titan_comm_all_reduce(titan_mesh_comm(r->mesh, TITAN_MESH_DP), &mine, loss, 1, TITAN_FLOAT64, TITAN_SUM,
                                NULL) == TITAN_OK;
  *norm = sqrt(squares);
  return good && titan_optimizer_end(&state, r->runtime, *norm) == TITAN_OK;
}

static bool are_equal(const void *a, const void *b, size_t bytes) {
  const void *first = host_copy(device, a, bytes), *second = host_copy(device, b, bytes);
  return memcmp(first, second, bytes) == 0;
}

// This rank's elements of the two copies: masters, states, compute copies, and gradients where they are still there.
static bool copies_are_equal(const run *r, bool early) {
  titan_runtime_tie tie = titan_runtime_tie_of(r->runtime);
  titan_unit_slice slices[2] = {{0}};
  const titan_unit *units[2];
  bool held[2];
  for (int i = 0; i < 2; i++) {
    units[i] = titan_runtime_unit(r->runtime, tie.units[i]);
    held[i] = titan_unit_slice_of(units[i], tie.parameters[i], &slices[i]);
  }
  if (!tie.exists || held[0] != held[1] ||
      memcmp(&slices[0].first_in_parameter, &slices[1].first_in_parameter, 3 * sizeof(int64_t)) != 0)
    return false;
  int64_t first = slices[0].first_in_shard, count = slices[0].count;
  size_t element = titan_dtype_bytes(titan_runtime_options_of(r->runtime)->shape.dtype);
  bool equal = are_equal((const char *)units[0]->compute + (size_t)first * element,
                         (const char *)units[1]->compute + (size_t)first * element, (size_t)count * element);
  const float *vectors[2][4];
  for (int i = 0; i < 2; i++) {
    vectors[i][0] = units[i]->master;
    vectors[i][1] = units[i]->slots[0];
    vectors[i][2] = units[i]->slots[1];
    vectors[i][3] = early ? units[i]->master : units[i]->gradient;
  }
  for (int v = 0; v < 4; v++)
    equal &= are_equal(vectors[0][v] + first, vectors[1][v] + first, (size_t)count * sizeof(float));
  return equal;
}

// Sums of the squares of the masters of all parameters, over the ranks that share them.
static double weights_of(const run *r) {
  double sum = 0;
  bool first = titan_comm_rank(titan_mesh_comm(r->mesh, TITAN_MESH_TP)) == 0;
  for (int u = 0; u < titan_runtime_unit_count(r->runtime); u++) {
    const titan_unit *unit = titan_runtime_unit(r->runtime, u);
    titan_unit_slice slice;
    for (int p = 0; p < unit->plan->parameter_count; p++) {
      if (!(first || unit->plan->parameters[p].sharded) || !titan_unit_slice_of(unit, p, &slice))
        continue;
      const float *values = host_floats(device, unit->master + slice.first_in_shard, slice.count);
      for (int64_t i = 0; i < slice.count; i++)
        sum += (double)values[i] * (double)values[i];
    }
  }
  titan_comm *shards = titan_mesh_comm(r->mesh, TITAN_MESH_DP_SHARD_CP), *tp = titan_mesh_comm(r->mesh, TITAN_MESH_TP);
  expect_on_all(titan_comm_all_reduce(shards, &sum, &sum, 1, TITAN_FLOAT64, TITAN_SUM, NULL) == TITAN_OK);
  expect_on_all(titan_comm_all_reduce(tp, &sum, &sum, 1, TITAN_FLOAT64, TITAN_SUM, NULL) == TITAN_OK);
  return sum;
}

static bool near(double a, double b) {
  return fabs(a - b) <= 1e-5 * fabs(b);
}

static void check_way(const way *w) {
  way alone = {{1, 1, 1, 1, 1}, TITAN_INTRA_NODE_AUTO, TITAN_REDUCE_LAST, 1, w->early, w->dtype};
  run mine = begin(MPI_COMM_WORLD, w), whole = begin(MPI_COMM_SELF, &alone);
  double loss, norm, expected_loss, expected_norm, first_loss = 0;
  expect_on_all(copies_are_equal(&mine, true));
  for (int i = 0; i < STEPS; i++) {
    expect_on_all(step(&mine, i, w->early, &loss, &norm));
    expect_on_all(step(&whole, i, w->early, &expected_loss, &expected_norm));
    if (w->dtype == TITAN_FLOAT32)
      expect_on_all(near(loss, expected_loss) && near(norm, expected_norm));
    expect_on_all(copies_are_equal(&mine, w->early) && copies_are_equal(&whole, w->early));
    first_loss = i == 0 ? loss : first_loss;
  }
  expect_on_all(loss < first_loss);
  if (w->dtype == TITAN_FLOAT32)
    expect_on_all(near(weights_of(&mine), weights_of(&whole)));
  end(&mine);
  end(&whole);
}

static void every_mesh_trains_a_tied_model_as_one_rank_does(void **state) {
  (void)state;
  static const titan_mesh_degrees meshes[] = {
      {1, 1, 1, 1, 1}, {1, 1, 2, 1, 1}, {1, 2, 1, 1, 1}, {1, 1, 1, 1, 2},
      {1, 1, 4, 1, 1}, {1, 2, 2, 1, 1}, {1, 4, 1, 1, 1}, {1, 1, 2, 1, 2},
  };
  int variant = 0;
  for (size_t m = 0; m < sizeof meshes / sizeof *meshes; m++)
    for (int i = 0; i < 4 && meshes[m].dp_replicate * meshes[m].dp_shard * meshes[m].tp == test_size(); i++, variant++)
      check_way(&(way){.degrees = meshes[m],
                       .intra_node = i % 2 ? TITAN_INTRA_NODE_MPI : TITAN_INTRA_NODE_SHARED,
                       .reduce = i < 2 ? TITAN_REDUCE_EACH : TITAN_REDUCE_LAST,
                       .microbatches = 1 + variant % 3,
                       .early = i == 1 || i == 2,
                       .dtype = i == 3 ? TITAN_BFLOAT16 : TITAN_FLOAT32});
}

// Sets element `index` of both copies; one rank.
static void set_weight(const run *r, int64_t index, float value) {
  titan_runtime_tie tie = titan_runtime_tie_of(r->runtime);
  for (int i = 0; i < 2; i++) {
    const titan_unit *unit = titan_runtime_unit(r->runtime, tie.units[i]);
    float *weight = unit->master + unit->lead + unit->plan->parameters[tie.parameters[i]].first + index;
    titan_shard_view view;
    expect_on_all(titan_shard_view_open(device, weight, 1, TITAN_ACCESS_WRITE, TITAN_MEMORY_GENERAL, &view) ==
                  TITAN_OK);
    *view.values = value;
    expect_on_all(titan_shard_view_close(&view) == TITAN_OK);
  }
}

static double loss_of(const run *r) {
  double loss = NAN;
  small_model_batch(r->runtime, 0, 0);
  expect_on_all(titan_runtime_step(r->runtime, &loss) == TITAN_OK);
  return loss;
}

static void the_gradient_of_a_tied_parameter_is_that_of_the_loss_by_all_of_its_uses(void **state) {
  (void)state;
  way w = {{1, 1, 1, 1, 1}, TITAN_INTRA_NODE_AUTO, TITAN_REDUCE_LAST, 1, false, TITAN_FLOAT32};
  run r = begin(MPI_COMM_SELF, &w);
  titan_runtime_tie tie = titan_runtime_tie_of(r.runtime);
  const titan_unit *unit = titan_runtime_unit(r.runtime, tie.units[0]);
  int64_t first = unit->lead + unit->plan->parameters[tie.parameters[0]].first;
  int64_t elements = unit->plan->parameters[tie.parameters[0]].elements;
  double largest = 0;
  const float h = 1e-2f;
  loss_of(&r);
  const float *gradients = host_floats(device, unit->gradient + first, elements);
  for (int64_t i = 0; i < elements; i++)
    largest = fmax(largest, fabs((double)gradients[i]));
  for (int64_t i = 17; i < elements; i += elements / 12) {
    double gradient, losses[2];
    float value = *host_floats(device, unit->master + first + i, 1);
    loss_of(&r);
    gradient = (double)*host_floats(device, unit->gradient + first + i, 1);
    for (int side = 0; side < 2; side++) {
      set_weight(&r, i, value + (side ? h : -h));
      losses[side] = loss_of(&r);
    }
    set_weight(&r, i, value);
    expect_on_all(fabs((losses[1] - losses[0]) / (2 * (double)h) - gradient) <= 0.01 * largest);
  }
  end(&r);
}

static void expect_no_plan(int64_t layers, const titan_model_tie *tie, const char *reason) {
  titan_runtime *runtime;
  titan_mesh *mesh = NULL;
  titan_runtime_options options = small_model_options(0, 1, TITAN_FLOAT32, TITAN_INTRA_NODE_AUTO);
  titan_model_definition model = *options.model;
  model.tie = tie;
  options.model = &model;
  options.arguments.tied = true;
  options.arguments.layers = layers;
  expect_on_all(titan_mesh_create(MPI_COMM_SELF, (titan_mesh_degrees){1, 1, 1, 1, 1}, &mesh) == TITAN_OK);
  expect_on_all(titan_runtime_plan(&options, mesh, device, &runtime) == TITAN_ERROR_INTERNAL && runtime == NULL);
  expect_on_all(strstr(titan_error_message(), reason) != NULL);
  titan_mesh_destroy(&mesh);
}

static void a_pair_that_cannot_be_one_is_refused(void **state) {
  (void)state;
  expect_no_plan(1, NULL, "has no parameters that can be tied");
  expect_no_plan(1, &(titan_model_tie){{0, 2}, {"tok_embeddings.weight", "norm.weight"}},
                 "tok_embeddings.weight and norm.weight, of which a rank of this mesh holds different blocks");
  expect_no_plan(2, &(titan_model_tie){{1, 2}, {"attention_norm.weight", "norm.weight"}},
                 "ties attention_norm.weight of kind block, expected one unit that has it");
  expect_no_plan(1, &(titan_model_tie){{0, 2}, {"tok_embeddings.weight", "no.weight"}},
                 "ties no.weight of kind head, expected one unit that has it");
  expect_no_plan(1, &(titan_model_tie){{2, 0}, {"output.weight", "tok_embeddings.weight"}}, "expected the lower first");
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_gradient_of_a_tied_parameter_is_that_of_the_loss_by_all_of_its_uses),
      cmocka_unit_test(a_pair_that_cannot_be_one_is_refused),
      cmocka_unit_test(every_mesh_trains_a_tied_model_as_one_rank_does),
  };
  begin_mpi_tests(&argc, &argv);
  return end_mpi_tests(cmocka_run_group_tests(tests, begin_device, end_device));
}
