// SPDX-License-Identifier: Apache-2.0
// Property: the backward that titan_graph_differentiate appends computes the gradients of the seeded output. Oracle:
// central differences of the forward along random directions, both interpreted in float64. Steps of 1e-4, extrapolated
// once (Richardson), leave a truncation of about 1e-14 times a fifth derivative and a rounding of 1e-11; 1e-6 of the
// sum of the absolute terms of the directional derivative has room for the steepest of the random graphs.
#include "graph_test.h"
#include "interpret.h"
#include "random_graph.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void fill(random_source *random, const titan_graph *graph, double **values) {
  for (int v = 0; v < titan_graph_value_count(graph); v++) {
    const titan_value_info *info = titan_graph_value(graph, v);
    int64_t columns = titan_tensor_columns(&info->type), count = titan_tensor_elements(&info->type);
    if (info->role == TITAN_ROLE_INTERMEDIATE)
      continue;
    // weights keep the size of what they are multiplied with
    double size = info->role == TITAN_ROLE_PARAMETER && info->type.rank == 2 ? sqrt(3.0 / (double)columns) : 1;
    for (int64_t i = 0; i < count; i++)
      values[v][i] =
          info->type.dtype == TITAN_INT32 ? random_below(random, RANDOM_GRAPH_VOCABULARY) : size * random_real(random);
  }
}

static const titan_graph_output *gradient_output_of(const titan_graph *graph, titan_value of) {
  for (int i = 0; i < titan_graph_output_count(graph); i++)
    if (titan_graph_output_at(graph, i)->kind != TITAN_OUTPUT_RESULT && titan_graph_output_at(graph, i)->of == of)
      return titan_graph_output_at(graph, i);
  return NULL;
}

static double forward_at(const titan_graph *graph, double **values, titan_value loss, double *x, const double *base,
                         const double *direction, int64_t count, double step) {
  for (int64_t i = 0; i < count; i++)
    x[i] = base[i] + step * direction[i];
  interpret(graph, TITAN_FORWARD, values);
  return values[loss][0];
}

// The derivative along a random direction in value v against the gradient's.
static void check_direction(random_source *random, const titan_graph *graph, double **values, titan_value loss,
                            titan_value v, const double *gradient) {
  int64_t count = titan_tensor_elements(&titan_graph_value(graph, v)->type);
  double *base, *direction, expected = 0, terms = 0, slopes[2];
  TRY(titan_memory_allocate(TITAN_MEMORY_GENERAL, (size_t)count * sizeof(double), &base));
  TRY(titan_memory_allocate(TITAN_MEMORY_GENERAL, (size_t)count * sizeof(double), &direction));
  memcpy(base, values[v], (size_t)count * sizeof(double));
  for (int64_t i = 0; i < count; i++) {
    direction[i] = random_real(random);
    expected += direction[i] * gradient[i];
    terms += fabs(direction[i] * gradient[i]);
  }
  for (int i = 0; i < 2; i++) {
    double step = i == 0 ? 1e-4 : 2e-4;
    double above = forward_at(graph, values, loss, values[v], base, direction, count, step);
    double below = forward_at(graph, values, loss, values[v], base, direction, count, -step);
    slopes[i] = (above - below) / (2 * step);
  }
  double slope = (4 * slopes[0] - slopes[1]) / 3;
  memcpy(values[v], base, (size_t)count * sizeof(double));
  titan_memory_free(base);
  titan_memory_free(direction);
  if (!(fabs(slope - expected) <= 1e-6 * terms + 1e-8))
    fail_msg("gradient of %s: %.12g along a direction, central differences give %.12g",
             titan_graph_value(graph, v)->name, expected, slope);
}

// Every parameter and differentiable input of a differentiated graph.
static void check_gradients(random_source *random, const titan_graph *graph) {
  double **values = interpret_allocate(graph);
  titan_value loss = titan_graph_find(graph, "loss"), seed = titan_graph_find(graph, "d(loss)");
  fill(random, graph, values);
  values[seed][0] = 1;
  interpret(graph, TITAN_BACKWARD, values);
  int checked = 0;
  for (int v = 0; v < titan_graph_value_count(graph); v++) {
    const titan_graph_output *output = gradient_output_of(graph, v);
    if (output == NULL)
      continue;
    int64_t count = titan_tensor_elements(&titan_graph_value(graph, v)->type);
    assert_int_equal(titan_tensor_elements(&titan_graph_value(graph, output->value)->type), count);
    double *gradient; // the forward overwrites values that the gradient may be
    TRY(titan_memory_allocate(TITAN_MEMORY_GENERAL, (size_t)count * sizeof(double), &gradient));
    memcpy(gradient, values[output->value], (size_t)count * sizeof(double));
    check_direction(random, graph, values, loss, v, gradient);
    titan_memory_free(gradient);
    checked++;
  }
  assert_true(checked >= 2);
  interpret_free(graph, values);
}

