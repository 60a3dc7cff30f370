// SPDX-License-Identifier: Apache-2.0
// Property: a graph with fused operations has the loss and the gradients of the graph with the operations that they
// stand for, also where a gradient reaches a value on several ways and where two values share one. Oracle: the unfused
// graph, on the same numbers, packed by hand. Tolerance: 1e-5 of an output's largest element (float32; sums are taken
// in another order). The planned run is compared bit by bit with each value in its own memory.
#include "graph_test.h"
#include "run.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { BATCH = 2, LENGTH = 3, ROWS = BATCH * LENGTH, HEADS = 2, KV_HEADS = 1, SIZE = 16, DIM = HEADS * SIZE };
enum { KV_DIM = KV_HEADS * SIZE, QKV_DIM = DIM + 2 * KV_DIM, VOCABULARY = 8 };

static titan_device *cpu;

static titan_value input(titan_graph *graph, const char *name, int rank, const int64_t *dims) {
  titan_value value;
  titan_tensor_type type = {TITAN_FLOAT32, rank, {0}};
  memcpy(type.dims, dims, (size_t)rank * sizeof *dims);
  TRY(titan_graph_input(graph, name, type, true, &value));
  return value;
}

static titan_value rows_of(titan_graph *graph, const char *name, int64_t columns) {
  return input(graph, name, 2, (int64_t[]){ROWS, columns});
}

static titan_value heads_of(titan_graph *graph, const char *name, int64_t heads) {
  return input(graph, name, 4, (int64_t[]){BATCH, LENGTH, heads, SIZE});
}

static titan_value binary(titan_graph *graph, titan_op_kind kind, titan_value a, titan_value b) {
  titan_value y;
  TRY(titan_graph_binary(graph, kind, a, b, &y));
  return y;
}

static titan_value weight(titan_graph *graph) {
  titan_value value;
  TRY(titan_graph_parameter(graph, "w", (titan_tensor_type){TITAN_FLOAT32, 1, {DIM}}, &value));
  return value;
}

// The parts of one graph: q, k, v rotated; the gated values; the normalised sum and the sum.
typedef struct parts {
  titan_value q, k, v, hidden, normed, sum;
} parts;

static const titan_op_attributes norm = {.norm = {1e-5f, true}};

static parts unfused(titan_graph *graph, titan_value x, titan_value r, titan_value table) {
  parts p;
  titan_value outputs[TITAN_MAX_OUTPUTS], gate;
  p.q = binary(graph, TITAN_OP_rope, heads_of(graph, "q", HEADS), table);
  p.k = binary(graph, TITAN_OP_rope, heads_of(graph, "k", KV_HEADS), table);
  p.v = heads_of(graph, "v", KV_HEADS);
  TRY(titan_graph_unary(graph, TITAN_OP_silu, rows_of(graph, "gate", DIM), &gate));
  p.hidden = binary(graph, TITAN_OP_mul, gate, rows_of(graph, "up", DIM));
  p.sum = binary(graph, TITAN_OP_add, x, r);
  TRY(titan_graph_apply(graph, TITAN_OP_rms_norm, &norm, 2, (titan_value[]){p.sum, weight(graph)}, outputs));
  p.normed = outputs[0];
  return p;
}

static parts fused(titan_graph *graph, titan_value x, titan_value r, titan_value table) {
  parts p;
  titan_value outputs[TITAN_MAX_OUTPUTS];
  titan_op_attributes heads = {
      .heads = {.batch = BATCH, .length = LENGTH, .heads = HEADS, .kv_heads = KV_HEADS, .head_size = SIZE}};
  titan_value qkv[] = {rows_of(graph, "qkv", QKV_DIM), table}, terms[] = {x, r, weight(graph)};
  TRY(titan_graph_apply(graph, TITAN_OP_split_heads, &heads, 2, qkv, outputs));
  p.q = outputs[0], p.k = outputs[1], p.v = outputs[2];
  TRY(titan_graph_unary(graph, TITAN_OP_swiglu, rows_of(graph, "gate_up", 2 * DIM), &p.hidden));
  TRY(titan_graph_apply(graph, TITAN_OP_add_rms_norm, &norm, 3, terms, outputs));
  p.normed = outputs[0], p.sum = outputs[2];
  return p;
}

