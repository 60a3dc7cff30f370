// SPDX-License-Identifier: Apache-2.0
// Property: what becomes of the activations changes no bit of a training: losses, gradients and weights of ten steps
// are the same whether the backward finds a value or computes it again, on every mesh. Oracle: the run that keeps all,
// with the same mesh and the same fusing. Tolerance: none; a recomputed value comes from the same kernel on the same
// bits.
#include "device_test.h"
#include "small_model.h"

#include "optim/optimizer.h"

#include <math.h>
#include <string.h>

enum { STEPS = 10, LAYERS = 5 };

typedef struct track {
  double losses[STEPS];
  uint64_t hash; // of this rank's gradients and masters in every step
  size_t total, saved;
} track;

static void hash_floats(uint64_t *hash, const float *values, int64_t count) {
  for (int64_t i = 0; i < count; i++) {
    union {
      float value;
      uint32_t bits;
    } pun = {.value = values[i]};
    *hash = (*hash ^ pun.bits) * 0x100000001b3u; // FNV-1a over words
  }
}

static void hash_unit(uint64_t *hash, const titan_unit *unit, bool masters) {
  hash_floats(hash, host_floats(device, masters ? unit->master : unit->gradient, unit->shard_elements),
              unit->shard_elements);
}

static bool take_step(titan_runtime *runtime, int step, track *out) {
  static const titan_optimizer_options optimizer = {.rule = &titan_optimizer_rule_adamw,
                                                    .learning_rate = 1e-2,
                                                    .beta1 = 0.9,
                                                    .beta2 = 0.95,
                                                    .epsilon = 1e-8,
                                                    .weight_decay = 0.1,
                                                    .max_norm = 1,
                                                    .total_steps = STEPS};
  small_model_batch(runtime, step, titan_comm_rank(titan_mesh_comm(titan_runtime_mesh(runtime), TITAN_MESH_DP)));
  bool good = titan_runtime_step(runtime, &out->losses[step]) == TITAN_OK;
  for (int u = 0; u < titan_runtime_unit_count(runtime); u++)
    hash_unit(&out->hash, titan_runtime_unit(runtime, u), false);
  good = good && titan_optimizer_step(runtime, &optimizer, step + 1, 1.0) == TITAN_OK;
  for (int u = 0; u < titan_runtime_unit_count(runtime); u++)
    hash_unit(&out->hash, titan_runtime_unit(runtime, u), true);
  return good;
}

static track train(titan_mesh *mesh, const titan_runtime_options *options) {
  titan_runtime *runtime;
  track out = {.hash = 0xcbf29ce484222325u};
  expect_on_all(titan_runtime_plan(options, mesh, device, &runtime) == TITAN_OK);
  titan_runtime_memory memory = titan_runtime_memory_of(runtime);
  out.total = memory.total;
  out.saved = small_model_saved(runtime);
  expect_on_all(titan_runtime_allocate(runtime) == TITAN_OK);
  expect_on_all(titan_runtime_initialize(runtime, 7) == TITAN_OK);
  for (int step = 0; step < STEPS; step++)
    expect_on_all(take_step(runtime, step, &out));
  titan_runtime_destroy(&runtime);
  return out;
}

static bool is_same(const track *a, const track *b) {
  bool same = a->hash == b->hash;
  for (int step = 0; step < STEPS; step++)
    same &= a->losses[step] == b->losses[step] && isfinite(a->losses[step]);
  return same;
}

static titan_mesh *mesh_with(int tp) {
  titan_mesh *mesh = NULL;
  titan_mesh_degrees degrees = {1, 1, test_size() / tp, 1, tp};
  expect_on_all(titan_mesh_create(MPI_COMM_WORLD, degrees, &mesh) == TITAN_OK);
  return mesh;
}

static titan_runtime_options options_for(int tp, titan_norm_type norm, titan_dtype dtype, bool compile) {
  titan_runtime_options options = small_model_options(0, test_size() / tp, dtype, TITAN_INTRA_NODE_AUTO);
  options.arguments.layers = LAYERS;
  options.arguments.norm_type = norm;
  options.loss_parallel = true;
  options.compile = compile;
  return options;
}