static void gradients_of_random_graphs_are_their_finite_differences(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 150; seed++) {
    random_source random = {seed};
    random_graph_options options = {
        .dtype = TITAN_FLOAT32, .steps = 1 + (int)(seed % 12), .fused_norms = true, .differentiate = true};
    titan_graph *graph = random_graph_create(&random, &options);
    check_gradients(&random, graph);
    titan_graph_destroy(&graph);
  }
}

static titan_value input(titan_graph *graph, const char *name, int64_t rows, int64_t columns, bool differentiable) {
  titan_value value;
  TRY(titan_graph_input(graph, name, (titan_tensor_type){TITAN_FLOAT32, 2, {rows, columns}}, differentiable, &value));
  return value;
}

static titan_value parameter(titan_graph *graph, const char *name, int64_t rows, int64_t columns) {
  titan_value value;
  TRY(titan_graph_parameter(graph, name, (titan_tensor_type){TITAN_FLOAT32, 2, {rows, columns}}, &value));
  return value;
}

static titan_value unary(titan_graph *graph, titan_op_kind kind, titan_value x) {
  titan_value y;
  TRY(titan_graph_unary(graph, kind, x, &y));
  return y;
}

static titan_value binary(titan_graph *graph, titan_op_kind kind, titan_value a, titan_value b) {
  titan_value y;
  TRY(titan_graph_binary(graph, kind, a, b, &y));
  return y;
}

static titan_value product(titan_graph *graph, titan_value a, bool ta, titan_value b, bool tb) {
  titan_value y;
  TRY(titan_graph_matmul(graph, a, ta, b, tb, TITAN_FLOAT32, &y));
  return y;
}

// Cross-entropy of x w^T, a scalar named "loss".
static titan_value finish(titan_graph *graph, titan_value x) {
  const titan_tensor_type type = titan_graph_value(graph, x)->type;
  titan_value labels, outputs[TITAN_MAX_OUTPUTS];
  TRY(titan_graph_input(graph, "labels", (titan_tensor_type){TITAN_INT32, 1, {type.dims[0]}}, false, &labels));
  titan_value logits = product(graph, x, false, parameter(graph, "head", RANDOM_GRAPH_VOCABULARY, type.dims[1]), true);
  titan_op_attributes attributes = {.cross_entropy = {.output = TITAN_FLOAT32}};
  TRY(titan_graph_apply(graph, TITAN_OP_cross_entropy, &attributes, 2, (titan_value[]){logits, labels}, outputs));
  TRY(titan_graph_output_add(graph, "loss", outputs[0]));
  return outputs[0];
}

// The sum of two values hands both the same gradient; a third use of one of them must not reach the other.
static void a_shared_gradient_is_not_changed_by_one_of_its_users(void **state) {
  (void)state;
  random_source random = {1};
  titan_graph *graph;
  TRY(titan_graph_create("shared", &graph));
  titan_value x = input(graph, "x", 4, 16, true);
  titan_value p = product(graph, x, false, parameter(graph, "p", 16, 16), false);
  titan_value q = product(graph, x, false, parameter(graph, "q", 16, 16), false);
  titan_value sum = binary(graph, TITAN_OP_add, p, q);
  titan_value w = product(graph, sum, false, parameter(graph, "w", 16, 16), false);
  titan_value gate = unary(graph, TITAN_OP_silu, p);
  titan_value loss = finish(graph, binary(graph, TITAN_OP_mul, w, gate));
  TRY(titan_graph_differentiate(graph, loss));
  check_gradients(&random, graph);
  titan_graph_destroy(&graph);
}

