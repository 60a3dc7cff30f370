// SPDX-License-Identifier: Apache-2.0
// Property: the comparison of replicas accepts a model that was initialised and trained, and names a tensor of which
// one rank's copy was changed in one bit, on all ranks alike; what ranks hold different parts of is never compared.
// Oracle: the tensor that was changed. Tolerance: none.
#include "pair.h"

#include "optim/optimizer.h"
#include "train/replicas.h"

enum { BATCH = 4, LENGTH = 8 };

static void step(titan_runtime *runtime) {
  const titan_model_shape *shape = &titan_runtime_options_of(runtime)->shape;
  titan_optimizer_options optimizer = {.rule = &titan_optimizer_rule_adamw,
                                       .learning_rate = 1e-3,
                                       .beta1 = 0.9,
                                       .beta2 = 0.95,
                                       .epsilon = 1e-8,
                                       .max_norm = 1,
                                       .warmup_steps = 0,
                                       .total_steps = 3};
  double loss = 0;
  for (int64_t i = 0; i < shape->batch * shape->length; i++)
    titan_runtime_tokens(runtime)[i] = titan_runtime_labels(runtime)[i] = (int32_t)(i * 7 % 61);
  expect_on_all(titan_runtime_step(runtime, &loss) == TITAN_OK);
  expect_on_all(titan_optimizer_step(runtime, &optimizer, 1, 1) == TITAN_OK);
}

// Changes one bit of what this rank holds of the parameter; whether it holds any.
static bool spoil(titan_runtime *runtime, int unit_index, const char *name) {
  titan_unit *unit = titan_runtime_unit(runtime, unit_index);
  titan_unit_slice slice;
  if (!titan_unit_slice_of(unit, pair_parameter_find(unit->plan, name), &slice))
    return false;
  uint32_t bits;
  memcpy(&bits, &unit->master[slice.first_in_shard], sizeof bits);
  bits ^= 1;
  memcpy(&unit->master[slice.first_in_shard], &bits, sizeof bits);
  return true;
}

// seen: whether the comparison finds it.
static void check(titan_mesh_degrees degrees, bool tied, int unit, const char *name, const char *full_name, bool seen) {
  titan_runtime_options options = {.slot_count = 2,
                                   .slots = {"exp_avg", "exp_avg_sq"},
                                   .model = titan_model_find("llama3"),
                                   .arguments = {.dim = 64,
                                                 .layers = 2,
                                                 .heads = 8,
                                                 .kv_heads = 4,
                                                 .multiple_of = 32,
                                                 .ffn_dim_multiplier = 1,
                                                 .norm_epsilon = 1e-5,
                                                 .rope_theta = 1e4,
                                                 .vocabulary = 61,
                                                 .tied = tied},
                                   .shape = {.batch = BATCH, .length = LENGTH, .dtype = TITAN_BFLOAT16},
                                   .global_tokens = BATCH * LENGTH,
                                   .loss_parallel = true};
  runtime_pair pair;
  pair_create(&options, degrees, &pair);
  pair_allocate(&pair, 5);
  expect_on_all(titan_replicas_check(pair.many, 0) == TITAN_OK);
  step(pair.many);
  expect_on_all(titan_replicas_check(pair.many, 1) == TITAN_OK);
  bool last = test_rank() == test_size() - 1;
  int held = last && spoil(pair.many, unit, name);
  MPI_Bcast(&held, 1, MPI_INT, test_size() - 1, MPI_COMM_WORLD);
  expect_on_all(held);
  titan_status status = titan_replicas_check(pair.many, 2);
  expect_on_all(status == (seen ? TITAN_ERROR_NUMBERS : TITAN_OK));
  expect_on_all(!seen ||
                (strstr(titan_error_message(), full_name) != NULL && strstr(titan_error_message(), "step 2") != NULL));
  titan_error_clear();
  pair_destroy(&pair);
}

// Degrees in the order pp, dp_replicate, dp_shard, cp, tp.
static void a_copy_that_differs_in_one_bit_is_named(void **state) {
  (void)state;
  int ranks = test_size();
  check((titan_mesh_degrees){1, 1, 1, 1, ranks}, false, 1, "attention_norm.weight", "layers.0.attention_norm.weight",
        true);
  check((titan_mesh_degrees){1, 1, 1, 1, ranks}, false, 3, "norm.weight", " norm.weight", true);
  check((titan_mesh_degrees){1, ranks, 1, 1, 1}, false, 2, "feed_forward.w2.weight", "layers.1.feed_forward.w2.weight",
        true);
  if (ranks == 4)
    check((titan_mesh_degrees){1, 2, 1, 1, 2}, false, 2, "attention.wq.weight", "layers.1.attention.wq.weight", true);
}

static void parts_are_not_compared(void **state) {
  (void)state;
  check((titan_mesh_degrees){1, 1, 1, 1, test_size()}, false, 1, "attention.wo.weight", "", false);
}

static void tied_parameters_that_differ_in_one_bit_are_named(void **state) {
  (void)state;
  static const char expected[] = "tok_embeddings.weight and output.weight are tied";
  check((titan_mesh_degrees){1, 1, test_size(), 1, 1}, true, 3, "output.weight", expected, true);
  check((titan_mesh_degrees){1, 1, 1, 1, test_size()}, true, 0, "tok_embeddings.weight", expected, true);
  check((titan_mesh_degrees){1, 1, test_size(), 1, 1}, false, 3, "output.weight", "", false);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_copy_that_differs_in_one_bit_is_named),
      cmocka_unit_test(parts_are_not_compared),
      cmocka_unit_test(tied_parameters_that_differ_in_one_bit_are_named),
  };
  begin_mpi_tests(&argc, &argv);
  return end_mpi_tests(cmocka_run_group_tests(tests, NULL, NULL));
}
