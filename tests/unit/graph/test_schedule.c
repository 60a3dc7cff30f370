// SPDX-License-Identifier: Apache-2.0
// Property: a schedule runs each node that an output depends on once, after what it needs, and no other; phases that
// are merged keep one chunk of a head's logits alive at a time. Oracle: the graph itself. Tolerance: none.
#include "graph/plan_private.h"
#include "graph_test.h"
#include "model/linear_cross_entropy.h"
#include "random_graph.h"

#include <stdio.h>
#include <string.h>

// Marks what value needs, over and over until nothing new comes: no recursion, unlike the scheduler.
static void mark_needed(const titan_graph *graph, bool *needed) {
  for (int i = 0; i < titan_graph_output_count(graph); i++) {
    int producer = titan_graph_value(graph, titan_graph_output_at(graph, i)->value)->producer;
    if (producer >= 0)
      needed[producer] = true;
  }
  for (bool again = true; again;) {
    again = false;
    for (int n = 0; n < titan_graph_node_count(graph); n++) {
      const titan_node *node = titan_graph_node(graph, n);
      for (int i = 0; needed[n] && i < node->call.input_count; i++) {
        int producer = titan_graph_value(graph, node->inputs[i])->producer;
        again |= producer >= 0 && !needed[producer];
        if (producer >= 0)
          needed[producer] = true;
      }
    }
  }
}

static void check_schedule(const titan_graph *graph, bool merged) {
  enum { MOST = 2000 };
  bool needed[MOST] = {false}, done[MOST] = {false};
  assert_true(titan_graph_node_count(graph) <= MOST);
  mark_needed(graph, needed);
  titan_schedule schedule;
  TRY(titan_schedule_create(graph, merged, &schedule));
  for (int phase = 0; phase < TITAN_PHASES; phase++)
    for (int i = 0; i < schedule.counts[phase]; i++) {
      int n = schedule.nodes[phase][i];
      const titan_node *node = titan_graph_node(graph, n);
      assert_false(done[n]);
      assert_int_equal(phase, merged ? TITAN_FORWARD : (int)node->phase);
      for (int k = 0; k < node->call.input_count; k++) {
        int producer = titan_graph_value(graph, node->inputs[k])->producer;
        assert_true(producer < 0 || done[producer]);
      }
      done[n] = true;
    }
  assert_memory_equal(done, needed, sizeof done);
  titan_schedule_destroy(&schedule);
}

static void producers_come_before_consumers_and_only_what_is_wanted_runs(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 200; seed++) {
    random_source random = {seed};
    random_graph_options options = {.dtype = TITAN_FLOAT32,
                                    .steps = 1 + (int)(seed % 25),
                                    .results = (int)(seed % 3),
                                    .differentiate = seed % 3 != 0};
    titan_graph *graph = random_graph_create(&random, &options);
    check_schedule(graph, false);
    check_schedule(graph, true);
    titan_graph_destroy(&graph);
  }
}

static void dead_nodes_are_left_out(void **state) {
  (void)state;
  titan_graph *graph;
  titan_value x, y, unused;
  TRY(titan_graph_create("dead", &graph));
  TRY(titan_graph_input(graph, "x", (titan_tensor_type){TITAN_FLOAT32, 2, {4, 4}}, false, &x));
  TRY(titan_graph_unary(graph, TITAN_OP_silu, x, &unused));
  TRY(titan_graph_unary(graph, TITAN_OP_silu, x, &y));
  TRY(titan_graph_binary(graph, TITAN_OP_add, unused, y, &unused));
  TRY(titan_graph_output_add(graph, "y", y));
  titan_schedule schedule;
  TRY(titan_schedule_create(graph, false, &schedule));
  assert_int_equal(schedule.counts[TITAN_FORWARD], 1);
  assert_int_equal(schedule.nodes[TITAN_FORWARD][0], 1);
  assert_int_equal(schedule.counts[TITAN_BACKWARD], 0);
  titan_schedule_destroy(&schedule);
  titan_graph_destroy(&graph);
}

// Apart, the forward keeps the order in which it was written.
static void the_forward_runs_in_the_order_in_which_it_was_written(void **state) {
  (void)state;
  random_source random = {5};
  random_graph_options options = {.dtype = TITAN_FLOAT32, .steps = 20, .differentiate = true};
  titan_graph *graph = random_graph_create(&random, &options);
  titan_schedule schedule;
  TRY(titan_schedule_create(graph, false, &schedule));
  assert_true(schedule.counts[TITAN_FORWARD] > 10);
  for (int i = 1; i < schedule.counts[TITAN_FORWARD]; i++)
    assert_true(schedule.nodes[TITAN_FORWARD][i - 1] < schedule.nodes[TITAN_FORWARD][i]);
  titan_schedule_destroy(&schedule);
  titan_graph_destroy(&graph);
}

