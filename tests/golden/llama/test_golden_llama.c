// SPDX-License-Identifier: Apache-2.0
// Property: logits, loss, every gradient and ten steps of training of small Llamas are those of PyTorch in float64.
// Oracle: the committed numbers of make_golden.py. Tolerance 1e-5 of the largest element of a tensor (float32 has 6e-8;
// sums of a few hundred products lose two digits; PyTorch's own float32 run deviates by 7e-7), 1e-5 relative for losses
// and norms.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four above first
#include <cmocka.h>

#include "../golden.h"
#include "comm/bootstrap.h"
#include "host_copy.h"
#include "optim/optimizer.h"
#include "parallel/runtime.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const double tolerance = 1e-5;
static const char *folder;

typedef struct golden_case {
  const char *name, *model;
  bool tied;
} golden_case;

#define TRY(expression)                                                                                                \
  do {                                                                                                                 \
    if ((expression) != TITAN_OK)                                                                                      \
      fail_msg("%s\n%s", titan_error_message(), titan_error_trace());                                                  \
  } while (0)

static int64_t integer(const titan_golden *golden, const char *key) {
  int64_t value = 0;
  TRY(titan_golden_integer(golden, key, &value));
  return value;
}

static double real(const titan_golden *golden, const char *key) {
  double value = 0;
  TRY(titan_golden_real(golden, key, &value));
  return value;
}

static titan_norm_type norm_type(const titan_golden *golden) {
  static const char *const names[] = {"rmsnorm", "fused_rmsnorm", "layernorm", "np_layernorm"};
  const char *name = NULL;
  TRY(titan_golden_text(golden, "norm_type", &name));
  for (int i = 0; i < 4; i++)
    if (strcmp(names[i], name) == 0)
      return (titan_norm_type)i;
  fail_msg("unknown norm %s", name);
  return TITAN_NORM_RMSNORM;
}

static titan_runtime_options options_of(const titan_golden *golden, const char *model, bool tied) {
  titan_runtime_options options = {
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
                    .norm_type = norm_type(golden),
                    .tied = tied},
      .shape = {.batch = integer(golden, "batch"), .length = integer(golden, "seq_len"), .dtype = TITAN_FLOAT32},
      .global_tokens = integer(golden, "batch") * integer(golden, "seq_len"),
  };
  assert_int_equal(titan_model_ffn_hidden(&options.arguments), integer(golden, "ffn_hidden"));
  return options;
}

static void set_batch(titan_runtime *runtime, const titan_golden_tensor *tokens, int64_t step) {
  const int32_t *ids = tokens->data;
  int64_t batch = tokens->dims[1], length = tokens->dims[2] - 1;
  for (int64_t b = 0; b < batch; b++)
    for (int64_t l = 0; l < length; l++) {
      const int32_t *row = ids + (step * batch + b) * (length + 1);
      titan_runtime_tokens(runtime)[b * length + l] = row[l];
      titan_runtime_labels(runtime)[b * length + l] = row[l + 1];
    }
}

// Every element within `tolerance` of the tensor's largest.
static void assert_tensor(const titan_golden *golden, const char *name, const float *values, int64_t count) {
  const titan_golden_tensor *expected = NULL;
  TRY(titan_golden_find(golden, name, &expected));
  assert_int_equal(expected->count, count);
  double largest = 0, worst = 0;
  bool good = true;
  for (int64_t i = 0; i < count; i++)
    largest = fmax(largest, fabs(titan_golden_value(expected, i)));
  for (int64_t i = 0; i < count; i++) {
    double error = fabs(values[i] - titan_golden_value(expected, i));
    worst = fmax(worst, error);
    good &= error <= tolerance * largest;
  }
  if (!good)
    fail_msg("%s: off by %g, largest element %g", name, worst, largest);
}

static void assert_near(const char *what, double value, double expected) {
  if (!(fabs(value - expected) <= tolerance * fabs(expected)))
    fail_msg("%s: %.9g, expected %.9g", what, value, expected);
}

