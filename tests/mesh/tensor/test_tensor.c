// SPDX-License-Identifier: Apache-2.0
// Property: a runtime whose graph is cut over a tp group, alone or with sharded or replicated data parallelism, trains
// as one rank: the same initial bits, and at each of ten steps the loss, the gradient norm and, by name, every
// gradient. Oracle: a runtime of this rank alone with the whole batch. Tolerances: none for initial weights; 1e-5 in
// float32, where only the order of sums differs (float32 has 6e-8, a few hundred terms), and 2e-4 of a tensor's largest
// element for gradients after the first step, since AdamW divides by moments and so enlarges what differs
// (observed 1.1e-5 on Zen 4, 6e-5 on Zen 5); 1e-2 in bfloat16, whose partial sums are rounded to 2^-9, for losses and
// norms, and 3e-2 of a tensor's largest element for gradients, whose rounding errors each layer adds to.
#include "pair.h"

#include "optim/optimizer.h"
#include "passes/tensor.h"

enum { BATCH = 4, VOCABULARY = 199, STEPS = 10 }; // 2, 4 and 8 ranks do not divide the vocabulary
static int length = 24;

static titan_runtime_options options_of(int tp, titan_norm_type norm_type, titan_dtype dtype, bool loss_parallel) {
  bool grouped = norm_type % 2 == 0;
  return (titan_runtime_options){
      .slot_count = 2,
      .slots = {"exp_avg", "exp_avg_sq"},
      .model = titan_model_find(grouped ? "llama3" : "llama2"),
      .arguments = {.dim = 64,
                    .layers = 2,
                    .heads = grouped ? 2 * tp : 8,
                    .kv_heads = grouped ? tp : 8,
                    .multiple_of = 32,
                    .ffn_dim_multiplier = 1,
                    .norm_epsilon = 1e-5,
                    .rope_theta = 1e4,
                    .vocabulary = VOCABULARY,
                    .norm_type = norm_type},
      .shape = {.batch = BATCH, .length = length, .dtype = dtype},
      .global_tokens = BATCH * length,
      .loss_parallel = loss_parallel,
      .intra_node = loss_parallel ? TITAN_INTRA_NODE_SHARED : TITAN_INTRA_NODE_MPI,
  };
}

static int ignored_every; // every n-th token does not count; 0: all do

static void set_batch(titan_runtime *runtime, int step) {
  const titan_model_shape *shape = &titan_runtime_options_of(runtime)->shape;
  int rank = titan_comm_rank(titan_mesh_comm(titan_runtime_mesh(runtime), TITAN_MESH_DP));
  int64_t vocabulary = titan_runtime_options_of(runtime)->arguments.vocabulary;
  for (int64_t i = 0; i < shape->batch * shape->length; i++) {
    int64_t token = i + rank * shape->batch * shape->length;
    titan_runtime_tokens(runtime)[i] = (int32_t)((token * 31 + token / 7 + step * 17) % vocabulary);
    titan_runtime_labels(runtime)[i] = (int32_t)(((token + 1) * 31 + step * 17) % vocabulary);
    if (ignored_every > 0 && token % ignored_every == 1)
      titan_runtime_labels(runtime)[i] = TITAN_LABEL_IGNORED;
  }
}

// Collective over the runtime's mesh.
static bool run_step(titan_runtime *runtime, int step, double *loss, double *norm) {
  const titan_mesh *mesh = titan_runtime_mesh(runtime);
  int replicas = titan_comm_size(titan_mesh_comm(mesh, TITAN_MESH_DP_REPLICATE));
  double mine = 0;
  set_batch(runtime, step);
  if (titan_runtime_step(runtime, &mine) != TITAN_OK)
    return false;
  double part[2] = {mine, titan_optimizer_sum_of_squares(runtime)}, dp[2], square;
  if (titan_comm_all_reduce(titan_mesh_comm(mesh, TITAN_MESH_DP_CP), part, dp, 2, TITAN_FLOAT64, TITAN_SUM, NULL) ||
      titan_comm_all_reduce(titan_mesh_comm(mesh, TITAN_MESH_TP), &dp[1], &square, 1, TITAN_FLOAT64, TITAN_SUM, NULL))
    return false;
  *loss = dp[0];
  *norm = sqrt(square / replicas);
  return true;
}

static bool near(const char *what, int step, double value, double expected, double tolerance) {
  bool good = fabs(value - expected) <= tolerance * fabs(expected);
  if (!good)
    fprintf(stderr, "%s of step %d: %.9g, expected %.9g\n", what, step, value, expected);
  return good;
}

