// SPDX-License-Identifier: Apache-2.0
// Property: a plan computes what its graph says, whatever shares memory. Oracle: the same kernels with every value in
// memory of its own. Tolerance: none, the bits are equal. Where memory is reused too early, NaN or another value comes
// out. A plan's text shows its transfers and what it computes again; oracle: counted by hand.
#include "graph/plan_report.h"
#include "graph_test.h"
#include "random_graph.h"
#include "run.h"

#include <stdio.h>
#include <string.h>

static titan_device *device;

// Plans and runs a graph both ways, with phases apart and merged. False when the planner says that values would share
// memory that must not.
static bool check_graph(random_source *random, const titan_graph *graph) {
  bool planned = true;
  value_bytes expected = value_bytes_create(graph, random, RANDOM_GRAPH_VOCABULARY);
  run_directly(device, &expected);
  for (int merged = 0; merged < 2 && planned; merged++) {
    titan_executable *executable;
    titan_status status = titan_executable_create(device, graph, merged, &executable);
    if (status != TITAN_OK) {
      assert_int_equal(status, TITAN_ERROR_INTERNAL);
      assert_null(executable);
      assert_true(strstr(titan_error_message(), "shares memory") != NULL ||
                  strstr(titan_error_message(), "part of another value") != NULL);
      planned = false;
    } else {
      TRY(titan_executable_prepare(executable));
      check_plan(executable, &expected, 2);
    }
    titan_executable_destroy(&executable);
  }
  value_bytes_destroy(&expected);
  return planned;
}

static void check_random_graphs(titan_dtype dtype, int count) {
  int planned = 0;
  for (int seed = 1; seed <= count; seed++) {
    random_source random = {(uint64_t)seed};
    random_graph_options options = {
        .dtype = dtype, .steps = 1 + seed % 16, .results = seed % 4, .differentiate = seed % 5 != 0};
    titan_graph *graph = random_graph_create(&random, &options);
    planned += check_graph(&random, graph);
    titan_graph_destroy(&graph);
  }
  // The rest are graphs that no plan can serve without copies.
  if (planned < count / 2)
    fail_msg("only %d of %d graphs were planned", planned, count);
}

static void plans_of_random_float32_graphs_give_the_bits_of_separate_values(void **state) {
  (void)state;
  check_random_graphs(TITAN_FLOAT32, 400);
}

static void plans_of_random_bfloat16_graphs_give_the_bits_of_separate_values(void **state) {
  (void)state;
  check_random_graphs(TITAN_BFLOAT16, 200);
}

