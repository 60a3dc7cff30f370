// SPDX-License-Identifier: Apache-2.0
// Property: graphs are built, named, found and printed as graph.h says. Oracle: small graphs written out by hand.
#include "graph/query.h"
#include "graph_test.h"

#include <string.h>

static titan_tensor_type matrix(int64_t rows, int64_t columns) {
  return (titan_tensor_type){TITAN_FLOAT32, 2, {rows, columns}};
}

static void the_text_of_a_graph_shows_every_value_with_its_type(void **state) {
  (void)state;
  titan_graph *graph;
  titan_value x, w, y;
  titan_text text = {0};
  TRY(titan_graph_create("small", &graph));
  TRY(titan_graph_input(graph, "x", (titan_tensor_type){TITAN_BFLOAT16, 3, {2, 3, 4}}, false, &x));
  TRY(titan_graph_parameter(graph, "w", (titan_tensor_type){TITAN_BFLOAT16, 2, {5, 4}}, &w));
  TRY(titan_graph_matmul(graph, x, false, w, true, TITAN_BFLOAT16, &y));
  titan_graph_name_value(graph, y, "projected");
  TRY(titan_graph_unary(graph, TITAN_OP_silu, y, &y));
  TRY(titan_graph_output_add(graph, "y", y));
  TRY(titan_graph_differentiate(graph, y));
  TRY(titan_graph_print(graph, &text));
  assert_string_equal(text.data, "graph small\n"
                                 "  input x: bfloat16[2,3,4]\n"
                                 "  parameter w: bfloat16[5,4]\n"
                                 "  input d(y): bfloat16[2,3,5]\n"
                                 "  fwd projected: bfloat16[2,3,5] = matmul(x, w, b transposed)\n"
                                 "  fwd %3: bfloat16[2,3,5] = silu(projected)\n"
                                 "  bwd %5: bfloat16[2,3,5] = silu_backward(d(y), projected)\n"
                                 "  bwd %6: float32[5,4] = matmul(%5, x, a transposed)\n"
                                 "  output y = %3\n"
                                 "  output d(w) = %6\n");
  titan_text_destroy(&text);
  titan_graph_destroy(&graph);
}

static void the_drawing_of_a_graph_has_every_value_and_operation(void **state) {
  (void)state;
  titan_graph *graph;
  titan_value x, w, y;
  titan_text text = {0};
  TRY(titan_graph_create("small", &graph));
  TRY(titan_graph_input(graph, "x", matrix(3, 4), false, &x));
  TRY(titan_graph_parameter(graph, "w", matrix(5, 4), &w));
  titan_graph_place_value(graph, w, 1, (titan_placement){TITAN_SHARD, 0});
  TRY(titan_graph_matmul(graph, x, false, w, true, TITAN_FLOAT32, &y));
  titan_graph_name_value(graph, y, "a \"name\"");
  TRY(titan_graph_output_add(graph, "y", y));
  TRY(titan_graph_differentiate(graph, y));
  TRY(titan_graph_print_dot(graph, &text));
  assert_string_equal(text.data,
                      "digraph \"small\" {\n"
                      "  node [style=filled, fontname=\"monospace\", fontsize=10];\n"
                      "  v0 [shape=ellipse, fillcolor=\"#f7f7f7\", label=\"x\\nfloat32[3,4]\"];\n"
                      "  v1 [shape=cylinder, fillcolor=\"#ece2f0\", label=\"w\\nfloat32[5,4] tp:shard(0)\"];\n"
                      "  v3 [shape=ellipse, fillcolor=\"#f7f7f7\", label=\"d(y)\\nfloat32[3,5]\"];\n"
                      "  n0 [shape=box, fillcolor=\"#c6dbef\", label=\"matmul\\na \\\"name\\\"\\nfloat32[3,5]\"];\n"
                      "  n1 [shape=box, fillcolor=\"#fdd0a2\", label=\"matmul\\n%4\\nfloat32[5,4] tp:shard(0)\"];\n"
                      "  v0 -> n0 [tooltip=\"x\\nfloat32[3,4]\"];\n"
                      "  v1 -> n0 [tooltip=\"w\\nfloat32[5,4] tp:shard(0)\"];\n"
                      "  v3 -> n1 [tooltip=\"d(y)\\nfloat32[3,5]\"];\n"
                      "  v0 -> n1 [tooltip=\"x\\nfloat32[3,4]\"];\n"
                      "  o0 [shape=ellipse, fillcolor=\"#c7e9c0\", label=\"y\"];\n"
                      "  n0 -> o0;\n"
                      "  o1 [shape=ellipse, fillcolor=\"#c7e9c0\", label=\"d(w)\"];\n"
                      "  n1 -> o1;\n"
                      "}\n");
  titan_text_destroy(&text);
  titan_graph_destroy(&graph);
}

