// SPDX-License-Identifier: Apache-2.0
// Property: a compiled graph has fewer passes over memory and the numbers of the graph it was made of: results and all
// gradients, row by row of the table and for whole models on meshes; and a row leaves alone what only looks like its
// pattern. Oracle: the same graph, not compiled. Tolerance: 1e-5 of the largest element in float32, as sums are taken
// in another order; 1e-2 in bfloat16, where fused operations round less often.
#include "device_test.h"
#include "small_model.h"

#include "device/executor.h"
#include "passes/compile.h"

#include <math.h>
#include <string.h>

enum { B = 2, L = 6, N = 4, K = 2, H = 16, D = N * H, F = 96 };

#define TRY(expression)                                                                                                \
  do {                                                                                                                 \
    if ((expression) != TITAN_OK)                                                                                      \
      fail_msg("%s: %s", #expression, titan_error_message());                                                          \
  } while (0)

// --- small graphs, one for each row ---

static titan_value input(titan_graph *graph, const char *name, int rank, const int64_t *dims) {
  titan_value value;
  titan_tensor_type type = {TITAN_FLOAT32, rank, {0}};
  memcpy(type.dims, dims, (size_t)rank * sizeof *dims);
  // Not r: a sum gives both its inputs one gradient, and a plan has one place for an output.
  bool differentiable = strcmp(name, "table") != 0 && strcmp(name, "r") != 0;
  TRY(titan_graph_input(graph, name, type, differentiable, &value));
  return value;
}

static titan_value rows(titan_graph *graph, const char *name, int64_t columns) {
  return input(graph, name, 3, (int64_t[]){B, L, columns});
}

static titan_value parameter(titan_graph *graph, const char *name, int64_t out, int64_t in) {
  titan_value value;
  TRY(titan_graph_parameter(graph, name, (titan_tensor_type){TITAN_FLOAT32, 2, {out, in}}, &value));
  return value;
}

static titan_value project(titan_graph *graph, titan_value x, titan_value w) {
  titan_value y;
  TRY(titan_graph_matmul(graph, x, false, w, true, TITAN_FLOAT32, &y));
  return y;
}

static titan_value binary(titan_graph *graph, titan_op_kind kind, titan_value a, titan_value b) {
  titan_value y;
  TRY(titan_graph_binary(graph, kind, a, b, &y));
  return y;
}

static titan_value unary(titan_graph *graph, titan_op_kind kind, titan_value x) {
  titan_value y;
  TRY(titan_graph_unary(graph, kind, x, &y));
  return y;
}

static titan_value heads(titan_graph *graph, titan_value flat, int64_t count) {
  titan_value y;
  TRY(titan_graph_reshape(graph, flat, 4, (int64_t[]){B, L, count, H}, &y));
  return y;
}

static titan_value normed(titan_graph *graph, titan_value x) {
  static const titan_op_attributes attributes = {.norm = {1e-5f, true}};
  titan_value outputs[TITAN_MAX_OUTPUTS], w;
  TRY(titan_graph_parameter(graph, "norm", (titan_tensor_type){TITAN_FLOAT32, 1, {D}}, &w));
  TRY(titan_graph_apply(graph, TITAN_OP_rms_norm, &attributes, 2, (titan_value[]){x, w}, outputs));
  return outputs[0];
}

// variant 1: the weights in another order; 2: v of another input.
static titan_value build_heads(titan_graph *graph, int variant) {
  titan_value x = rows(graph, "x", D), other = variant == 2 ? rows(graph, "other", D) : x;
  titan_value table = input(graph, "table", 3, (int64_t[]){L, H / 2, 2}), w[3], o[TITAN_MAX_OUTPUTS], qkv[3];
  static const int orders[][3] = {{0, 1, 2}, {2, 0, 1}, {0, 1, 2}};
  static const char *const names[] = {"wq", "wk", "wv"};
  for (int i = 0; i < 3; i++) {
    int which = orders[variant][i];
    w[which] = parameter(graph, names[which], (which == 0 ? N : K) * H, D);
  }
  for (int i = 0; i < 3; i++) {
    qkv[i] = heads(graph, project(graph, i == 2 ? other : x, w[i]), i == 0 ? N : K);
    if (i < 2)
      qkv[i] = binary(graph, TITAN_OP_rope, qkv[i], table);
  }
  TRY(titan_graph_apply(graph, TITAN_OP_attention, NULL, 3, qkv, o));
  return o[0];
}

// variant 1: another parameter lies between the weights; 2: the gate is read elsewhere too.
static titan_value build_swiglu(titan_graph *graph, int variant) {
  titan_value x = rows(graph, "x", D), w1 = parameter(graph, "w1", F, D);
  titan_value between = variant == 1 ? parameter(graph, "between", F, D) : TITAN_NO_VALUE;
  titan_value gate = project(graph, x, w1), up = project(graph, x, parameter(graph, "w3", F, D));
  titan_value y = binary(graph, TITAN_OP_mul, unary(graph, TITAN_OP_silu, gate), up);
  if (variant == 1)
    y = binary(graph, TITAN_OP_add, y, unary(graph, TITAN_OP_silu, project(graph, x, between)));
  return variant == 2 ? binary(graph, TITAN_OP_add, y, gate) : y;
}

// variant 1: a norm of no sum.
static titan_value build_residual(titan_graph *graph, int variant) {
  titan_value x = rows(graph, "x", D), r = rows(graph, "r", D);
  titan_value sum = variant == 1 ? binary(graph, TITAN_OP_mul, x, r) : binary(graph, TITAN_OP_add, x, r);
  return binary(graph, TITAN_OP_mul, normed(graph, sum), unary(graph, TITAN_OP_silu, sum));
}

// variant 1: the product is read elsewhere too.
static titan_value build_sum(titan_graph *graph, int variant) {
  titan_value x = rows(graph, "x", D), r = rows(graph, "r", F);
  titan_value product = project(graph, x, parameter(graph, "w", F, D));
  titan_value y = binary(graph, TITAN_OP_add, r, product);
  return variant == 1 ? binary(graph, TITAN_OP_mul, y, product) : y;
}

// silu(x) * (silu(x or r) + r), variant 1 with r: nothing is computed twice.
static titan_value build_duplicates(titan_graph *graph, int variant) {
  titan_value x = rows(graph, "x", D), r = rows(graph, "r", D), a = unary(graph, TITAN_OP_silu, x);
  titan_value b = unary(graph, TITAN_OP_silu, variant == 1 ? r : x);
  return binary(graph, TITAN_OP_mul, a, binary(graph, TITAN_OP_add, b, r));
}

static const struct {
  const char *row;
  titan_value (*build)(titan_graph *graph, int variant);
  int variants, applies[3]; // by variant: how often the row must apply
  titan_op_kind kind;       // that must be there where it applied, and not where not
} cases[] = {
    {"one product for q, k and v", build_heads, 3, {1, 0, 0}, TITAN_OP_split_heads},
    {"SwiGLU", build_swiglu, 3, {1, 0, 0}, TITAN_OP_swiglu},
    {"residual and norm", build_residual, 2, {1, 0}, TITAN_OP_add_rms_norm},
    {"sum as epilogue", build_sum, 2, {1, 0}, TITAN_OP_matmul},
    {"duplicates", build_duplicates, 2, {1, 0}, TITAN_OP_silu},
};

// --- running one ---

typedef struct outcome {
  float *gradients; // flat
  int64_t gradient_count;
  void **externals;
  titan_executable *executable;
} outcome;

static void fill(const char *name, float *values, int64_t count) {
  uint32_t state = 2166136261u;
  for (; *name != '\0'; name++)
    state = (state ^ (uint32_t)*name) * 16777619u;
  for (int64_t i = 0; i < count; i++) {
    state = state * 1664525u + 1013904223u;
    values[i] = (float)(int32_t)state / 2147483648.0f;
  }
}

static void *allocate(size_t bytes) {
  void *memory;
  TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, 1, bytes + 64, &memory));
  return memory;
}

