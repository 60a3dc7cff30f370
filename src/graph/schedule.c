// SPDX-License-Identifier: Apache-2.0
#include "base/memory.h"
#include "graph/plan_private.h"

#include <string.h>

typedef struct scheduler {
  const titan_graph *graph;
  bool merge;
  bool *done; // by node
  titan_schedule *schedule;
} scheduler;

// Runs what a node needs, then the node: depth first, so that producers come as late as possible.
static void demand(scheduler *s, int index) {
  if (s->done[index])
    return;
  s->done[index] = true;
  const titan_node *node = titan_graph_node(s->graph, index);
  for (int i = 0; i < node->call.input_count; i++) {
    int producer = titan_graph_value(s->graph, node->inputs[i])->producer;
    if (producer >= 0)
      demand(s, producer);
  }
  titan_phase phase = s->merge ? TITAN_FORWARD : node->phase;
  s->schedule->nodes[phase][s->schedule->counts[phase]++] = index;
}

// Nodes that some output depends on.
static void mark_wanted(const titan_graph *graph, int index, bool *wanted) {
  if (index < 0 || wanted[index])
    return;
  wanted[index] = true;
  const titan_node *node = titan_graph_node(graph, index);
  for (int i = 0; i < node->call.input_count; i++)
    mark_wanted(graph, titan_graph_value(graph, node->inputs[i])->producer, wanted);
}

titan_status titan_schedule_create(const titan_graph *graph, bool merge_phases, titan_schedule *out) {
  titan_status status = TITAN_OK;
  int count = titan_graph_node_count(graph);
  bool *wanted = NULL, *done = NULL;
  *out = (titan_schedule){0};
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, (size_t)count + 1, sizeof *wanted, &wanted));
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, (size_t)count + 1, sizeof *done, &done));
  for (int phase = 0; phase < TITAN_PHASES; phase++)
    TITAN_TRY_CLEANUP(
        titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, (size_t)count + 1, sizeof(int), &out->nodes[phase]));
  for (int i = 0; i < titan_graph_output_count(graph); i++)
    mark_wanted(graph, titan_graph_value(graph, titan_graph_output_at(graph, i)->value)->producer, wanted);
  scheduler s = {graph, merge_phases, done, out};
  // Merged, the backward pulls in the forward; else the forward runs in the order in which it was written.
  for (int pass = 0; pass < TITAN_PHASES; pass++) {
    titan_phase phase = merge_phases ? (titan_phase)(TITAN_PHASES - 1 - pass) : (titan_phase)pass;
    for (int i = 0; i < count; i++)
      if (wanted[i] && titan_graph_node(graph, i)->phase == phase)
        demand(&s, i);
  }
cleanup:
  titan_memory_free(wanted);
  titan_memory_free(done);
  return status;
}

void titan_schedule_destroy(titan_schedule *schedule) {
  for (int phase = 0; phase < TITAN_PHASES; phase++)
    titan_memory_free(schedule->nodes[phase]);
  *schedule = (titan_schedule){0};
}