// Gradients have the shape of their value, also where a product saw it flattened to rows.
static void gradients_have_the_shape_of_their_value(void **state) {
  (void)state;
  for (int form = 0; form < 4; form++) {
    bool ta = form & 1, tb = form & 2;
    random_source random = {2};
    titan_graph *graph;
    titan_value a, b, flat;
    TRY(titan_graph_create("flattened", &graph));
    // op(a) is 6x10 or 10x6 (rows 2*3), op(b) fits to it
    TRY(titan_graph_parameter(graph, "a", (titan_tensor_type){TITAN_FLOAT32, 3, {2, 3, 10}}, &a));
    int64_t inner = ta ? 6 : 10;
    titan_tensor_type b_type = {TITAN_FLOAT32, 3, {2, inner / 2, 8}};
    if (tb)
      b_type = (titan_tensor_type){TITAN_FLOAT32, 3, {2, 4, inner}};
    TRY(titan_graph_parameter(graph, "b", b_type, &b));
    // once directly, once through a gate, so that gradients are also added up
    titan_value y = product(graph, a, ta, b, tb),
                z = product(graph, unary(graph, TITAN_OP_silu, a), ta, unary(graph, TITAN_OP_silu, b), tb);
    titan_value sum = binary(graph, TITAN_OP_add, y, z);
    int64_t rows = titan_tensor_rows(&titan_graph_value(graph, sum)->type);
    TRY(titan_graph_reshape(graph, sum, 2, (int64_t[]){rows, 8}, &flat));
    TRY(titan_graph_differentiate(graph, finish(graph, flat)));
    check_gradients(&random, graph);
    for (int i = 0; i < titan_graph_output_count(graph); i++) {
      const titan_graph_output *output = titan_graph_output_at(graph, i);
      if (output->kind == TITAN_OUTPUT_RESULT)
        continue;
      const titan_tensor_type *of = &titan_graph_value(graph, output->of)->type;
      const titan_tensor_type *type = &titan_graph_value(graph, output->value)->type;
      assert_int_equal(type->rank, of->rank);
      assert_memory_equal(type->dims, of->dims, (size_t)of->rank * sizeof *of->dims);
    }
    titan_graph_destroy(&graph);
  }
}

// With bfloat16 values: parameters' gradients are float32, all others have their value's type.
static void gradients_have_the_type_of_their_use(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 40; seed++) {
    random_source random = {seed};
    random_graph_options options = {.dtype = TITAN_BFLOAT16, .steps = 8, .differentiate = true};
    titan_graph *graph = random_graph_create(&random, &options);
    for (int i = 0; i < titan_graph_output_count(graph); i++) {
      const titan_graph_output *output = titan_graph_output_at(graph, i);
      titan_dtype dtype = titan_graph_value(graph, output->value)->type.dtype;
      if (output->kind == TITAN_OUTPUT_PARAMETER_GRADIENT)
        assert_int_equal(dtype, TITAN_FLOAT32);
      if (output->kind == TITAN_OUTPUT_INPUT_GRADIENT)
        assert_int_equal(dtype, TITAN_BFLOAT16);
    }
    titan_graph_destroy(&graph);
  }
}

// Differentiates y, expects the status and the word in the message, and destroys the graph.
static void expect_refusal(titan_graph *graph, titan_value y, const char *word) {
  assert_int_equal(titan_graph_differentiate(graph, y), TITAN_ERROR_INTERNAL);
  if (strstr(titan_error_message(), word) == NULL)
    fail_msg("\"%s\" does not say \"%s\"", titan_error_message(), word);
  titan_graph_destroy(&graph);
}

static titan_graph *sliced(titan_value *loss, int count, const int64_t (*ranges)[2]) {
  titan_graph *graph;
  TRY(titan_graph_create("sliced", &graph));
  titan_value x = unary(graph, TITAN_OP_silu, input(graph, "x", 6, 16, true)), sum = TITAN_NO_VALUE;
  for (int i = 0; i < count; i++) {
    titan_value piece;
    char name[8];
    snprintf(name, sizeof name, "w%d", i);
    TRY(titan_graph_slice(graph, x, ranges[i][0], ranges[i][1], &piece));
    // 2 x 16 from any number of rows
    titan_value y = product(graph, parameter(graph, name, ranges[i][1], 2), true, piece, false);
    sum = sum == TITAN_NO_VALUE ? y : binary(graph, TITAN_OP_add, sum, y);
  }
  *loss = finish(graph, sum);
  return graph;
}