static titan_value input(titan_graph *graph, const char *name, int64_t rows, int64_t columns, bool differentiable) {
  titan_value value;
  TRY(titan_graph_input(graph, name, (titan_tensor_type){TITAN_FLOAT32, 2, {rows, columns}}, differentiable, &value));
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

static titan_value slice(titan_graph *graph, titan_value x, int64_t begin, int64_t count) {
  titan_value y;
  TRY(titan_graph_slice(graph, x, begin, count, &y));
  return y;
}

static titan_value concat(titan_graph *graph, titan_value a, titan_value b) {
  titan_value y;
  TRY(titan_graph_apply(graph, TITAN_OP_concat, NULL, 2, (titan_value[]){a, b}, &y));
  return y;
}

// y = x w + x: the product reads x while it writes, so that it must not write over x although x dies there.
static void a_product_is_not_written_over_what_it_multiplies(void **state) {
  (void)state;
  random_source random = {1};
  titan_graph *graph;
  titan_value w, y;
  TRY(titan_graph_create("residual", &graph));
  titan_value x = unary(graph, TITAN_OP_silu, input(graph, "x", 64, 64, false));
  TRY(titan_graph_parameter(graph, "w", (titan_tensor_type){TITAN_FLOAT32, 2, {64, 64}}, &w));
  titan_op_attributes attributes = {.matmul = {false, false, TITAN_FLOAT32}};
  TRY(titan_graph_apply(graph, TITAN_OP_matmul, &attributes, 3, (titan_value[]){x, w, x}, &y));
  TRY(titan_graph_output_add(graph, "y", y));
  assert_true(check_graph(&random, graph));
  titan_graph_destroy(&graph);
}

// The output is the first part of a value as large as the dying one, of which the operation reads other rows.
static void an_output_is_not_written_over_other_rows_of_its_input(void **state) {
  (void)state;
  random_source random = {1};
  titan_graph *graph;
  TRY(titan_graph_create("rows", &graph));
  titan_value x = unary(graph, TITAN_OP_silu, input(graph, "x", 400, 64, false));
  titan_value z = unary(graph, TITAN_OP_silu, input(graph, "z", 100, 64, false));
  titan_value sum = binary(graph, TITAN_OP_mul, slice(graph, x, 0, 300), slice(graph, x, 100, 300));
  titan_value late = unary(graph, TITAN_OP_silu, z);
  TRY(titan_graph_output_add(graph, "y", unary(graph, TITAN_OP_silu, concat(graph, late, sum))));
  assert_true(check_graph(&random, graph));
  titan_graph_destroy(&graph);
}

// A chain of elementwise operations needs one value's memory.
static void a_chain_runs_in_place(void **state) {
  (void)state;
  random_source random = {1};
  titan_graph *graph;
  TRY(titan_graph_create("chain", &graph));
  titan_value y = unary(graph, TITAN_OP_silu, input(graph, "x", 16, 64, false)), z = y;
  for (int i = 0; i < 8; i++)
    z = i % 2 ? unary(graph, TITAN_OP_silu, z) : binary(graph, TITAN_OP_mul, z, z);
  // a product at the end, so that the chain is not the output's own memory
  titan_value product;
  TRY(titan_graph_matmul(graph, z, true, z, false, TITAN_FLOAT32, &product));
  TRY(titan_graph_output_add(graph, "product", product));
  assert_true(check_graph(&random, graph));
  titan_plan *plan;
  titan_plan_options options = {0};
  TRY(titan_plan_create(graph, &options, &plan));
  assert_int_equal(plan->phases[TITAN_FORWARD].scratch_bytes, 16 * 64 * sizeof(float));
  assert_int_equal(plan->saved_bytes, 0);
  titan_plan_destroy(&plan);
  titan_graph_destroy(&graph);
}

// What is put together is written in its place: no memory beside the whole.
static void concat_takes_no_memory_beside_its_output(void **state) {
  (void)state;
  random_source random = {1};
  titan_graph *graph;
  TRY(titan_graph_create("concat", &graph));
  titan_value x = input(graph, "x", 16, 64, false);
  titan_value whole = concat(graph, unary(graph, TITAN_OP_silu, x), binary(graph, TITAN_OP_add, x, x)), product;
  TRY(titan_graph_matmul(graph, whole, true, whole, false, TITAN_FLOAT32, &product));
  TRY(titan_graph_output_add(graph, "product", product));
  assert_true(check_graph(&random, graph));
  titan_plan *plan;
  TRY(titan_plan_create(graph, &(titan_plan_options){0}, &plan));
  assert_int_equal(plan->phases[TITAN_FORWARD].scratch_bytes, 32 * 64 * sizeof(float));
  assert_int_equal(plan->phases[TITAN_FORWARD].count, 3);
  titan_plan_destroy(&plan);
  titan_graph_destroy(&graph);
}

static void expect_refusal(titan_graph *graph, const char *word) {
  titan_plan *plan;
  assert_int_equal(titan_plan_create(graph, &(titan_plan_options){0}, &plan), TITAN_ERROR_INTERNAL);
  assert_null(plan);
  if (strstr(titan_error_message(), word) == NULL)
    fail_msg("\"%s\" does not say \"%s\"", titan_error_message(), word);
  titan_graph_destroy(&graph);
}

// Memory that two owners want is an error, not a wrong number.
static void outputs_that_would_share_memory_are_an_error(void **state) {
  (void)state;
  titan_graph *graph;
  TRY(titan_graph_create("twice", &graph));
  titan_value y = unary(graph, TITAN_OP_silu, input(graph, "x", 4, 16, false));
  TRY(titan_graph_output_add(graph, "first", y));
  TRY(titan_graph_output_add(graph, "second", y));
  expect_refusal(graph, "shares memory");

  TRY(titan_graph_create("input", &graph));
  titan_value x = input(graph, "x", 4, 16, false), flat;
  TRY(titan_graph_reshape(graph, x, 1, (int64_t[]){64}, &flat));
  TRY(titan_graph_output_add(graph, "flat", flat));
  expect_refusal(graph, "shares memory");

  TRY(titan_graph_create("rows", &graph));
  y = unary(graph, TITAN_OP_silu, input(graph, "x", 4, 16, false));
  TRY(titan_graph_output_add(graph, "rows", slice(graph, y, 0, 2)));
  expect_refusal(graph, "shares memory");

  TRY(titan_graph_create("stacked", &graph));
  x = input(graph, "x", 4, 16, false);
  TRY(titan_graph_output_add(graph, "y", concat(graph, x, unary(graph, TITAN_OP_silu, x))));
  expect_refusal(graph, "concat");

  TRY(titan_graph_create("stacked twice", &graph));
  y = unary(graph, TITAN_OP_silu, input(graph, "x", 4, 16, false));
  TRY(titan_graph_output_add(graph, "y", concat(graph, y, y)));
  expect_refusal(graph, "concat");
}

// Parameters lie one after another in the order in which they were made, each at a multiple of the alignment, in
// compute type and in float32 alike; externals come inputs first, then outputs.
static void parameters_and_externals_lie_in_the_order_of_the_graph(void **state) {
  (void)state;
  titan_graph *graph;
  titan_value x, a, b, y;
  TRY(titan_graph_create("order", &graph));
  TRY(titan_graph_input(graph, "x", (titan_tensor_type){TITAN_BFLOAT16, 2, {4, 5}}, true, &x));
  TRY(titan_graph_parameter(graph, "a", (titan_tensor_type){TITAN_BFLOAT16, 2, {5, 7}}, &a));
  TRY(titan_graph_parameter(graph, "b", (titan_tensor_type){TITAN_BFLOAT16, 2, {7, 3}}, &b));
  TRY(titan_graph_matmul(graph, x, false, a, false, TITAN_BFLOAT16, &y));
  TRY(titan_graph_matmul(graph, y, false, b, false, TITAN_BFLOAT16, &y));
  TRY(titan_graph_output_add(graph, "y", y));
  TRY(titan_graph_differentiate(graph, y));
  titan_plan *plan;
  TRY(titan_plan_create(graph, &(titan_plan_options){0}, &plan));
  assert_int_equal(plan->parameter_count, 2);
  assert_string_equal(plan->parameters[0].name, "a");
  assert_int_equal(plan->parameters[0].first, 0);
  assert_int_equal(plan->parameters[0].elements, 35);
  assert_int_equal(plan->parameters[1].first, 64);
  assert_int_equal(plan->flat_elements, 96);
  static const char *const names[] = {"x", "d(y)", "y", "d(x)"};
  assert_int_equal(plan->external_count, 4);
  for (int i = 0; i < 4; i++) {
    assert_int_equal(titan_plan_external_find(plan, names[i]), i);
    assert_int_equal(plan->externals[i].written, i >= 2);
  }
  assert_int_equal(titan_plan_external_find(plan, "z"), -1);
  // what the backward wants of the forward: x w, 4 x 7 values of 2 bytes, in whole alignments
  assert_int_equal(plan->saved_bytes, 64);
  titan_plan_destroy(&plan);
  titan_graph_destroy(&graph);
}

// The plan's cost is that of its instructions: a product counts two operations for each multiply-add.
static void a_plan_counts_its_work(void **state) {
  (void)state;
  titan_graph *graph;
  titan_value x, w, y;
  TRY(titan_graph_create("cost", &graph));
  TRY(titan_graph_input(graph, "x", (titan_tensor_type){TITAN_FLOAT32, 2, {6, 10}}, true, &x));
  TRY(titan_graph_parameter(graph, "w", (titan_tensor_type){TITAN_FLOAT32, 2, {10, 14}}, &w));
  TRY(titan_graph_matmul(graph, x, false, w, false, TITAN_FLOAT32, &y));
  TRY(titan_graph_output_add(graph, "y", y));
  TRY(titan_graph_differentiate(graph, y));
  titan_plan *plan;
  TRY(titan_plan_create(graph, &(titan_plan_options){0}, &plan));
  assert_float_equal(plan->phases[TITAN_FORWARD].cost.flops, 2.0 * 6 * 10 * 14, 0);
  assert_float_equal(plan->phases[TITAN_BACKWARD].cost.flops, 4.0 * 6 * 10 * 14, 0);
  assert_float_equal(plan->phases[TITAN_FORWARD].cost.bytes, 4.0 * (6 * 10 + 10 * 14 + 6 * 14), 0);
  titan_plan_destroy(&plan);
  TRY(titan_plan_create(graph, &(titan_plan_options){.merge_phases = true}, &plan));
  assert_float_equal(plan->phases[TITAN_FORWARD].cost.flops, 6.0 * 6 * 10 * 14, 0);
  assert_int_equal(plan->phases[TITAN_BACKWARD].count, 0);
  assert_int_equal(plan->saved_bytes, 0);
  titan_plan_destroy(&plan);
  titan_graph_destroy(&graph);
}

static size_t bytes_for_products(void *context, const titan_op_call *call) {
  return call->kind == TITAN_OP_matmul ? *(size_t *)context : 0;
}

// Workspace lies in scratch, beside everything that is alive at its instruction.
static void workspace_is_part_of_scratch(void **state) {
  (void)state;
  titan_graph *graph;
  titan_value product;
  size_t workspace = 1000;
  TRY(titan_graph_create("workspace", &graph));
  titan_value x = unary(graph, TITAN_OP_silu, input(graph, "x", 16, 16, false));
  TRY(titan_graph_matmul(graph, x, false, x, true, TITAN_FLOAT32, &product));
  TRY(titan_graph_output_add(graph, "y", binary(graph, TITAN_OP_add, product, x)));
  titan_plan *plan;
  TRY(titan_plan_create(graph, &(titan_plan_options){.workspace = bytes_for_products, .context = &workspace}, &plan));
  const titan_instruction *instruction = &plan->phases[TITAN_FORWARD].instructions[1];
  assert_int_equal(instruction->node->call.kind, TITAN_OP_matmul);
  assert_int_equal(instruction->workspace_bytes, 1000);
  assert_int_equal(instruction->workspace.base, TITAN_BASE_SCRATCH);
  assert_int_equal(instruction->inputs[0].base, TITAN_BASE_SCRATCH);
  size_t value = 16 * 16 * sizeof(float), begin = instruction->workspace.offset, at = instruction->inputs[0].offset;
  assert_true(begin + 1000 <= at || at + value <= begin);
  // x and the workspace; the product is written where the output goes, or x to be overwritten by the sum
  assert_true(plan->phases[TITAN_FORWARD].scratch_bytes >= value + 1024);
  assert_true(plan->phases[TITAN_FORWARD].scratch_bytes <= 2 * value + 1024);
  titan_plan_destroy(&plan);
  titan_graph_destroy(&graph);
}

// --- the text ---

// A step over four ranks of dimension 1: y = reduce_scatter(silu(all_gather(x)) w). The backward gathers x and takes
// silu again, and sums w's gradient over dimension 0.
static titan_graph *graph_with_transfers(void) {
  titan_graph *graph;
  titan_value gathered, h, w, y, again[2], sum;
  titan_op_attributes four = {.collective = {.dimension = 1, .ranks = 4}}, two = {.collective = {.ranks = 2}};
  TRY(titan_graph_create("transfers", &graph));
  titan_value x = input(graph, "x", 3, 16, true);
  TRY(titan_graph_parameter(graph, "w", (titan_tensor_type){TITAN_FLOAT32, 2, {16, 8}}, &w));
  TRY(titan_graph_apply(graph, TITAN_OP_all_gather, &four, 1, &x, &gathered));
  h = unary(graph, TITAN_OP_silu, gathered);
  TRY(titan_graph_matmul(graph, h, false, w, false, TITAN_FLOAT32, &y));
  TRY(titan_graph_apply(graph, TITAN_OP_reduce_scatter, &four, 1, &y, &y));
  TRY(titan_graph_output_add(graph, "y", y));
  TRY(titan_graph_differentiate(graph, y));
  int nodes = titan_graph_node_count(graph);
  TRY(titan_graph_recompute(graph, titan_graph_value(graph, gathered)->producer, &x, &again[0]));
  TRY(titan_graph_recompute(graph, titan_graph_value(graph, h)->producer, &again[0], &again[1]));
  for (int n = 0; n < nodes; n++)
    for (int i = 0; titan_graph_node(graph, n)->phase == TITAN_BACKWARD && i < 2; i++)
      if (titan_graph_node(graph, n)->inputs[i] == gathered || titan_graph_node(graph, n)->inputs[i] == h)
        titan_graph_node_set_input(graph, n, i, again[titan_graph_node(graph, n)->inputs[i] == h]);
  for (int i = 0; i < titan_graph_output_count(graph); i++)
    if (titan_graph_output_at(graph, i)->kind == TITAN_OUTPUT_PARAMETER_GRADIENT) {
      TRY(titan_graph_apply(graph, TITAN_OP_all_reduce, &two, 1, &titan_graph_output_at(graph, i)->value, &sum));
      titan_graph_output_set_value(graph, i, sum);
    }
  return graph;
}

static char *text_of(const titan_graph *graph, titan_text *text) {
  titan_plan *plan;
  TRY(titan_plan_create(graph, &(titan_plan_options){0}, &plan));
  TRY(titan_plan_print(plan, text));
  titan_plan_destroy(&plan);
  return text->data;
}

// Whether `text` has the words so many times.
static void expect_count(const char *text, const char *words, int count) {
  int found = 0;
  for (const char *at = text; (at = strstr(at, words)) != NULL; at += strlen(words))
    found++;
  if (found != count)
    fail_msg("\"%s\" stands %d times, expected %d, in\n%s", words, found, count, text);
}

// Rows of x are 64 bytes and of y 32: a rank's are 192 and 96, three times that comes from or goes to the other ranks.
static void the_text_shows_what_is_transferred_and_what_is_computed_again(void **state) {
  (void)state;
  titan_text text = {0};
  titan_graph *graph = graph_with_transfers();
  char *backward = strstr(text_of(graph, &text), "\nbackward:");
  assert_non_null(backward);
  *backward++ = '\0';
  expect_count(text.data,
               "\ntransfers over tp: all-gather 576, reduce-scatter 288, all-reduce 0 bytes in 2 operations\n", 1);
  expect_count(text.data, "all_gather  flops 0  bytes 960  transfers 576 bytes over tp\n", 1);
  expect_count(text.data, "reduce_scatter  flops 0  bytes 480  transfers 288 bytes over tp\n", 1);
  expect_count(text.data, "transfers", 3 + 1); // the plan's name
  expect_count(text.data, "recomputed", 0);
  expect_count(backward, "\nrecomputed of these: flops 960, bytes moved 2496\n", 1);
  expect_count(backward, "\ntransfers over cp: all-gather 0, reduce-scatter 0, all-reduce 512 bytes in 1 operation\n",
               1);
  expect_count(backward,
               "\ntransfers over tp: all-gather 864, reduce-scatter 576, all-reduce 0 bytes in 3 operations\n", 1);
  expect_count(backward, "all_gather  flops 0  bytes 960  transfers 576 bytes over tp  recomputed\n", 1);
  expect_count(backward, "all_gather  flops 0  bytes 480  transfers 288 bytes over tp\n", 1);
  expect_count(backward, "all_reduce  flops 0  bytes 1024  transfers 512 bytes over cp\n", 1);
  expect_count(backward, "silu  flops 960  bytes 1536  recomputed\n", 1);
  expect_count(backward, "  recomputed\n", 2);
  titan_text_destroy(&text);
  titan_graph_destroy(&graph);
}

static void the_text_has_no_word_on_what_a_plan_does_not_do(void **state) {
  (void)state;
  titan_text text = {0};
  titan_graph *graph;
  TRY(titan_graph_create("alone", &graph));
  titan_value y = unary(graph, TITAN_OP_silu, input(graph, "x", 4, 16, true));
  TRY(titan_graph_output_add(graph, "y", y));
  TRY(titan_graph_differentiate(graph, y));
  expect_count(text_of(graph, &text), "\nbackward: 1 instructions", 1);
  expect_count(text.data, "transfers", 0);
  expect_count(text.data, "recomputed", 0);
  titan_text_destroy(&text);
  titan_graph_destroy(&graph);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(plans_of_random_float32_graphs_give_the_bits_of_separate_values),
      cmocka_unit_test(plans_of_random_bfloat16_graphs_give_the_bits_of_separate_values),
      cmocka_unit_test(a_product_is_not_written_over_what_it_multiplies),
      cmocka_unit_test(an_output_is_not_written_over_other_rows_of_its_input),
      cmocka_unit_test(a_chain_runs_in_place),
      cmocka_unit_test(concat_takes_no_memory_beside_its_output),
      cmocka_unit_test(outputs_that_would_share_memory_are_an_error),
      cmocka_unit_test(parameters_and_externals_lie_in_the_order_of_the_graph),
      cmocka_unit_test(a_plan_counts_its_work),
      cmocka_unit_test(workspace_is_part_of_scratch),
      cmocka_unit_test(the_text_shows_what_is_transferred_and_what_is_computed_again),
      cmocka_unit_test(the_text_has_no_word_on_what_a_plan_does_not_do),
  };
  if (titan_device_create_cpu(1, &device) != TITAN_OK) {
    fprintf(stderr, "%s\n", titan_error_message());
    return 1;
  }
  int failures = cmocka_run_group_tests(tests, NULL, NULL);
  titan_device_destroy(&device);
  return failures != 0 || titan_memory_report_leaks() != 0;
}