// loss of (attention + norm) * hidden [+ sum] + x m: the norm's input gets a gradient from the sum too, and x another
// one than r. The product comes last in the forward, so that its gradient of x is the older and is added to.
static titan_graph *create(parts (*build)(titan_graph *, titan_value, titan_value, titan_value), bool uses_sum) {
  titan_graph *graph;
  titan_value table, o[TITAN_MAX_OUTPUTS], flat, m, head, labels, logits, loss[TITAN_MAX_OUTPUTS], more;
  TRY(titan_graph_create("fused", &graph));
  titan_value x = rows_of(graph, "x", DIM), r = rows_of(graph, "r", DIM);
  titan_op_attributes angles = {.rope = {.theta = 100, .length = LENGTH, .head_size = SIZE}};
  TRY(titan_graph_apply(graph, TITAN_OP_rope_table, &angles, 0, NULL, &table));
  parts p = build(graph, x, r, table);
  TRY(titan_graph_apply(graph, TITAN_OP_attention, NULL, 3, (titan_value[]){p.q, p.k, p.v}, o));
  TRY(titan_graph_reshape(graph, o[0], 2, (int64_t[]){ROWS, DIM}, &flat));
  titan_value y = binary(graph, TITAN_OP_mul, binary(graph, TITAN_OP_add, flat, p.normed), p.hidden);
  if (uses_sum)
    y = binary(graph, TITAN_OP_add, y, p.sum);
  TRY(titan_graph_parameter(graph, "m", (titan_tensor_type){TITAN_FLOAT32, 2, {DIM, DIM}}, &m));
  TRY(titan_graph_matmul(graph, x, false, m, false, TITAN_FLOAT32, &more));
  y = binary(graph, TITAN_OP_add, y, more);
  TRY(titan_graph_parameter(graph, "head", (titan_tensor_type){TITAN_FLOAT32, 2, {VOCABULARY, DIM}}, &head));
  TRY(titan_graph_matmul(graph, y, false, head, true, TITAN_FLOAT32, &logits));
  TRY(titan_graph_input(graph, "labels", (titan_tensor_type){TITAN_INT32, 1, {ROWS}}, false, &labels));
  titan_op_attributes entropy = {.cross_entropy = {.output = TITAN_FLOAT32}};
  TRY(titan_graph_apply(graph, TITAN_OP_cross_entropy, &entropy, 2, (titan_value[]){logits, labels}, loss));
  TRY(titan_graph_output_add(graph, "loss", loss[0]));
  TRY(titan_graph_differentiate(graph, loss[0]));
  return graph;
}

static float *named(const value_bytes *bytes, const char *name) {
  titan_value value = titan_graph_find(bytes->graph, name);
  if (value == TITAN_NO_VALUE)
    fail_msg("the graph has no %s", name);
  return bytes->data[value];
}

static void copy_columns(float *to, int64_t to_width, const float *from, int64_t from_width) {
  for (int64_t row = 0; row < ROWS; row++)
    memcpy(to + row * to_width, from + row * from_width, (size_t)from_width * sizeof *to);
}

// What the fused graph holds under `name` from the unfused one's values.
static void pack(const value_bytes *apart, const char *name, float *to) {
  if (strcmp(name, "qkv") == 0 || strcmp(name, "d(qkv)") == 0) {
    copy_columns(to, QKV_DIM, named(apart, name[0] == 'd' ? "d(q)" : "q"), DIM);
    copy_columns(to + DIM, QKV_DIM, named(apart, name[0] == 'd' ? "d(k)" : "k"), KV_DIM);
    copy_columns(to + DIM + KV_DIM, QKV_DIM, named(apart, name[0] == 'd' ? "d(v)" : "v"), KV_DIM);
  } else if (strcmp(name, "gate_up") == 0 || strcmp(name, "d(gate_up)") == 0) {
    copy_columns(to, 2 * DIM, named(apart, name[0] == 'd' ? "d(gate)" : "gate"), DIM);
    copy_columns(to + DIM, 2 * DIM, named(apart, name[0] == 'd' ? "d(up)" : "up"), DIM);
  } else {
    titan_value value = titan_graph_find(apart->graph, name);
    memcpy(to, named(apart, name), titan_tensor_bytes(&titan_graph_value(apart->graph, value)->type));
  }
}

