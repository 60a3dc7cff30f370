// SPDX-License-Identifier: Apache-2.0
// Property: the runtime knows nothing of a model but its table. A model that is not the program's own, with two kinds
// of layers in turn, two constants and a first unit that is no lone embedding, is planned, trained and recomputed like
// any other. Oracles: a runtime of this rank alone with the whole batch; the plan's bytes; the slope of the loss along
// its gradient. Tolerances: sums over ranks in another order agree to 1e-5; the loss falls by the squared norm of the
// gradient times a small step, to 5 % (what is left is curvature and float32's rounding of the loss).
#include "device_test.h"
#include "parallel/shard_view.h"

#include "model/linear_cross_entropy.h"
#include "parallel/runtime.h"

#include <math.h>
#include <string.h>

enum { BATCH = 24, LENGTH = 8, DIM = 32, HEADS = 2, HEAD = DIM / HEADS, VOCABULARY = 61, LAYERS = 6 };

// --- the model ---

static titan_tensor_type hidden_type(const titan_model_shape *shape) {
  return (titan_tensor_type){shape->dtype, 3, {shape->batch, shape->length, DIM}};
}

static titan_status weigh(titan_graph *graph, titan_value x, const char *name, int64_t out, titan_value *y) {
  titan_dtype dtype = titan_graph_value(graph, x)->type.dtype;
  titan_value w;
  TITAN_TRY(titan_graph_parameter(graph, name, (titan_tensor_type){dtype, 2, {out, DIM}}, &w));
  return titan_graph_matmul(graph, x, false, w, true, dtype, y);
}

static titan_status build_words(const titan_model_arguments *arguments, const titan_model_shape *shape,
                                titan_graph *graph) {
  titan_value tokens, table, y;
  TITAN_TRY(titan_graph_input(graph, "tokens", (titan_tensor_type){TITAN_INT32, 2, {shape->batch, shape->length}},
                              false, &tokens));
  TITAN_TRY(titan_graph_parameter(graph, "words.weight",
                                  (titan_tensor_type){shape->dtype, 2, {arguments->vocabulary, DIM}}, &table));
  TITAN_TRY(titan_graph_binary(graph, TITAN_OP_embedding, tokens, table, &y));
  TITAN_TRY(weigh(graph, y, "words.turn.weight", DIM, &y));
  return titan_graph_output_add(graph, "y", y);
}

// y = x + silu(x w)
static titan_status build_gate(const titan_model_arguments *arguments, const titan_model_shape *shape,
                               titan_graph *graph) {
  titan_value x, inner, y;
  (void)arguments;
  TITAN_TRY(titan_graph_input(graph, "x", hidden_type(shape), true, &x));
  TITAN_TRY(weigh(graph, x, "gate.weight", DIM, &inner));
  TITAN_TRY(titan_graph_unary(graph, TITAN_OP_silu, inner, &inner));
  TITAN_TRY(titan_graph_binary(graph, TITAN_OP_add, x, inner, &y));
  return titan_graph_output_add(graph, "y", y);
}

// y = x + silu(rope(rope(x w, near), far)): two constants.
static titan_status build_turn(const titan_model_arguments *arguments, const titan_model_shape *shape,
                               titan_graph *graph) {
  static const char *const names[] = {"near", "far"};
  titan_value x, inner, y;
  (void)arguments;
  TITAN_TRY(titan_graph_input(graph, "x", hidden_type(shape), true, &x));
  TITAN_TRY(weigh(graph, x, "turn.weight", DIM, &inner));
  TITAN_TRY(titan_graph_reshape(graph, inner, 4, (int64_t[]){shape->batch, shape->length, HEADS, HEAD}, &inner));
  for (int i = 0; i < 2; i++) {
    titan_value table;
    TITAN_TRY(titan_graph_input(graph, names[i], (titan_tensor_type){TITAN_FLOAT32, 3, {shape->length, HEAD / 2, 2}},
                                false, &table));
    TITAN_TRY(titan_graph_binary(graph, TITAN_OP_rope, inner, table, &inner));
  }
  TITAN_TRY(titan_graph_reshape(graph, inner, 3, (int64_t[]){shape->batch, shape->length, DIM}, &inner));
  TITAN_TRY(titan_graph_unary(graph, TITAN_OP_silu, inner, &inner));
  TITAN_TRY(titan_graph_binary(graph, TITAN_OP_add, x, inner, &y));
  return titan_graph_output_add(graph, "y", y);
}