// What a tp group holds alike is alike to the bit.
static bool replicas_are_equal(const runtime_pair *pair) {
  titan_comm *tp = titan_mesh_comm(pair->mesh, TITAN_MESH_TP);
  static float first[1024];
  bool good = true;
  for (int u = 0; u < titan_runtime_unit_count(pair->many); u++) {
    const titan_unit *unit = titan_runtime_unit(pair->many, u);
    const float *master = host_floats(pair->device, unit->master, unit->shard_elements);
    titan_unit_slice slice;
    for (int p = 0; p < unit->plan->parameter_count; p++) {
      if (unit->plan->parameters[p].sharded || !titan_unit_slice_of(unit, p, &slice))
        continue;
      size_t bytes = (size_t)slice.count * sizeof(float);
      memcpy(first, master + slice.first_in_shard, bytes);
      good = titan_comm_broadcast(tp, first, (size_t)slice.count, TITAN_FLOAT32, 0, NULL) == TITAN_OK && good;
      good = memcmp(first, master + slice.first_in_shard, bytes) == 0 && good;
    }
  }
  return good;
}

static void check_options(titan_mesh_degrees degrees, titan_runtime_options options) {
  runtime_pair pair;
  titan_optimizer_options optimizer = {.rule = &titan_optimizer_rule_adamw,
                                       .learning_rate = 1e-3,
                                       .beta1 = 0.9,
                                       .beta2 = 0.95,
                                       .epsilon = 1e-8,
                                       .weight_decay = 0.1,
                                       .max_norm = 1,
                                       .warmup_steps = 2,
                                       .total_steps = STEPS};
  bool narrow = options.shape.dtype == TITAN_BFLOAT16;
  double tolerance = narrow ? 1e-2 : 1e-5;
  pair_create(&options, degrees, &pair);
  pair_allocate(&pair, 42);
  expect_on_all(pair_agrees(&pair, false, 0));
  for (int step = 1; step <= STEPS; step++) {
    double loss = 0, norm = 0, expected_loss = 0, expected_norm = 0;
    expect_on_all(run_step(pair.many, step, &loss, &norm));
    expect_on_all(run_step(pair.alone, step, &expected_loss, &expected_norm));
    expect_on_all(near("loss", step, loss, expected_loss, tolerance));
    expect_on_all(near("gradient norm", step, norm, expected_norm, tolerance));
    expect_on_all(pair_agrees(&pair, true, narrow ? 3e-2 : step == 1 ? 1e-5 : 2e-4));
    expect_on_all(titan_optimizer_step(pair.many, &optimizer, step, norm) == TITAN_OK);
    expect_on_all(titan_optimizer_step(pair.alone, &optimizer, step, expected_norm) == TITAN_OK);
  }
  expect_on_all(replicas_are_equal(&pair));
  pair_destroy(&pair);
}

static void check(titan_mesh_degrees degrees, titan_norm_type norm_type, titan_dtype dtype, bool loss_parallel,
                  bool async) {
  titan_runtime_options options = options_of(degrees.tp, norm_type, dtype, loss_parallel);
  options.async_tensor = options.compile = async;
  check_options(degrees, options);
}

static void each_norm_trains_cut_over_all_ranks_as_on_one(void **state) {
  (void)state;
  for (int norm = TITAN_NORM_RMSNORM; norm <= TITAN_NORM_NP_LAYERNORM; norm++)
    for (int loss_parallel = 0; loss_parallel < 2; loss_parallel++)
      check((titan_mesh_degrees){1, 1, 1, 1, test_size()}, (titan_norm_type)norm, TITAN_FLOAT32, loss_parallel, false);
}

static void bfloat16_trains_cut_over_all_ranks_as_on_one(void **state) {
  (void)state;
  for (int loss_parallel = 0; loss_parallel < 2; loss_parallel++)
    check((titan_mesh_degrees){1, 1, 1, 1, test_size()}, TITAN_NORM_RMSNORM, TITAN_BFLOAT16, loss_parallel, false);
}

// Degrees in the order pp, dp_replicate, dp_shard, cp, tp.
static void meshes_with_data_parallelism_train_as_one_rank(void **state) {
  (void)state;
  int half = test_size() / 2;
  if (half < 2)
    return;
  check((titan_mesh_degrees){1, 1, half, 1, 2}, TITAN_NORM_RMSNORM, TITAN_FLOAT32, true, false);
  check((titan_mesh_degrees){1, half, 1, 1, 2}, TITAN_NORM_LAYERNORM, TITAN_FLOAT32, true, false);
  check((titan_mesh_degrees){1, 1, 2, 1, half}, TITAN_NORM_FUSED_RMSNORM, TITAN_FLOAT32, false, false);
  if (half == 4)
    check((titan_mesh_degrees){1, 2, 2, 1, 2}, TITAN_NORM_RMSNORM, TITAN_FLOAT32, true, false);
}

// The products are cut in chunks, and sums over rows are taken in another order; all else is the same.
static void transfers_during_products_train_as_on_one(void **state) {
  (void)state;
  titan_mesh_degrees all = {1, 1, 1, 1, test_size()};
  for (int norm = TITAN_NORM_RMSNORM; norm <= TITAN_NORM_NP_LAYERNORM; norm++)
    check(all, (titan_norm_type)norm, TITAN_FLOAT32, norm > 1, true);
  for (int loss_parallel = 0; loss_parallel < 2; loss_parallel++) // shared memory, and messages
    check(all, TITAN_NORM_RMSNORM, TITAN_BFLOAT16, loss_parallel, true);
  int half = test_size() / 2;
  if (half < 2)
    return;
  check((titan_mesh_degrees){1, 1, half, 1, 2}, TITAN_NORM_RMSNORM, TITAN_FLOAT32, true, true);
  check((titan_mesh_degrees){1, half, 1, 1, 2}, TITAN_NORM_LAYERNORM, TITAN_FLOAT32, false, true);
  if (half == 4)
    check((titan_mesh_degrees){1, 2, 2, 1, 2}, TITAN_NORM_RMSNORM, TITAN_FLOAT32, true, true);
}