static void expect_near(const char *name, const float *got, const float *expected, int64_t count) {
  double largest = 0, worst = 0;
  for (int64_t i = 0; i < count; i++) {
    double error = fabs((double)got[i] - (double)expected[i]);
    largest = fmax(largest, fabs((double)expected[i]));
    worst = error > worst || isnan(error) ? error : worst;
  }
  if (!(worst <= 1e-5 * largest) || largest == 0)
    fail_msg("%s: off by %g, largest element %g", name, worst, largest);
}

static void compare(bool uses_sum) {
  float packed[ROWS * QKV_DIM + DIM * DIM];
  random_source random = {uses_sum};
  titan_graph *apart_graph = create(unfused, uses_sum), *graph = create(fused, uses_sum);
  value_bytes apart = value_bytes_create(apart_graph, &random, VOCABULARY);
  value_bytes bytes = value_bytes_create(graph, &random, VOCABULARY);
  for (int v = 0; v < titan_graph_value_count(graph); v++)
    if (titan_graph_value(graph, v)->producer < 0)
      pack(&apart, titan_graph_value(graph, v)->name, bytes.data[v]);
  run_directly(cpu, &apart);
  run_directly(cpu, &bytes);
  assert_int_equal(titan_graph_output_count(graph), 1 + 4 + 3);
  for (int i = 0; i < titan_graph_output_count(graph); i++) {
    const titan_graph_output *output = titan_graph_output_at(graph, i);
    pack(&apart, output->name, packed);
    expect_near(output->name, bytes.data[output->value], packed,
                titan_tensor_elements(&titan_graph_value(graph, output->value)->type));
  }
  for (int merged = 0; merged < 2; merged++) {
    titan_executable *executable;
    TRY(titan_executable_create(cpu, graph, merged, &executable));
    TRY(titan_executable_prepare(executable));
    check_plan(executable, &bytes, 2);
    titan_executable_destroy(&executable);
  }
  value_bytes_destroy(&apart);
  value_bytes_destroy(&bytes);
  titan_graph_destroy(&apart_graph);
  titan_graph_destroy(&graph);
}

static void fused_operations_give_the_gradients_of_their_parts(void **state) {
  (void)state;
  compare(true);
}

// Nothing but the norm uses the sum: no gradient is carried past it.
static void a_norm_whose_sum_is_not_used_carries_no_gradient(void **state) {
  (void)state;
  compare(false);
}

// q alone would leave the gradients of k and v to nobody.
static void heads_of_which_only_the_first_part_is_used_are_an_error(void **state) {
  (void)state;
  titan_graph *graph;
  titan_value table, outputs[TITAN_MAX_OUTPUTS];
  TRY(titan_graph_create("q alone", &graph));
  titan_op_attributes angles = {.rope = {.theta = 100, .length = LENGTH, .head_size = SIZE}};
  titan_op_attributes heads = {
      .heads = {.batch = BATCH, .length = LENGTH, .heads = HEADS, .kv_heads = KV_HEADS, .head_size = SIZE}};
  TRY(titan_graph_apply(graph, TITAN_OP_rope_table, &angles, 0, NULL, &table));
  titan_value inputs[] = {rows_of(graph, "qkv", QKV_DIM), table};
  TRY(titan_graph_apply(graph, TITAN_OP_split_heads, &heads, 2, inputs, outputs));
  assert_int_equal(titan_graph_differentiate(graph, outputs[0]), TITAN_ERROR_INTERNAL);
  assert_non_null(strstr(titan_error_message(), "split_heads"));
  titan_graph_destroy(&graph);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(fused_operations_give_the_gradients_of_their_parts),
      cmocka_unit_test(a_norm_whose_sum_is_not_used_carries_no_gradient),
      cmocka_unit_test(heads_of_which_only_the_first_part_is_used_are_an_error),
  };
  if (titan_device_create_cpu(1, &cpu) != TITAN_OK) {
    fprintf(stderr, "%s\n", titan_error_message());
    return 1;
  }
  int failures = cmocka_run_group_tests(tests, NULL, NULL);
  titan_device_destroy(&cpu);
  return failures != 0 || titan_memory_report_leaks() != 0;
}