static titan_status build_end(const titan_model_arguments *arguments, const titan_model_shape *shape,
                              titan_graph *graph) {
  titan_value x, labels, w, loss;
  TITAN_TRY(titan_graph_input(graph, "x", hidden_type(shape), true, &x));
  TITAN_TRY(titan_graph_input(graph, "labels", (titan_tensor_type){TITAN_INT32, 2, {shape->batch, shape->length}},
                              false, &labels));
  TITAN_TRY(titan_graph_parameter(graph, "end.weight",
                                  (titan_tensor_type){shape->dtype, 2, {arguments->vocabulary, DIM}}, &w));
  TITAN_TRY(titan_linear_cross_entropy_build(graph, x, w, labels, 0, &loss));
  return titan_graph_output_add(graph, "loss", loss);
}

static titan_status build_tables(const titan_model_arguments *arguments, const titan_model_shape *shape,
                                 titan_graph *graph) {
  static const struct {
    const char *name;
    double theta;
  } tables[] = {{"near", 10}, {"far", 1e4}};
  (void)arguments;
  for (int i = 0; i < 2; i++) {
    titan_op_attributes attributes = {.rope = {.theta = tables[i].theta, .length = shape->length, .head_size = HEAD}};
    titan_value table;
    TITAN_TRY(titan_graph_apply(graph, TITAN_OP_rope_table, &attributes, 0, NULL, &table));
    TITAN_TRY(titan_graph_output_add(graph, tables[i].name, table));
  }
  return TITAN_OK;
}

// Reads a constant that nothing computes.
static titan_status build_lost(const titan_model_arguments *arguments, const titan_model_shape *shape,
                               titan_graph *graph) {
  titan_value x, table, y;
  (void)arguments;
  TITAN_TRY(titan_graph_input(graph, "x", hidden_type(shape), true, &x));
  TITAN_TRY(titan_graph_input(graph, "nowhere", hidden_type(shape), false, &table));
  TITAN_TRY(titan_graph_binary(graph, TITAN_OP_mul, x, table, &y));
  return titan_graph_output_add(graph, "y", y);
}

// Gives half of what the next unit takes.
static titan_status build_half(const titan_model_arguments *arguments, const titan_model_shape *shape,
                               titan_graph *graph) {
  titan_value x, y;
  (void)arguments;
  TITAN_TRY(titan_graph_input(graph, "x", hidden_type(shape), true, &x));
  TITAN_TRY(weigh(graph, x, "half.weight", DIM / 2, &y));
  return titan_graph_output_add(graph, "y", y);
}

enum { WORDS, GATE, TURN, END, KINDS };

static const titan_model_kind kinds[KINDS] = {
    [WORDS] = {.name = "words", .prefix = "", .build = build_words, .differentiate = "y"},
    [GATE] = {.name = "gate", .prefix = "layers.%lld.", .build = build_gate, .differentiate = "y"},
    [TURN] = {.name = "turn", .prefix = "layers.%lld.", .build = build_turn, .differentiate = "y"},
    [END] = {.name = "end", .prefix = "", .build = build_end, .differentiate = "loss", .merged = true},
};
static const titan_model_kind tables_kind = {.name = "tables", .prefix = "", .build = build_tables};

static int64_t unit_count(const titan_model_arguments *arguments) {
  return arguments->layers + 2;
}