static void check_gradients(const titan_golden *golden, titan_runtime *runtime) {
  for (int i = 0; i < titan_runtime_unit_count(runtime); i++) {
    const titan_unit *unit = titan_runtime_unit(runtime, i);
    for (int p = 0; p < unit->plan->parameter_count; p++) {
      const titan_plan_parameter *parameter = &unit->plan->parameters[p];
      titan_unit_slice slice;
      char name[256];
      // PyTorch has a tied parameter once.
      snprintf(name, sizeof name, "gradient/%s%s", unit->prefix,
               titan_runtime_is_copy(runtime, i, p) ? "tok_embeddings.weight" : parameter->name);
      assert_true(titan_unit_slice_of(unit, p, &slice) && slice.count == parameter->elements);
      assert_tensor(golden, name,
                    host_floats(titan_runtime_device(runtime), unit->gradient + slice.first_in_shard, slice.count),
                    parameter->elements);
    }
  }
}

static void check_training(const titan_golden *golden, titan_runtime *runtime, const titan_golden_tensor *tokens) {
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
  TRY(titan_golden_find(golden, "training/loss", &losses));
  TRY(titan_golden_find(golden, "training/gradient_norm", &norms));
  for (int64_t step = 1; step <= optimizer.total_steps; step++) {
    double loss;
    char what[64];
    set_batch(runtime, tokens, step - 1);
    TRY(titan_runtime_step(runtime, &loss));
    double norm = sqrt(titan_optimizer_sum_of_squares(runtime));
    snprintf(what, sizeof what, "loss of step %d", (int)step);
    assert_near(what, loss, titan_golden_value(losses, step - 1));
    snprintf(what, sizeof what, "gradient norm of step %d", (int)step);
    assert_near(what, norm, titan_golden_value(norms, step - 1));
    TRY(titan_optimizer_step(runtime, &optimizer, step, norm));
  }
}

static void check_case(const golden_case *which) {
  titan_golden *golden = NULL;
  titan_mesh *mesh = NULL;
  titan_device *device = NULL;
  titan_runtime *runtime = NULL;
  const titan_golden_tensor *tokens = NULL;
  char path[1024];
  snprintf(path, sizeof path, "%s/%s", folder, which->name);
  TRY(titan_golden_open(path, &golden));
  TRY(titan_golden_find(golden, "tokens", &tokens));
  TRY(titan_mesh_create(MPI_COMM_WORLD, (titan_mesh_degrees){1, 1, 1, 1, 1}, &mesh));
  TRY(test_device_create(1, &device));
  titan_runtime_options options = options_of(golden, which->model, which->tied);
  TRY(titan_runtime_plan(&options, mesh, device, &runtime));
  TRY(titan_runtime_allocate(runtime));
  TRY(titan_runtime_initialize(runtime, (uint64_t)integer(golden, "seed")));

  double loss;
  float *logits;
  int64_t count = options.global_tokens * options.arguments.vocabulary;
  TRY(titan_memory_allocate(TITAN_MEMORY_GENERAL, (size_t)count * sizeof *logits, &logits));
  set_batch(runtime, tokens, 0);
  TRY(titan_runtime_logits(runtime, logits));
  assert_tensor(golden, "logits", logits, count);
  titan_memory_free(logits);

  double expected = 0;
  TRY(titan_runtime_step(runtime, &loss));
  TRY(titan_golden_scalar(golden, "loss", &expected));
  assert_near("loss", loss, expected);
  check_gradients(golden, runtime);
  check_training(golden, runtime, tokens);

  titan_runtime_destroy(&runtime);
  host_copies_keep(NULL);
  titan_device_destroy(&device);
  titan_mesh_destroy(&mesh);
  titan_golden_close(&golden);
}

static void llama_equals_pytorch(void **state) {
  check_case(*state);
}

static int nothing_is_left(void **state) {
  (void)state;
  return titan_memory_report_leaks() == 0 ? 0 : -1;
}

int main(int argc, char **argv) {
  static golden_case cases[] = {{"llama3_rmsnorm", "llama3", false},       {"llama3_gqa", "llama3", false},
                                {"llama2_fused_rmsnorm", "llama2", false}, {"llama3_layernorm", "llama3", false},
                                {"llama2_np_layernorm", "llama2", false},  {"llama3_tied", "llama3", true}};
  struct CMUnitTest tests[sizeof cases / sizeof *cases];
  titan_mpi mpi;
  if (argc < 2 || titan_mpi_initialize(&argc, &argv, &mpi) != TITAN_OK)
    return 2;
  folder = argv[1];
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    tests[i] = (struct CMUnitTest){cases[i].name, llama_equals_pytorch, NULL, NULL, &cases[i]};
  int failures = cmocka_run_group_tests_name("llama_equals_pytorch", tests, NULL, nothing_is_left);
  titan_mpi_finalize();
  return failures;
}
