// SPDX-License-Identifier: Apache-2.0
// Property: a backward in two parts gives, bit for bit, what it gives in one: the gradients of inputs after the first
// part, every parameter's gradient in the second, which reads nothing that was saved for the first alone. Oracle: the
// same graph before the split, every value in memory of its own; a small one by hand. Tolerance: none.
#include "graph_test.h"
#include "random_graph.h"
#include "run.h"

#include <stdio.h>
#include <string.h>

static titan_device *device;

// --- random graphs ---

static void expect_same_outputs(const value_bytes *whole, const value_bytes *apart) {
  for (int i = 0; i < titan_graph_output_count(whole->graph); i++) {
    const titan_graph_output *a = titan_graph_output_at(whole->graph, i), *b = titan_graph_output_at(apart->graph, i);
    const titan_tensor_type *type = &titan_graph_value(whole->graph, a->value)->type;
    assert_string_equal(a->name, b->name);
    assert_memory_equal(whole->data[a->value], apart->data[b->value], titan_tensor_bytes(type));
  }
}

// Nodes of the phase whose outputs a parameter's gradient is.
static void expect_gradients_in_the_last_phase(const titan_graph *graph) {
  for (int i = 0; i < titan_graph_output_count(graph); i++) {
    const titan_graph_output *output = titan_graph_output_at(graph, i);
    int producer = titan_graph_value(graph, output->value)->producer;
    if (producer < 0)
      continue;
    titan_phase phase = titan_graph_node(graph, producer)->phase;
    if (output->kind == TITAN_OUTPUT_PARAMETER_GRADIENT)
      assert_int_equal(phase, TITAN_WEIGHT_GRADIENTS);
    else
      assert_int_not_equal(phase, TITAN_WEIGHT_GRADIENTS);
  }
}

// What counts of a run: graphs with something in each part, and graphs that no plan can serve without copies.
typedef struct tally {
  int both, unplanned, copies;
} tally;

static int count_nodes(const titan_graph *graph, titan_phase phase) {
  int count = 0;
  for (int i = 0; i < titan_graph_node_count(graph); i++)
    count += titan_graph_node(graph, i)->phase == phase;
  return count;
}

static void check_seed(uint64_t seed, const random_graph_options *options, tally *counts) {
  random_source random = {seed}, inputs[2];
  titan_graph *whole = random_graph_create(&random, options);
  random = (random_source){seed};
  titan_graph *apart = random_graph_create(&random, options);
  int nodes = titan_graph_node_count(apart);
  TRY(titan_graph_split_backward(apart));
  counts->copies += titan_graph_node_count(apart) - nodes;
  counts->both += count_nodes(apart, TITAN_BACKWARD) > 0 && count_nodes(apart, TITAN_WEIGHT_GRADIENTS) > 0;
  expect_gradients_in_the_last_phase(apart);
  inputs[0] = inputs[1] = random;
  value_bytes expected = value_bytes_create(whole, &inputs[0], RANDOM_GRAPH_VOCABULARY);
  value_bytes got = value_bytes_create(apart, &inputs[1], RANDOM_GRAPH_VOCABULARY);
  run_directly(device, &expected);
  run_directly(device, &got);
  expect_same_outputs(&expected, &got);
  titan_executable *executable;
  if (titan_executable_create(device, apart, false, &executable) == TITAN_OK) {
    TRY(titan_executable_prepare(executable));
    check_plan(executable, &got, 2);
  } else {
    counts->unplanned++;
    assert_true(strstr(titan_error_message(), "shares memory") != NULL ||
                strstr(titan_error_message(), "part of another value") != NULL);
  }
  titan_executable_destroy(&executable);
  value_bytes_destroy(&expected);
  value_bytes_destroy(&got);
  titan_graph_destroy(&whole);
  titan_graph_destroy(&apart);
}

static void check_random_graphs(titan_dtype dtype, int count) {
  tally counts = {0};
  for (int seed = 1; seed <= count; seed++) {
    random_graph_options options = {.dtype = dtype, .steps = 1 + seed % 16, .results = seed % 4, .differentiate = true};
    check_seed((uint64_t)seed, &options, &counts);
  }
  print_message("%d graphs: %d have both parts, %d gradients are copied, %d have no plan\n", count, counts.both,
                counts.copies, counts.unplanned);
  assert_true(counts.both > count / 2 && counts.copies > 0 && counts.unplanned < count / 2);
}