static void slices_that_cover_a_value_are_put_together_in_any_order(void **state) {
  (void)state;
  random_source random = {3};
  titan_value loss;
  titan_graph *graph = sliced(&loss, 3, (const int64_t[][2]){{4, 2}, {0, 1}, {1, 3}});
  TRY(titan_graph_differentiate(graph, loss));
  check_gradients(&random, graph);
  titan_graph_destroy(&graph);
}

static void slices_that_leave_rows_out_are_an_error(void **state) {
  (void)state;
  titan_value loss;
  titan_graph *graph = sliced(&loss, 2, (const int64_t[][2]){{0, 2}, {3, 3}});
  expect_refusal(graph, loss, "cover");
  graph = sliced(&loss, 2, (const int64_t[][2]){{0, 2}, {2, 3}});
  expect_refusal(graph, loss, "cover");
}

// A row in two slices would need a sum, which putting together does not take.
static void slices_that_overlap_are_an_error(void **state) {
  (void)state;
  titan_value loss;
  titan_graph *graph = sliced(&loss, 3, (const int64_t[][2]){{0, 3}, {3, 3}, {0, 6}});
  expect_refusal(graph, loss, "slices");
  graph = sliced(&loss, 2, (const int64_t[][2]){{0, 6}, {0, 6}});
  expect_refusal(graph, loss, "slices");
  graph = sliced(&loss, 2, (const int64_t[][2]){{0, 4}, {2, 4}});
  expect_refusal(graph, loss, "slices");
}

static void an_unused_slice_is_an_error(void **state) {
  (void)state;
  titan_graph *graph;
  titan_value first, second;
  TRY(titan_graph_create("unused", &graph));
  titan_value x = input(graph, "x", 6, 16, true);
  TRY(titan_graph_slice(graph, x, 0, 4, &first));
  TRY(titan_graph_slice(graph, x, 4, 2, &second));
  titan_value loss = finish(graph, first);
  expect_refusal(graph, loss, "cover");
}

static void a_parameter_that_the_output_does_not_depend_on_is_an_error(void **state) {
  (void)state;
  titan_graph *graph;
  TRY(titan_graph_create("independent", &graph));
  titan_value x = input(graph, "x", 4, 16, true);
  parameter(graph, "lonely", 3, 3);
  titan_value loss = finish(graph, x);
  expect_refusal(graph, loss, "lonely");
}

static void only_the_first_output_of_an_operation_can_be_differentiated(void **state) {
  (void)state;
  titan_graph *graph;
  titan_value outputs[TITAN_MAX_OUTPUTS];
  TRY(titan_graph_create("statistics", &graph));
  titan_value x = input(graph, "x", 4, 16, true);
  TRY(titan_graph_apply(graph, TITAN_OP_layer_norm, &(titan_op_attributes){.norm = {1e-5f, false}}, 1, &x, outputs));
  expect_refusal(graph, outputs[2], "first output");
}

// An operation without a gradient rule would drop a gradient silently.
static void a_gradient_never_stops_silently_at_an_operation_without_a_rule(void **state) {
  (void)state;
  titan_graph *graph;
  titan_value both;
  TRY(titan_graph_create("summed", &graph));
  titan_value x = input(graph, "x", 2, 16, true), w = parameter(graph, "w", 16, 16);
  titan_value y = product(graph, x, false, w, false);
  titan_op_attributes one_rank = {.collective = {.ranks = 1}};
  TRY(titan_graph_apply(graph, TITAN_OP_all_reduce, &one_rank, 1, &y, &both));
  // x and w also reach the loss on another way, so that only the missing part of the gradient could tell
  titan_value other = product(graph, parameter(graph, "m", 2, 2), true, y, false);
  titan_value loss = finish(graph, binary(graph, TITAN_OP_add, both, other));
  expect_refusal(graph, loss, "all_reduce");
}