// Both phases of a differentiated graph, with contents that depend on names only.
static outcome run(const titan_graph *graph) {
  outcome out;
  TRY(titan_executable_create(device, graph, false, &out.executable));
  TRY(titan_executable_prepare(out.executable));
  const titan_plan *plan = titan_executable_plan(out.executable);
  out.externals = allocate((size_t)plan->external_count * sizeof(void *));
  for (int i = 0; i < plan->external_count; i++) {
    out.externals[i] = allocate(titan_tensor_bytes(&plan->externals[i].type));
    if (!plan->externals[i].written)
      fill(plan->externals[i].name, out.externals[i], titan_tensor_elements(&plan->externals[i].type));
  }
  float *parameters = allocate((size_t)plan->flat_elements * sizeof *parameters);
  for (int i = 0; i < plan->parameter_count; i++)
    fill(plan->parameters[i].name, parameters + plan->parameters[i].first, plan->parameters[i].elements);
  out.gradient_count = plan->flat_elements;
  out.gradients = allocate((size_t)plan->flat_elements * sizeof *out.gradients);
  void *saved = allocate(plan->saved_bytes);
  for (int phase = 0; phase < TITAN_PHASES; phase++) {
    void *scratch = allocate(plan->phases[phase].scratch_bytes);
    titan_bindings bindings = {.scratch = scratch,
                               .saved = saved,
                               .parameters = parameters,
                               .gradients = out.gradients,
                               .externals = out.externals};
    TRY(titan_executable_run(out.executable, (titan_phase)phase, &bindings, NULL));
    TRY(titan_device_drain(device));
    titan_memory_free(scratch);
  }
  titan_memory_free(saved);
  titan_memory_free(parameters);
  return out;
}