static void values_are_found_by_name_and_results_first(void **state) {
  (void)state;
  titan_graph *graph;
  titan_value x, y;
  TRY(titan_graph_create("names", &graph));
  assert_string_equal(titan_graph_name(graph), "names");
  TRY(titan_graph_input(graph, "x", matrix(2, 2), false, &x));
  TRY(titan_graph_unary(graph, TITAN_OP_silu, x, &y));
  TRY(titan_graph_output_add(graph, "y", y));
  assert_int_equal(titan_graph_find(graph, "x"), x);
  assert_int_equal(titan_graph_find(graph, "y"), y);
  assert_int_equal(titan_graph_find(graph, "z"), TITAN_NO_VALUE);
  titan_graph_destroy(&graph);
  assert_null(graph);
  titan_graph_destroy(&graph); // NULL is fine
}

static void what_depends_on_a_parameter_wants_a_gradient(void **state) {
  (void)state;
  titan_graph *graph;
  titan_value constant, x, w, from_constant, from_x, from_w;
  TRY(titan_graph_create("wants", &graph));
  TRY(titan_graph_input(graph, "constant", matrix(2, 2), false, &constant));
  TRY(titan_graph_input(graph, "x", matrix(2, 2), true, &x));
  TRY(titan_graph_parameter(graph, "w", matrix(2, 2), &w));
  TRY(titan_graph_unary(graph, TITAN_OP_silu, constant, &from_constant));
  TRY(titan_graph_binary(graph, TITAN_OP_add, from_constant, x, &from_x));
  TRY(titan_graph_binary(graph, TITAN_OP_mul, from_constant, w, &from_w));
  assert_false(titan_graph_wants_gradient(graph, constant));
  assert_false(titan_graph_wants_gradient(graph, from_constant));
  assert_true(titan_graph_wants_gradient(graph, x) && titan_graph_wants_gradient(graph, from_x));
  assert_true(titan_graph_wants_gradient(graph, w) && titan_graph_wants_gradient(graph, from_w));
  titan_graph_destroy(&graph);
}

// A refused node leaves the graph as it was.
static void a_refused_operation_is_not_part_of_the_graph(void **state) {
  (void)state;
  titan_graph *graph;
  titan_value a, b, y;
  titan_text before = {0}, after = {0};
  TRY(titan_graph_create("refused", &graph));
  TRY(titan_graph_input(graph, "a", matrix(2, 3), false, &a));
  TRY(titan_graph_input(graph, "b", matrix(3, 2), false, &b));
  TRY(titan_graph_print(graph, &before));
  assert_int_equal(titan_graph_binary(graph, TITAN_OP_add, a, b, &y), TITAN_ERROR_INTERNAL);
  assert_non_null(strstr(titan_error_message(), "add(float32[2,3], float32[3,2])"));
  assert_int_equal(titan_graph_binary(graph, TITAN_OP_add, a, TITAN_NO_VALUE, &y), TITAN_ERROR_INTERNAL);
  assert_int_equal(titan_graph_binary(graph, TITAN_OP_add, a, 100, &y), TITAN_ERROR_INTERNAL);
  assert_int_equal(titan_graph_node_count(graph), 0);
  assert_int_equal(titan_graph_value_count(graph), 2);
  TRY(titan_graph_print(graph, &after));
  assert_string_equal(before.data, after.data);
  titan_text_destroy(&before);
  titan_text_destroy(&after);
  titan_graph_destroy(&graph);
}

// Gradients, checkpoints and wiring go by name, so names of inputs and parameters are unique.
static void a_name_is_given_to_one_input_or_parameter_only(void **state) {
  (void)state;
  titan_graph *graph;
  titan_value value;
  TRY(titan_graph_create("twice", &graph));
  TRY(titan_graph_parameter(graph, "w", matrix(2, 3), &value));
  assert_int_equal(titan_graph_parameter(graph, "w", matrix(2, 3), &value), TITAN_ERROR_INTERNAL);
  assert_non_null(strstr(titan_error_message(), "w"));
  assert_int_equal(titan_graph_input(graph, "w", matrix(2, 3), false, &value), TITAN_ERROR_INTERNAL);
  // a name that would be cut could become another's
  char longest[2 * TITAN_NAME_BYTES];
  memset(longest, 'a', sizeof longest);
  longest[sizeof longest - 1] = '\0';
  assert_int_equal(titan_graph_parameter(graph, longest, matrix(2, 3), &value), TITAN_ERROR_INTERNAL);
  titan_graph_destroy(&graph);
}