// --- a head in chunks ---

enum { ROWS = 2048, WIDTH = 64, VOCABULARY = 32768, CHUNKS = 8 };

static titan_graph *head(titan_dtype dtype) {
  titan_graph *graph;
  titan_value x, w, labels, loss;
  TRY(titan_graph_create("head", &graph));
  TRY(titan_graph_input(graph, "x", (titan_tensor_type){dtype, 3, {2, ROWS / 2, WIDTH}}, true, &x));
  TRY(titan_graph_input(graph, "labels", (titan_tensor_type){TITAN_INT32, 2, {2, ROWS / 2}}, false, &labels));
  TRY(titan_graph_parameter(graph, "w", (titan_tensor_type){dtype, 2, {VOCABULARY, WIDTH}}, &w));
  TRY(titan_linear_cross_entropy_build(graph, x, w, labels, 0, &loss));
  TRY(titan_graph_output_add(graph, "loss", loss));
  TRY(titan_graph_differentiate(graph, loss));
  return graph;
}

static bool is_logits(const titan_tensor_type *type) {
  return type->rank == 2 && type->dims[1] == VOCABULARY;
}

// The most logits, or gradients of logits, that are needed at any one time.
static int most_alive(const titan_plan *plan) {
  int most = 0;
  const titan_plan_phase *phase = &plan->phases[TITAN_FORWARD];
  for (int i = 0; i < phase->count; i++) {
    int alive = 0;
    for (int k = 0; k <= i; k++) {
      const titan_node *producer = phase->instructions[k].node;
      if (!is_logits(&producer->call.outputs[0]))
        continue;
      bool needed = k == i;
      for (int user = i; user < phase->count; user++)
        for (int input = 0; input < phase->instructions[user].node->call.input_count; input++)
          needed |= phase->instructions[user].node->inputs[input] == producer->outputs[0];
      alive += needed;
    }
    most = alive > most ? alive : most;
  }
  return most;
}

static void check_head(titan_dtype dtype, double chunks_of_scratch) {
  titan_graph *graph = head(dtype);
  titan_plan *merged, *apart;
  TRY(titan_plan_create(graph, &(titan_plan_options){.merge_phases = true}, &merged));
  TRY(titan_plan_create(graph, &(titan_plan_options){0}, &apart));
  int products = 0;
  for (int i = 0; i < merged->phases[TITAN_FORWARD].count; i++)
    products += is_logits(&merged->phases[TITAN_FORWARD].instructions[i].node->call.outputs[0]) &&
                merged->phases[TITAN_FORWARD].instructions[i].node->call.kind == TITAN_OP_matmul;
  assert_int_equal(products, CHUNKS);
  // a chunk's logits and, while they are made of them, their gradient
  assert_int_equal(most_alive(merged), 2);
  double chunk = (double)ROWS / CHUNKS * VOCABULARY * sizeof(float), rows = (double)ROWS * WIDTH * sizeof(float);
  double scratch = (double)merged->phases[TITAN_FORWARD].scratch_bytes;
  if (!(scratch <= chunks_of_scratch * chunk + 4 * rows))
    fail_msg("scratch of %.0f bytes is %.2f chunks of logits", scratch, scratch / chunk);
  assert_int_equal(merged->saved_bytes, 0);
  // the test can tell: apart, all the logits are kept
  assert_true((double)apart->saved_bytes >= CHUNKS * chunk);
  titan_plan_destroy(&merged);
  titan_plan_destroy(&apart);
  titan_graph_destroy(&graph);
}

// In float32 the gradient is written over the logits; in bfloat16 it is half as large beside them.
static void one_chunk_of_logits_is_alive_at_a_time(void **state) {
  (void)state;
  check_head(TITAN_FLOAT32, 1);
  check_head(TITAN_BFLOAT16, 1.5);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(producers_come_before_consumers_and_only_what_is_wanted_runs),
      cmocka_unit_test(dead_nodes_are_left_out),
      cmocka_unit_test(the_forward_runs_in_the_order_in_which_it_was_written),
      cmocka_unit_test(one_chunk_of_logits_is_alive_at_a_time),
  };
  int failures = cmocka_run_group_tests(tests, NULL, NULL);
  return failures != 0 || titan_memory_report_leaks() != 0;
}