static void destroy(outcome *out) {
  for (int i = 0; i < titan_executable_plan(out->executable)->external_count; i++)
    titan_memory_free(out->externals[i]);
  titan_memory_free(out->externals);
  titan_memory_free(out->gradients);
  titan_executable_destroy(&out->executable);
}

static void expect_close(const char *what, const float *given, const float *expected, int64_t count) {
  double largest = 0, worst = 0;
  for (int64_t i = 0; i < count; i++) {
    double error = fabsf(given[i] - expected[i]);
    largest = fmax(largest, fabsf(expected[i]));
    worst = error > worst || isnan(error) ? error : worst;
  }
  if (!(worst <= 1e-5 * largest))
    fail_msg("%s: off by %g of %g", what, worst, largest);
}

static void expect_same_numbers(const titan_graph *plain, const titan_graph *compiled) {
  outcome expected = run(plain), given = run(compiled);
  const titan_plan *plan = titan_executable_plan(expected.executable);
  assert_int_equal(expected.gradient_count, given.gradient_count);
  expect_close("parameter gradients", given.gradients, expected.gradients, expected.gradient_count);
  for (int i = 0; i < plan->external_count; i++) {
    int other = titan_plan_external_find(titan_executable_plan(given.executable), plan->externals[i].name);
    assert_true(other >= 0);
    expect_close(plan->externals[i].name, given.externals[other], expected.externals[i],
                 titan_tensor_elements(&plan->externals[i].type));
  }
  destroy(&expected);
  destroy(&given);
}

static int count_kind(const titan_graph *graph, titan_op_kind kind) {
  int count = 0;
  for (int n = 0; n < titan_graph_node_count(graph); n++)
    count += titan_graph_node(graph, n)->call.kind == kind && titan_graph_node(graph, n)->phase == TITAN_FORWARD;
  return count;
}

static int applied(const titan_compile_report *report, const char *name) {
  for (int row = 0; row < report->rows; row++)
    if (strcmp(report->names[row], name) == 0)
      return report->applied[row];
  fail_msg("there is no row \"%s\"", name);
  return -1;
}

static titan_graph *build(int row, int variant) {
  titan_graph *graph;
  TRY(titan_graph_create("case", &graph));
  TRY(titan_graph_output_add(graph, "y", cases[row].build(graph, variant)));
  return graph;
}

static void each_row_applies_where_it_should_and_gives_the_same_numbers(void **state) {
  (void)state;
  for (size_t row = 0; row < sizeof cases / sizeof *cases; row++)
    for (int variant = 0; variant < cases[row].variants; variant++) {
      titan_graph *plain = build((int)row, variant), *compiled;
      titan_compile_report report;
      TRY(titan_compile_apply(plain, &compiled, &report));
      if (applied(&report, cases[row].row) != cases[row].applies[variant])
        fail_msg("%s, variant %d: applied %d times, expected %d", cases[row].row, variant,
                 applied(&report, cases[row].row), cases[row].applies[variant]);
      assert_true(titan_graph_node_count(compiled) <=
                  titan_graph_node_count(plain) + (cases[row].applies[variant] > 0));
      if (cases[row].applies[variant] > 0)
        assert_true(count_kind(compiled, cases[row].kind) > 0);
      TRY(titan_graph_differentiate(plain, titan_graph_find(plain, "y")));
      TRY(titan_graph_differentiate(compiled, titan_graph_find(compiled, "y")));
      TRY(titan_compile_backward(compiled));
      expect_same_numbers(plain, compiled);
      titan_graph_destroy(&plain);
      titan_graph_destroy(&compiled);
    }
}