// What does not need a gradient costs nothing: no product for the gradient of a constant.
static void constants_get_no_gradient(void **state) {
  (void)state;
  titan_graph *graph;
  TRY(titan_graph_create("constant", &graph));
  titan_value x = input(graph, "x", 4, 16, false);
  titan_value y = product(graph, unary(graph, TITAN_OP_silu, x), false, parameter(graph, "w", 16, 16), true);
  TRY(titan_graph_differentiate(graph, finish(graph, y)));
  int products = 0, gates = 0;
  for (int i = 0; i < titan_graph_node_count(graph); i++) {
    const titan_node *node = titan_graph_node(graph, i);
    products += node->phase == TITAN_BACKWARD && node->call.kind == TITAN_OP_matmul;
    gates += node->call.kind == TITAN_OP_silu_backward;
  }
  assert_int_equal(products, 3); // d(w), d(head), and what leads to d(w)
  assert_int_equal(gates, 0);
  assert_null(gradient_output_of(graph, x));
  titan_graph_destroy(&graph);
}

// The seed is an input named after the output, of its type.
static void the_seed_is_an_input_of_the_outputs_type(void **state) {
  (void)state;
  titan_graph *graph;
  TRY(titan_graph_create("seed", &graph));
  titan_value y = product(graph, input(graph, "x", 4, 16, true), false, parameter(graph, "w", 16, 8), false);
  TRY(titan_graph_output_add(graph, "y", y));
  TRY(titan_graph_differentiate(graph, y));
  titan_value seed = titan_graph_find(graph, "d(y)");
  assert_int_not_equal(seed, TITAN_NO_VALUE);
  const titan_value_info *info = titan_graph_value(graph, seed);
  assert_int_equal(info->role, TITAN_ROLE_INPUT);
  assert_true(info->type.rank == 2 && info->type.dims[0] == 4 && info->type.dims[1] == 8 && !info->differentiable);
  // what the backward makes is no part of another forward
  for (titan_value v = seed; v < titan_graph_value_count(graph); v++)
    assert_false(titan_graph_wants_gradient(graph, v));
  assert_int_not_equal(titan_graph_find(graph, "d(x)"), TITAN_NO_VALUE);
  assert_int_not_equal(titan_graph_find(graph, "d(w)"), TITAN_NO_VALUE);
  titan_graph_destroy(&graph);
}

// --- how gradients lie over the mesh ---

static const titan_placement whole = {TITAN_REPLICATE, 0}, partial = {TITAN_PARTIAL, 0};

static void put(titan_graph *graph, titan_value value, titan_placement placement) {
  titan_graph_place_value(graph, value, 1, placement);
}

static void expect_place(const titan_graph *graph, titan_value value, titan_placement expected) {
  const titan_placement *placements = titan_graph_value(graph, value)->placement;
  if (placements[1].kind != expected.kind || placements[1].dim != expected.dim || placements[0].kind != TITAN_REPLICATE)
    fail_msg("%s lies otherwise", titan_graph_value(graph, value)->name);
}

static void expect_gradient_place(const titan_graph *graph, const char *name, titan_placement expected) {
  titan_value gradient = titan_graph_find(graph, name);
  assert_int_not_equal(gradient, TITAN_NO_VALUE);
  expect_place(graph, gradient, expected);
}

// Two products, cut by their outputs and then by their inputs: what the ranks hold alike between them has one term of
// its gradient on each, the terms of their sum each the whole.
static void gradients_of_parts_are_parts_and_whole_and_partial_change_places(void **state) {
  (void)state;
  titan_graph *graph;
  titan_value u, v;
  titan_placement rows = {TITAN_SHARD, 0}, columns = {TITAN_SHARD, 1};
  TRY(titan_graph_create("cut", &graph));
  titan_value x = input(graph, "x", 6, 4, true);
  put(graph, u = parameter(graph, "u", 8, 4), rows);
  put(graph, v = parameter(graph, "v", 5, 8), columns);
  titan_value h = product(graph, x, false, u, true), first, second;
  put(graph, h, columns);
  TRY(titan_graph_slice(graph, h, 0, 2, &first));
  TRY(titan_graph_slice(graph, h, 2, 4, &second));
  put(graph, first, columns);
  put(graph, second, columns);
  titan_value gate = unary(graph, TITAN_OP_silu, x), other = product(graph, gate, false, u, true);
  put(graph, other, columns);
  titan_value joined;
  TRY(titan_graph_apply(graph, TITAN_OP_concat, NULL, 2, (titan_value[]){second, first}, &joined));
  put(graph, joined, columns);
  titan_value sum = binary(graph, TITAN_OP_add, joined, other), y = product(graph, sum, false, v, true);
  put(graph, sum, columns);
  put(graph, y, partial);
  TRY(titan_graph_output_add(graph, "y", y));
  TRY(titan_graph_differentiate(graph, y));
  expect_gradient_place(graph, "d(y)", whole);
  expect_gradient_place(graph, "d(x)", partial); // a sum over both ways
  expect_gradient_place(graph, "d(u)", rows);
  expect_gradient_place(graph, "d(v)", columns);
  for (int n = 0; n < titan_graph_node_count(graph); n++) {
    const titan_node *node = titan_graph_node(graph, n);
    if (node->phase == TITAN_BACKWARD && (node->call.kind == TITAN_OP_concat || node->call.kind == TITAN_OP_slice))
      expect_place(graph, node->outputs[0], columns);
  }
  titan_graph_destroy(&graph);
}