static void random_float32_graphs_give_the_same_bits_in_two_parts(void **state) {
  (void)state;
  check_random_graphs(TITAN_FLOAT32, 400);
}

static void random_bfloat16_graphs_give_the_same_bits_in_two_parts(void **state) {
  (void)state;
  check_random_graphs(TITAN_BFLOAT16, 200);
}

// --- a small graph ---

// y = rms_norm(x, g) w: the norm's weight has its gradient from the operation that gives that of x.
static titan_graph *small_graph(void) {
  titan_graph *graph;
  titan_value x, g, w, normed[2], y;
  titan_tensor_type row = {TITAN_FLOAT32, 1, {8}}, matrix = {TITAN_FLOAT32, 2, {8, 4}},
                    input = {TITAN_FLOAT32, 2, {6, 8}};
  titan_op_attributes norm = {.norm = {1e-5f, false}};
  TRY(titan_graph_create("small", &graph));
  TRY(titan_graph_input(graph, "x", input, true, &x));
  TRY(titan_graph_parameter(graph, "g", row, &g));
  TRY(titan_graph_parameter(graph, "w", matrix, &w));
  TRY(titan_graph_apply(graph, TITAN_OP_rms_norm, &norm, 2, (titan_value[]){x, g}, normed));
  TRY(titan_graph_matmul(graph, normed[0], false, w, false, TITAN_FLOAT32, &y));
  TRY(titan_graph_output_add(graph, "y", y));
  TRY(titan_graph_differentiate(graph, y));
  return graph;
}

static void what_the_gradient_of_the_input_does_not_need_comes_later(void **state) {
  (void)state;
  titan_graph *graph = small_graph();
  titan_text text = {0};
  TRY(titan_graph_split_backward(graph));
  TRY(titan_graph_print(graph, &text));
  assert_string_equal(text.data, "graph small\n"
                                 "  input x: float32[6,8]\n"
                                 "  parameter g: float32[8]\n"
                                 "  parameter w: float32[8,4]\n"
                                 "  input d(y): float32[6,4]\n"
                                 "  fwd %3: float32[6,8], %4: float32[6] = rms_norm(x, g)\n"
                                 "  fwd %5: float32[6,4] = matmul(%3, w)\n"
                                 "  bwd %7: float32[6,8] = matmul(d(y), w, b transposed)\n"
                                 "  wgt %8: float32[8,4] = matmul(%3, d(y), a transposed)\n"
                                 "  bwd %9: float32[6,8], %10: float32[8] = rms_norm_backward(%7, x, g, %4)\n"
                                 "  wgt %11: float32[8] = copy(%10)\n"
                                 "  output y = %5\n"
                                 "  output d(x) = %9\n"
                                 "  output d(g) = %11\n"
                                 "  output d(w) = %8\n");
  titan_text_destroy(&text);
  titan_graph_destroy(&graph);
}

// The product of the weight's gradient reads the normed rows, of the forward, and d(y), which is none of the plan's;
// the copy of the norm's gradient reads what the backward passes on; the norm's own means are saved for the backward
// alone.
static void a_plan_has_an_arena_for_each_pair_of_phases(void **state) {
  (void)state;
  titan_graph *graph = small_graph();
  titan_executable *executable;
  TRY(titan_graph_split_backward(graph));
  TRY(titan_executable_create(device, graph, false, &executable));
  const titan_plan *plan = titan_executable_plan(executable);
  assert_int_equal(plan->kept_bytes, 6 * 8 * 4);
  assert_int_equal(plan->passed_bytes, 64); // 8 floats, aligned
  assert_int_equal(plan->saved_bytes, 64);  // 6 floats, aligned
  titan_executable_destroy(&executable);
  titan_graph_destroy(&graph);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_float32_graphs_give_the_same_bits_in_two_parts),
      cmocka_unit_test(random_bfloat16_graphs_give_the_same_bits_in_two_parts),
      cmocka_unit_test(what_the_gradient_of_the_input_does_not_need_comes_later),
      cmocka_unit_test(a_plan_has_an_arena_for_each_pair_of_phases),
  };
  if (titan_device_create_cpu(1, &device) != TITAN_OK) {
    fprintf(stderr, "%s\n", titan_error_message());
    return 1;
  }
  int failures = cmocka_run_group_tests(tests, NULL, NULL);
  titan_device_destroy(&device);
  return failures != 0 || titan_memory_report_leaks() != 0;
}