// x + norm(x) w: the gradient that passes the norm by is added inside of the norm's own.
static void the_gradient_past_a_norm_is_added_in_its_backward(void **state) {
  (void)state;
  titan_graph *graphs[2];
  for (int compiled = 0; compiled < 2; compiled++) {
    TRY(titan_graph_create("norm", &graphs[compiled]));
    titan_value x = rows(graphs[compiled], "x", D), y = normed(graphs[compiled], x);
    y = binary(graphs[compiled], TITAN_OP_add, x, project(graphs[compiled], y, parameter(graphs[compiled], "w", D, D)));
    TRY(titan_graph_output_add(graphs[compiled], "y", y));
    TRY(titan_graph_differentiate(graphs[compiled], y));
  }
  TRY(titan_compile_backward(graphs[1]));
  expect_same_numbers(graphs[0], graphs[1]);
  outcome plain = run(graphs[0]), fused = run(graphs[1]);
  assert_int_equal(titan_executable_plan(fused.executable)->phases[TITAN_BACKWARD].count,
                   titan_executable_plan(plain.executable)->phases[TITAN_BACKWARD].count - 1);
  destroy(&plain);
  destroy(&fused);
  for (int i = 0; i < 2; i++)
    titan_graph_destroy(&graphs[i]);
}

// --- models on meshes ---

static titan_runtime *stepped(titan_mesh *mesh, titan_runtime_options options, bool compile, double *loss) {
  titan_runtime *runtime;
  options.compile = compile;
  expect_on_all(titan_runtime_plan(&options, mesh, device, &runtime) == TITAN_OK);
  expect_on_all(titan_runtime_allocate(runtime) == TITAN_OK);
  expect_on_all(titan_runtime_initialize(runtime, 3) == TITAN_OK);
  small_model_batch(runtime, 0, titan_comm_rank(titan_mesh_comm(mesh, TITAN_MESH_DP)));
  expect_on_all(titan_runtime_step(runtime, loss) == TITAN_OK);
  return runtime;
}

static bool gradients_agree(titan_runtime *a, titan_runtime *b, double tolerance) {
  bool good = true;
  for (int u = 0; u < titan_runtime_unit_count(a); u++) {
    const titan_unit *x = titan_runtime_unit(a, u), *y = titan_runtime_unit(b, u);
    double largest = 0, worst = 0;
    const float *given = host_floats(device, x->gradient, x->shard_elements),
                *expected = host_floats(device, y->gradient, y->shard_elements);
    for (int64_t i = 0; i < x->shard_elements; i++) {
      double error = fabsf(given[i] - expected[i]);
      largest = fmax(largest, fabsf(expected[i]));
      worst = error > worst || isnan(error) ? error : worst;
    }
    good &= x->shard_elements == y->shard_elements && worst <= tolerance * largest;
  }
  return good;
}

static void compiled_models_train_alike_and_take_less(void **state) {
  (void)state;
  for (int tp = 1; tp <= 2 && test_size() % tp == 0; tp++)
    for (int norm = 0; norm < 4; norm++)
      for (int bf16 = 0; bf16 < 2; bf16++) {
        titan_mesh *mesh = NULL;
        titan_mesh_degrees degrees = {1, 1, test_size() / tp, 1, tp};
        expect_on_all(titan_mesh_create(MPI_COMM_WORLD, degrees, &mesh) == TITAN_OK);
        titan_runtime_options options =
            small_model_options(0, test_size() / tp, bf16 ? TITAN_BFLOAT16 : TITAN_FLOAT32, TITAN_INTRA_NODE_AUTO);
        options.arguments.norm_type = (titan_norm_type)norm;
        options.loss_parallel = norm % 2 == 0;
        double plain_loss, compiled_loss;
        titan_runtime *plain = stepped(mesh, options, false, &plain_loss);
        titan_runtime *compiled = stepped(mesh, options, true, &compiled_loss);
        double tolerance = bf16 ? 1e-2 : 1e-5;
        expect_on_all(fabs(plain_loss - compiled_loss) <= tolerance * fabs(plain_loss));
        expect_on_all(gradients_agree(compiled, plain, bf16 ? 5e-2 : 1e-5));
        expect_on_all(small_model_saved(compiled) < small_model_saved(plain));
        titan_runtime_destroy(&plain);
        titan_runtime_destroy(&compiled);
        titan_mesh_destroy(&mesh);
      }
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_row_applies_where_it_should_and_gives_the_same_numbers),
      cmocka_unit_test(the_gradient_past_a_norm_is_added_in_its_backward),
      cmocka_unit_test(compiled_models_train_alike_and_take_less),
  };
  begin_mpi_tests(&argc, &argv);
  return end_mpi_tests(cmocka_run_group_tests(tests, begin_device, end_device));
}