static int kind_of(const titan_model_arguments *arguments, int64_t unit) {
  return unit == 0 ? WORDS : unit > arguments->layers ? END : unit % 2 ? GATE : TURN;
}

static titan_parameter_init init(const titan_model_arguments *arguments, const char *parameter, int64_t layer) {
  (void)arguments, (void)parameter;
  double std = 0.2 / (double)(layer + 1);
  return (titan_parameter_init){.mean = 0, .std = std, .low = -INFINITY, .high = INFINITY};
}

static const titan_model_definition second_model = {.name = "second",
                                                    .kinds = kinds,
                                                    .kind_count = KINDS,
                                                    .unit_count = unit_count,
                                                    .kind_of = kind_of,
                                                    .constants = &tables_kind,
                                                    .init = init};

// --- runs of it ---

static titan_runtime_options options_of(int ranks, titan_dtype dtype) {
  return (titan_runtime_options){
      .model = &second_model,
      .arguments = {.dim = DIM, .layers = LAYERS, .heads = HEADS, .kv_heads = HEADS, .vocabulary = VOCABULARY},
      .shape = {.batch = BATCH / ranks, .length = LENGTH, .dtype = dtype},
      .global_tokens = BATCH * LENGTH};
}

static titan_mesh *mesh_of(MPI_Comm world) {
  titan_mesh *mesh = NULL;
  expect_on_all(titan_mesh_create(world, (titan_mesh_degrees){1, 1, -1, 1, 1}, &mesh) == TITAN_OK);
  return mesh;
}

static titan_runtime *runtime_on(titan_mesh *mesh, const titan_runtime_options *options) {
  titan_runtime *runtime = NULL;
  expect_on_all(titan_runtime_plan(options, mesh, device, &runtime) == TITAN_OK);
  expect_on_all(titan_runtime_allocate(runtime) == TITAN_OK);
  expect_on_all(titan_runtime_initialize(runtime, 11) == TITAN_OK);
  return runtime;
}

// The mean loss of the one batch there is.
static double loss_of(titan_runtime *runtime) {
  const titan_model_shape *shape = &titan_runtime_options_of(runtime)->shape;
  titan_comm *dp = titan_mesh_comm(titan_runtime_mesh(runtime), TITAN_MESH_DP);
  int64_t count = shape->batch * shape->length;
  double mine = 0;
  for (int64_t i = 0; i < count; i++) {
    int64_t token = i + titan_comm_rank(dp) * count;
    titan_runtime_tokens(runtime)[i] = (int32_t)(token * 31 % VOCABULARY);
    titan_runtime_labels(runtime)[i] = (int32_t)((token + 1) * 31 % VOCABULARY);
  }
  expect_on_all(titan_runtime_check_batch(runtime) == TITAN_OK && titan_runtime_step(runtime, &mine) == TITAN_OK);
  double sum = 0;
  expect_on_all(titan_comm_all_reduce(dp, &mine, &sum, 1, TITAN_FLOAT64, TITAN_SUM, NULL) == TITAN_OK);
  return sum;
}

// One step down the gradient; returns the squared norm of the gradient.
static double descend(titan_runtime *runtime, float rate) {
  double own = 0, sum = 0;
  for (int u = 0; u < titan_runtime_unit_count(runtime); u++) {
    titan_unit *unit = titan_runtime_unit(runtime, u);
    const float *gradient = host_floats(device, unit->gradient, unit->shard_elements);
    titan_shard_view master;
    expect_on_all(titan_shard_view_open(device, unit->master, unit->shard_elements, TITAN_ACCESS_UPDATE,
                                        TITAN_MEMORY_GENERAL, &master) == TITAN_OK);
    for (int64_t i = 0; i < unit->shard_elements; i++) {
      own += (double)gradient[i] * (double)gradient[i];
      master.values[i] -= rate * gradient[i];
    }
    expect_on_all(titan_shard_view_close(&master) == TITAN_OK);
  }
  expect_on_all(titan_runtime_publish(runtime) == TITAN_OK);
  titan_comm *shard = titan_mesh_comm(titan_runtime_mesh(runtime), TITAN_MESH_DP_SHARD_CP);
  expect_on_all(titan_comm_all_reduce(shard, &own, &sum, 1, TITAN_FLOAT64, TITAN_SUM, NULL) == TITAN_OK);
  return sum;
}