static void graphs_grow_to_any_size(void **state) {
  (void)state;
  titan_graph *graph;
  titan_value x;
  TRY(titan_graph_create("long", &graph));
  TRY(titan_graph_input(graph, "x", matrix(2, 2), true, &x));
  for (int i = 0; i < 3000; i++)
    TRY(titan_graph_unary(graph, TITAN_OP_silu, x, &x));
  TRY(titan_graph_output_add(graph, "y", x));
  TRY(titan_graph_differentiate(graph, x));
  assert_int_equal(titan_graph_node_count(graph), 6000);
  for (int i = 0; i < 3000; i++)
    assert_int_equal(titan_graph_node(graph, i)->call.kind, TITAN_OP_silu);
  titan_graph_destroy(&graph);
}

// Marks the bytes of all members; what stays unmarked lies between members.
static void mark_members(bool *marks) {
#define MARK(member)                                                                                                   \
  memset(marks + offsetof(titan_op_attributes, member), true, sizeof((titan_op_attributes *)0)->member)
  MARK(matmul.transpose_a), MARK(matmul.transpose_b), MARK(matmul.output);
  MARK(norm.epsilon), MARK(norm.fused);
  MARK(rope.theta), MARK(rope.length), MARK(rope.head_size), MARK(rope.first_position), MARK(rope.inverse);
  MARK(rope.scaling.factor), MARK(rope.scaling.low), MARK(rope.scaling.high), MARK(rope.scaling.original_length);
  MARK(heads.batch), MARK(heads.length), MARK(heads.heads), MARK(heads.kv_heads), MARK(heads.head_size);
  MARK(heads.qkv.dtype), MARK(heads.qkv.rank), MARK(heads.qkv.dims);
  MARK(cross_entropy.output), MARK(cross_entropy.first), MARK(cross_entropy.columns);
  MARK(embedding.vocabulary), MARK(embedding.first), MARK(embedding.shard);
  MARK(collective.dimension), MARK(collective.ranks), MARK(collective.rank), MARK(collective.maximum);
  MARK(reshape.type.dtype), MARK(reshape.type.rank), MARK(reshape.type.dims);
  MARK(slice.begin), MARK(slice.count);
  for (int i = 0; i < TITAN_MAX_OUTPUTS; i++) {
    MARK(products[i].gathered_is_b), MARK(products[i].transpose_a), MARK(products[i].transpose_b);
    MARK(products[i].output);
  }
#undef MARK
}

// A new attribute fails this test until the comparison, and the list above, have it.
static void calls_are_the_same_by_every_member_and_no_byte_between_members(void **state) {
  (void)state;
  bool marks[sizeof(titan_op_attributes)] = {false};
  titan_op_call a = {.kind = TITAN_OP_rope, .input_count = 2}, b;
  a.attributes.heads.qkv.rank = a.attributes.reshape.type.rank = TITAN_MAX_RANK; // every dimension counts
  memcpy(&b, &a, sizeof b);
  mark_members(marks);
  assert_true(titan_graph_computes_same(&a, &b));
  unsigned char *bytes = (unsigned char *)&b.attributes;
  for (size_t i = 0; i < sizeof b.attributes; i++) {
    bytes[i] ^= 1;
    if (titan_graph_computes_same(&a, &b) == marks[i])
      fail_msg("byte %zu of %zu, %s: the comparison takes it otherwise", i, sizeof b.attributes,
               marks[i] ? "of a member" : "between members");
    bytes[i] ^= 1;
  }
  b.input_count = 1;
  assert_false(titan_graph_computes_same(&a, &b));
  b.input_count = a.input_count;
  b.kind = TITAN_OP_silu;
  assert_false(titan_graph_computes_same(&a, &b));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_text_of_a_graph_shows_every_value_with_its_type),
      cmocka_unit_test(the_drawing_of_a_graph_has_every_value_and_operation),
      cmocka_unit_test(values_are_found_by_name_and_results_first),
      cmocka_unit_test(what_depends_on_a_parameter_wants_a_gradient),
      cmocka_unit_test(a_refused_operation_is_not_part_of_the_graph),
      cmocka_unit_test(a_name_is_given_to_one_input_or_parameter_only),
      cmocka_unit_test(graphs_grow_to_any_size),
      cmocka_unit_test(calls_are_the_same_by_every_member_and_no_byte_between_members),
  };
  int failures = cmocka_run_group_tests(tests, NULL, NULL);
  return failures != 0 || titan_memory_report_leaks() != 0;
}