// All modes against the one that keeps all.
static void compare_modes(titan_mesh *mesh, titan_runtime_options options) {
  options.activations = (titan_activation_options){.mode = TITAN_ACTIVATIONS_KEPT};
  track kept = train(mesh, &options);
  options.activations.mode = TITAN_ACTIVATIONS_FULL;
  track full = train(mesh, &options);
  expect_on_all(is_same(&full, &kept) && full.saved < kept.saved && full.total < kept.total);
  options.activations.mode = TITAN_ACTIVATIONS_OPERATIONS;
  track operations = train(mesh, &options);
  expect_on_all(is_same(&operations, &kept) && operations.saved < kept.saved && operations.saved > full.saved);
  options.activations = (titan_activation_options){.mode = TITAN_ACTIVATIONS_EVERY, .every = 2};
  track every = train(mesh, &options);
  expect_on_all(is_same(&every, &kept) && every.saved < kept.saved && every.saved > full.saved);
  options.activations = (titan_activation_options){.mode = TITAN_ACTIVATIONS_BUDGET,
                                                   .budget = full.total + (kept.total - full.total) / 2};
  track budget = train(mesh, &options);
  expect_on_all(is_same(&budget, &kept) && budget.total <= options.activations.budget);
}

static void no_mode_changes_a_bit_of_ten_steps(void **state) {
  (void)state;
  int norm = 0;
  for (int tp = 1; tp <= 2 && test_size() % tp == 0; tp++) {
    titan_mesh *mesh = mesh_with(tp);
    for (int compile = 0; compile < 2; compile++)
      for (int bf16 = 0; bf16 < 2; bf16++)
        compare_modes(
            mesh, options_for(tp, (titan_norm_type)(norm++ % 4), bf16 ? TITAN_BFLOAT16 : TITAN_FLOAT32, compile == 1));
    titan_mesh_destroy(&mesh);
  }
}

static void n_counts_blocks_from_the_first(void **state) {
  (void)state;
  titan_mesh *mesh = mesh_with(1);
  titan_runtime_options options = options_for(1, TITAN_NORM_RMSNORM, TITAN_FLOAT32, false);
  size_t saved[LAYERS + 2];
  for (int n = 1; n <= LAYERS + 1; n++) { // n above the number of blocks: none is recomputed
    titan_runtime *runtime;
    options.activations = (titan_activation_options){.mode = TITAN_ACTIVATIONS_EVERY, .every = n};
    expect_on_all(titan_runtime_plan(&options, mesh, device, &runtime) == TITAN_OK);
    saved[n] = small_model_saved(runtime);
    titan_runtime_destroy(&runtime);
  }
  size_t block = (saved[LAYERS + 1] - saved[1]) / LAYERS;
  for (int n = 1; n <= LAYERS + 1; n++)
    expect_on_all(saved[n] == saved[1] + block * (size_t)(LAYERS - LAYERS / n));
  titan_mesh_destroy(&mesh);
}

// Every budget between the least and the most is met, and the larger it is, the less is recomputed.
static void a_budget_is_kept_and_used(void **state) {
  (void)state;
  titan_mesh *mesh = mesh_with(1);
  titan_runtime_options options = options_for(1, TITAN_NORM_RMSNORM, TITAN_FLOAT32, false);
  titan_runtime *runtime;
  size_t ends[2], last = 0;
  options.arguments.vocabulary = 17; // the blocks, not the head, decide
  for (int full = 0; full < 2; full++) {
    options.activations.mode = full ? TITAN_ACTIVATIONS_FULL : TITAN_ACTIVATIONS_KEPT;
    expect_on_all(titan_runtime_plan(&options, mesh, device, &runtime) == TITAN_OK);
    ends[full] = titan_runtime_memory_of(runtime).total;
    titan_runtime_destroy(&runtime);
  }
  options.activations.mode = TITAN_ACTIVATIONS_BUDGET;
  for (int part = 1; part <= 8; part++) {
    options.activations.budget = ends[1] + (ends[0] - ends[1]) * (size_t)part / 8;
    expect_on_all(titan_runtime_plan(&options, mesh, device, &runtime) == TITAN_OK);
    size_t total = titan_runtime_memory_of(runtime).total;
    expect_on_all(total <= options.activations.budget && total >= last);
    last = total;
    titan_runtime_destroy(&runtime);
  }
  expect_on_all(last == ends[0]);
  options.activations.budget = ends[1] / 2;
  expect_on_all(titan_runtime_plan(&options, mesh, device, &runtime) == TITAN_ERROR_USAGE);
  expect_on_all(strstr(titan_error_message(), "cannot be met") != NULL && runtime == NULL);
  titan_mesh_destroy(&mesh);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(no_mode_changes_a_bit_of_ten_steps),
      cmocka_unit_test(n_counts_blocks_from_the_first),
      cmocka_unit_test(a_budget_is_kept_and_used),
  };
  begin_mpi_tests(&argc, &argv);
  return end_mpi_tests(cmocka_run_group_tests(tests, begin_device, end_device));
}