static void units_of_two_kinds_are_numbered_together(void **state) {
  (void)state;
  titan_model_arguments arguments = options_of(1, TITAN_FLOAT32).arguments;
  static const char *const names[] = {"words",    "layers.0", "layers.1", "layers.2",
                                      "layers.3", "layers.4", "layers.5", "end"};
  static const char *const kind_names[] = {"words", "gate", "turn", "gate", "turn", "gate", "turn", "end"};
  int64_t total, embedding;
  for (int unit = 0; unit < LAYERS + 2; unit++) {
    char name[32];
    titan_model_unit_name(&second_model, &arguments, unit, name, sizeof name);
    expect_on_all(strcmp(name, names[unit]) == 0);
    expect_on_all(strcmp(titan_model_unit_kind(&second_model, &arguments, unit)->name, kind_names[unit]) == 0);
  }
  expect_on_all(titan_model_count_parameters(&second_model, &arguments, &total, &embedding) == TITAN_OK);
  expect_on_all(embedding == VOCABULARY * DIM && total == 2 * VOCABULARY * DIM + (LAYERS + 1) * DIM * DIM);
}

// Three steps, each with the loss that the slope of the one before foretells.
static void it_trains_on_every_mesh_as_on_one_rank(void **state) {
  (void)state;
  const float rate = 0.02f;
  titan_mesh *mesh = mesh_of(MPI_COMM_WORLD), *self = mesh_of(MPI_COMM_SELF);
  titan_runtime_options many = options_of(test_size(), TITAN_FLOAT32), one = options_of(1, TITAN_FLOAT32);
  titan_runtime *runtime = runtime_on(mesh, &many), *alone = runtime_on(self, &one);
  double foretold = 0;
  for (int step = 0; step < 3; step++) {
    double loss = loss_of(runtime), expected = loss_of(alone), square = descend(runtime, rate);
    expect_on_all(fabs(loss - expected) <= 1e-5 * expected && square > 0);
    expect_on_all(fabs(square - descend(alone, rate)) <= 1e-4 * square);
    if (step > 0)
      expect_on_all(loss < foretold + 0.05 * (double)rate * square && loss > foretold - 0.05 * (double)rate * square);
    foretold = loss - (double)rate * square;
  }
  titan_runtime_destroy(&runtime);
  titan_runtime_destroy(&alone);
  titan_mesh_destroy(&mesh);
  titan_mesh_destroy(&self);
}

static size_t activation_bytes(void) {
  return titan_memory_usage_of(TITAN_MEMORY_ACTIVATIONS).live_bytes +
         titan_memory_usage_of_device(TITAN_MEMORY_ACTIVATIONS).live_bytes;
}

