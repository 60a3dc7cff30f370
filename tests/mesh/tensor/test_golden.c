// SPDX-License-Identifier: Apache-2.0
// Property: small Llamas cut over a tp group have the loss and, by name, the gradients of PyTorch in float64, and the
// losses and gradient norms of its ten steps of training, with logits that stay cut or are gathered, whether or not
// transfers go on during products. What the ranks cannot cut is skipped aloud; a run must compare something. Oracle:
// the committed numbers of tests/golden/llama. Their batch has an odd number of rows; as many copies of it as there are
// ranks have the same mean loss and gradients, and rows that the ranks divide. Tolerance as in test_golden_llama.c.
#include "pair.h"

#include "golden.h"
#include "optim/optimizer.h"

static const double tolerance = 1e-5;
static const char *folder;
static int compared; // models, each in one way

static int64_t integer(const titan_golden *golden, const char *key) {
  int64_t value = 0;
  expect_on_all(titan_golden_integer(golden, key, &value) == TITAN_OK);
  return value;
}

static double real(const titan_golden *golden, const char *key) {
  double value = 0;
  expect_on_all(titan_golden_real(golden, key, &value) == TITAN_OK);
  return value;
}

static titan_norm_type norm_type(const titan_golden *golden) {
  static const char *const names[] = {"rmsnorm", "fused_rmsnorm", "layernorm", "np_layernorm"};
  const char *name = "";
  int type = 0;
  expect_on_all(titan_golden_text(golden, "norm_type", &name) == TITAN_OK);
  while (type < 3 && strcmp(names[type], name) != 0)
    type++;
  return (titan_norm_type)type;
}

static titan_runtime_options options_of(const titan_golden *golden, const char *name, int copies) {
  char model[7] = "";
  memcpy(model, name, 6); // llama2 or llama3
  int64_t batch = copies * integer(golden, "batch");
  return (titan_runtime_options){
      .slot_count = 2,
      .slots = {"exp_avg", "exp_avg_sq"},
      .model = titan_model_find(model),
      .arguments = {.dim = integer(golden, "dim"),
                    .layers = integer(golden, "layers"),
                    .heads = integer(golden, "heads"),
                    .kv_heads = integer(golden, "kv_heads"),
                    .multiple_of = integer(golden, "multiple_of"),
                    .ffn_dim_multiplier = real(golden, "ffn_dim_multiplier"),
                    .norm_epsilon = real(golden, "norm_eps"),
                    .rope_theta = real(golden, "rope_theta"),
                    .vocabulary = integer(golden, "vocab"),
                    .norm_type = norm_type(golden)},
      .shape = {.batch = batch, .length = integer(golden, "seq_len"), .dtype = TITAN_FLOAT32},
      .global_tokens = batch * integer(golden, "seq_len"),
  };
}

static void set_batch(titan_runtime *runtime, const titan_golden_tensor *tokens, int64_t step) {
  const int32_t *ids = tokens->data;
  const titan_model_shape *shape = &titan_runtime_options_of(runtime)->shape;
  for (int64_t b = 0; b < shape->batch; b++)
    for (int64_t l = 0; l < shape->length; l++) {
      const int32_t *row = ids + (step * tokens->dims[1] + b % tokens->dims[1]) * (shape->length + 1);
      titan_runtime_tokens(runtime)[b * shape->length + l] = row[l];
      titan_runtime_labels(runtime)[b * shape->length + l] = row[l + 1];
    }
}

static void check_gradients(const titan_golden *golden, const runtime_pair *pair) {
  for (int u = 0; u < titan_runtime_unit_count(pair->many); u++) {
    const titan_unit *unit = titan_runtime_unit(pair->many, u);
    for (int p = 0; p < unit->plan->parameter_count; p++) {
      const titan_golden_tensor *tensor = NULL;
      char name[256];
      float *expected = NULL;
      snprintf(name, sizeof name, "gradient/%s%s", unit->prefix, unit->plan->parameters[p].name);
      expect_on_all(titan_golden_find(golden, name, &tensor) == TITAN_OK);
      size_t count = (size_t)tensor->count;
      expect_on_all(titan_memory_allocate(TITAN_MEMORY_GENERAL, count * sizeof *expected, &expected) == TITAN_OK);
      for (size_t i = 0; i < count; i++)
        expected[i] = (float)titan_golden_value(tensor, (int64_t)i);
      bool good = pair_parameter_agrees(pair, unit, p, host_floats(pair->device, unit->gradient, unit->shard_elements),
                                        expected, tensor->count, tolerance);
      titan_memory_free(expected);
      expect_on_all(good);
    }
  }
}

static bool near(const char *what, int64_t step, double value, double expected) {
  bool good = fabs(value - expected) <= tolerance * fabs(expected);
  if (!good)
    fprintf(stderr, "%s of step %lld: %.9g, expected %.9g\n", what, (long long)step, value, expected);
  return good;
}