// Ranks whose rows of the vocabulary are all padding: with gathered logits they have nothing to compute, and do no
// harm.
static void ranks_without_a_token_train_as_one(void **state) {
  (void)state;
  titan_mesh_degrees all = {1, 1, 1, 1, test_size()};
  titan_runtime_options options = options_of(test_size(), TITAN_NORM_RMSNORM, TITAN_FLOAT32, false);
  options.arguments.vocabulary = test_size() + 1; // parts of 2
  expect_on_all(test_size() == 2 || !titan_tensor_vocabulary_reaches(options.arguments.vocabulary, test_size()));
  check_options(all, options);
  options.async_tensor = options.compile = true;
  check_options(all, options);
}

// With loss parallel, parts that reach the last rank by one token only.
static void a_last_rank_with_one_token_trains_as_one(void **state) {
  (void)state;
  titan_runtime_options options = options_of(test_size(), TITAN_NORM_RMSNORM, TITAN_FLOAT32, true);
  options.arguments.vocabulary = 3 * (test_size() - 1) + 1;
  expect_on_all(titan_tensor_vocabulary_reaches(options.arguments.vocabulary, test_size()));
  expect_on_all(test_size() == 2 || !titan_tensor_vocabulary_reaches(2 * (test_size() - 1), test_size()));
  check_options((titan_mesh_degrees){1, 1, 1, 1, test_size()}, options);
}

// Chunks of 1024 rows are multiplied in four parts each, between which the transfer is looked after.
static void long_chunks_train_in_parts_as_on_one(void **state) {
  (void)state;
  if (test_size() != 2)
    return;
  length = 512;
  check((titan_mesh_degrees){1, 1, 1, 1, 2}, TITAN_NORM_RMSNORM, TITAN_FLOAT32, true, true);
  check((titan_mesh_degrees){1, 1, 1, 1, 2}, TITAN_NORM_RMSNORM, TITAN_BFLOAT16, false, true);
  length = 24;
}

static void tokens_that_do_not_count_are_left_out_as_on_one_rank(void **state) {
  (void)state;
  ignored_every = 3;
  for (int loss_parallel = 0; loss_parallel < 2; loss_parallel++)
    check((titan_mesh_degrees){1, 1, 1, 1, test_size()}, TITAN_NORM_RMSNORM, TITAN_FLOAT32, loss_parallel, false);
  ignored_every = 0;
}

static void tokens_and_labels_outside_the_vocabulary_are_refused_on_all_ranks(void **state) {
  (void)state;
  runtime_pair pair;
  titan_runtime_options options = options_of(test_size(), TITAN_NORM_RMSNORM, TITAN_FLOAT32, true);
  pair_create(&options, (titan_mesh_degrees){1, 1, 1, 1, test_size()}, &pair);
  pair_allocate(&pair, 42);
  set_batch(pair.many, 1);
  expect_on_all(titan_runtime_check_batch(pair.many) == TITAN_OK);
  titan_runtime_tokens(pair.many)[7] = VOCABULARY; // the padding of the last rank's rows begins here
  expect_on_all(titan_runtime_check_batch(pair.many) == TITAN_ERROR_DATA);
  expect_on_all(strstr(titan_error_message(), "token 199 at row 7 of the batch, expected 0 to 198") != NULL);
  set_batch(pair.many, 1);
  titan_runtime_labels(pair.many)[BATCH * length - 1] = TITAN_LABEL_IGNORED;
  expect_on_all(titan_runtime_check_batch(pair.many) == TITAN_OK);
  titan_runtime_labels(pair.many)[BATCH * length - 1] = VOCABULARY;
  expect_on_all(titan_runtime_check_batch(pair.many) == TITAN_ERROR_DATA);
  pair_destroy(&pair);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_norm_trains_cut_over_all_ranks_as_on_one),
      cmocka_unit_test(bfloat16_trains_cut_over_all_ranks_as_on_one),
      cmocka_unit_test(meshes_with_data_parallelism_train_as_one_rank),
      cmocka_unit_test(transfers_during_products_train_as_on_one),
      cmocka_unit_test(ranks_without_a_token_train_as_one),
      cmocka_unit_test(a_last_rank_with_one_token_trains_as_one),
      cmocka_unit_test(long_chunks_train_in_parts_as_on_one),
      cmocka_unit_test(tokens_that_do_not_count_are_left_out_as_on_one_rank),
      cmocka_unit_test(tokens_and_labels_outside_the_vocabulary_are_refused_on_all_ranks),
  };
  begin_mpi_tests(&argc, &argv);
  return end_mpi_tests(cmocka_run_group_tests(tests, NULL, NULL));
}