static void every_mode_of_recomputation_gives_the_same_bits(void **state) {
  (void)state;
  static const titan_activation_options modes[] = {{.mode = TITAN_ACTIVATIONS_KEPT},
                                                   {.mode = TITAN_ACTIVATIONS_FULL},
                                                   {.mode = TITAN_ACTIVATIONS_EVERY, .every = 2},
                                                   {.mode = TITAN_ACTIVATIONS_EVERY, .every = 3},
                                                   {.mode = TITAN_ACTIVATIONS_OPERATIONS}};
  titan_mesh *mesh = mesh_of(MPI_COMM_WORLD);
  double loss = 0, square = 0;
  size_t kept = 0;
  for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
    titan_runtime_options options = options_of(test_size(), TITAN_BFLOAT16);
    options.activations = modes[i];
    size_t before = activation_bytes();
    titan_runtime *runtime = runtime_on(mesh, &options);
    size_t taken = activation_bytes() - before;
    titan_text text = {0};
    expect_on_all(taken == titan_runtime_memory_of(runtime).by_tag[TITAN_MEMORY_ACTIVATIONS]);
    expect_on_all(titan_runtime_describe_activations(runtime, &text) == TITAN_OK);
    if (modes[i].mode != TITAN_ACTIVATIONS_OPERATIONS) // these keep all that the small layers have
      expect_on_all((strstr(text.data, "of 6 blocks") != NULL) == (modes[i].mode != TITAN_ACTIVATIONS_KEPT));
    titan_text_destroy(&text);
    double here = loss_of(runtime), here_square = descend(runtime, 0);
    expect_on_all(i == 0 || (here == loss && here_square == square));
    expect_on_all(i == 0 || modes[i].mode == TITAN_ACTIVATIONS_OPERATIONS || taken < kept);
    loss = here;
    square = here_square;
    kept = i == 0 ? taken : kept;
    titan_runtime_destroy(&runtime);
  }
  titan_mesh_destroy(&mesh);
}

// Plans the model with another kind in the place of `kind`.
static void expect_refusal(int kind, titan_model_build *build, bool merged, const char *message) {
  titan_model_kind changed[KINDS];
  titan_model_definition model = second_model;
  titan_runtime_options options = options_of(1, TITAN_FLOAT32);
  titan_mesh *mesh = mesh_of(MPI_COMM_SELF);
  titan_runtime *runtime = NULL;
  memcpy(changed, kinds, sizeof changed);
  changed[kind].build = build;
  changed[kind].merged = merged;
  model.kinds = changed;
  options.model = &model;
  expect_on_all(titan_runtime_plan(&options, mesh, device, &runtime) == TITAN_ERROR_INTERNAL && runtime == NULL);
  expect_on_all(strstr(titan_error_message(), message) != NULL);
  titan_mesh_destroy(&mesh);
}

static void a_table_that_cannot_be_wired_is_refused_with_the_unit_and_the_input(void **state) {
  (void)state;
  expect_refusal(TURN, build_lost, false, "layers.1 has nowhere");
  expect_refusal(TURN, build_half, false, "x of layers.2 is not the y of the unit before it");
  expect_refusal(GATE, build_words, false, "x of layers.0");
  expect_refusal(GATE, build_gate, true, "layers.0, expected y of every unit but the last");
  expect_refusal(END, build_end, false, "end, expected y of every unit but the last");
}

static void a_budget_for_two_kinds_of_layers_is_refused(void **state) {
  (void)state;
  titan_runtime_options options = options_of(1, TITAN_FLOAT32);
  titan_mesh *mesh = mesh_of(MPI_COMM_SELF);
  titan_runtime *runtime = NULL;
  options.activations = (titan_activation_options){.mode = TITAN_ACTIVATIONS_BUDGET, .budget = (size_t)1 << 40};
  expect_on_all(titan_runtime_plan(&options, mesh, device, &runtime) == TITAN_ERROR_USAGE && runtime == NULL);
  expect_on_all(strstr(titan_error_message(), "layers are of one kind, and those of second are of 2") != NULL);
  titan_mesh_destroy(&mesh);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(units_of_two_kinds_are_numbered_together),
      cmocka_unit_test(it_trains_on_every_mesh_as_on_one_rank),
      cmocka_unit_test(every_mode_of_recomputation_gives_the_same_bits),
      cmocka_unit_test(a_table_that_cannot_be_wired_is_refused_with_the_unit_and_the_input),
      cmocka_unit_test(a_budget_for_two_kinds_of_layers_is_refused),
  };
  begin_mpi_tests(&argc, &argv);
  return end_mpi_tests(cmocka_run_group_tests(tests, begin_device, end_device));
}