static void check_training(const titan_golden *golden, titan_runtime *runtime, const titan_golden_tensor *tokens) {
  titan_comm *tp = titan_mesh_comm(titan_runtime_mesh(runtime), TITAN_MESH_TP);
  titan_optimizer_options optimizer = {.rule = &titan_optimizer_rule_adamw,
                                       .learning_rate = real(golden, "lr"),
                                       .beta1 = 0.9,
                                       .beta2 = 0.95,
                                       .epsilon = 1e-8,
                                       .weight_decay = 0.1,
                                       .max_norm = real(golden, "max_norm"),
                                       .warmup_steps = integer(golden, "warmup_steps"),
                                       .total_steps = integer(golden, "steps")};
  const titan_golden_tensor *losses = NULL, *norms = NULL;
  expect_on_all(titan_golden_find(golden, "training/loss", &losses) == TITAN_OK);
  expect_on_all(titan_golden_find(golden, "training/gradient_norm", &norms) == TITAN_OK);
  for (int64_t step = 1; step <= optimizer.total_steps; step++) {
    double loss = 0;
    set_batch(runtime, tokens, step - 1);
    expect_on_all(titan_runtime_step(runtime, &loss) == TITAN_OK);
    double mine = titan_optimizer_sum_of_squares(runtime), square = 0;
    expect_on_all(titan_comm_all_reduce(tp, &mine, &square, 1, TITAN_FLOAT64, TITAN_SUM, NULL) == TITAN_OK);
    expect_on_all(near("loss", step, loss, titan_golden_value(losses, step - 1)));
    expect_on_all(near("gradient norm", step, sqrt(square), titan_golden_value(norms, step - 1)));
    expect_on_all(titan_optimizer_step(runtime, &optimizer, step, sqrt(square)) == TITAN_OK);
  }
}

static void check_model(const titan_golden *golden, const titan_runtime_options *options,
                        const titan_golden_tensor *tokens) {
  runtime_pair pair;
  double loss = 0;
  double expected = 0;
  pair_create(options, (titan_mesh_degrees){1, 1, 1, 1, test_size()}, &pair);
  pair_allocate(&pair, (uint64_t)integer(golden, "seed"));
  set_batch(pair.many, tokens, 0);
  expect_on_all(titan_runtime_step(pair.many, &loss) == TITAN_OK);
  expect_on_all(titan_golden_scalar(golden, "loss", &expected) == TITAN_OK);
  expect_on_all(fabs(loss - expected) <= tolerance * fabs(expected));
  check_gradients(golden, &pair);
  check_training(golden, pair.many, tokens);
  pair_destroy(&pair);
  compared++;
}

static bool can_be_cut(const titan_model_arguments *arguments, int ranks) {
  return arguments->kv_heads % ranks == 0 && arguments->heads % ranks == 0;
}

static void the_cut_model_has_the_loss_gradients_and_training_of_pytorch(void **state) {
  const char *name = *state;
  titan_golden *golden = NULL;
  const titan_golden_tensor *tokens = NULL;
  char path[1024];
  int tp = test_size();
  snprintf(path, sizeof path, "%s/%s", folder, name);
  expect_on_all(titan_golden_open(path, &golden) == TITAN_OK);
  expect_on_all(titan_golden_find(golden, "tokens", &tokens) == TITAN_OK);
  titan_runtime_options options = options_of(golden, name, tp);
  for (int way = 0; way < 4 && can_be_cut(&options.arguments, tp); way++) {
    options.loss_parallel = way % 2;
    options.async_tensor = options.compile = way / 2;
    check_model(golden, &options, tokens);
  }
  titan_golden_close(&golden);
  if (!can_be_cut(&options.arguments, tp)) {
    if (test_rank() == 0)
      printf("SKIPPED: %s: its %lld heads and %lld kv heads cannot be cut over %d ranks\n", name,
             (long long)options.arguments.heads, (long long)options.arguments.kv_heads, tp);
    skip();
  }
}

int main(int argc, char **argv) {
  static char names[][32] = {"llama3_rmsnorm", "llama3_gqa", "llama2_fused_rmsnorm", "llama3_layernorm",
                             "llama2_np_layernorm"};
  struct CMUnitTest tests[sizeof names / sizeof *names];
  if (argc < 2)
    return 2;
  folder = argv[1];
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    tests[i] = (struct CMUnitTest){names[i], the_cut_model_has_the_loss_gradients_and_training_of_pytorch, NULL, NULL,
                                   names[i]};
  begin_mpi_tests(&argc, &argv);
  int failures = cmocka_run_group_tests_name("tensor_golden", tests, NULL, NULL);
  if (compared == 0 && test_rank() == 0)
    fprintf(stderr, "no model can be cut over %d ranks: nothing was compared\n", test_size());
  return end_mpi_tests(failures + (compared == 0));
}