// Where every rank does the same with whole values, its gradients are whole.
static void gradients_of_what_the_ranks_compute_alike_are_whole(void **state) {
  (void)state;
  titan_graph *graph;
  TRY(titan_graph_create("alike", &graph));
  titan_value x = input(graph, "x", 4, 16, true);
  TRY(titan_graph_differentiate(graph, finish(graph, product(graph, x, false, parameter(graph, "w", 16, 16), true))));
  for (titan_value v = 0; v < titan_graph_value_count(graph); v++)
    expect_place(graph, v, whole);
  titan_graph_destroy(&graph);
}

// A rule may reshape its product: b[2,4,10] from d[6,8]^T a[6,10].
static void what_a_rule_reshapes_into_a_gradient_lies_as_that_does(void **state) {
  (void)state;
  titan_graph *graph;
  titan_value a, b;
  titan_placement last = {TITAN_SHARD, 2};
  TRY(titan_graph_create("reshaped", &graph));
  TRY(titan_graph_parameter(graph, "a", (titan_tensor_type){TITAN_FLOAT32, 3, {2, 3, 10}}, &a));
  TRY(titan_graph_parameter(graph, "b", (titan_tensor_type){TITAN_FLOAT32, 3, {2, 4, 10}}, &b));
  put(graph, a, last);
  put(graph, b, last);
  titan_value y = product(graph, a, false, b, true);
  put(graph, y, partial);
  TRY(titan_graph_differentiate(graph, y));
  expect_gradient_place(graph, "d(a)", last);
  expect_gradient_place(graph, "d(b)", last);
  const titan_node *reshape =
      titan_graph_node(graph, titan_graph_value(graph, gradient_output_of(graph, b)->value)->producer);
  assert_int_equal(reshape->call.kind, TITAN_OP_reshape);
  expect_place(graph, reshape->inputs[0], (titan_placement){TITAN_SHARD, 1});
  titan_graph_destroy(&graph);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(gradients_of_random_graphs_are_their_finite_differences),
      cmocka_unit_test(a_shared_gradient_is_not_changed_by_one_of_its_users),
      cmocka_unit_test(gradients_have_the_shape_of_their_value),
      cmocka_unit_test(gradients_have_the_type_of_their_use),
      cmocka_unit_test(slices_that_cover_a_value_are_put_together_in_any_order),
      cmocka_unit_test(slices_that_leave_rows_out_are_an_error),
      cmocka_unit_test(slices_that_overlap_are_an_error),
      cmocka_unit_test(an_unused_slice_is_an_error),
      cmocka_unit_test(a_parameter_that_the_output_does_not_depend_on_is_an_error),
      cmocka_unit_test(only_the_first_output_of_an_operation_can_be_differentiated),
      cmocka_unit_test(a_gradient_never_stops_silently_at_an_operation_without_a_rule),
      cmocka_unit_test(constants_get_no_gradient),
      cmocka_unit_test(the_seed_is_an_input_of_the_outputs_type),
      cmocka_unit_test(gradients_of_parts_are_parts_and_whole_and_partial_change_places),
      cmocka_unit_test(gradients_of_what_the_ranks_compute_alike_are_whole),
      cmocka_unit_test(what_a_rule_reshapes_into_a_gradient_lies_as_that_does),
  };
  int failures = cmocka_run_group_tests(tests, NULL, NULL);
  return failures != 0 || titan_memory_report_leaks() != 0;
}
