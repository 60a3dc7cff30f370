// SPDX-License-Identifier: Apache-2.0
#include "base/memory.h"
#include "graph/graph_private.h"

// Marks the nodes of the backward that a value depends on.
static void mark(const titan_graph *graph, titan_value value, bool *needed) {
  int producer = graph->values[value].producer;
  if (producer < 0 || needed[producer] || graph->nodes[producer]->phase == TITAN_FORWARD)
    return;
  needed[producer] = true;
  const titan_node *node = graph->nodes[producer];
  for (int i = 0; i < node->call.input_count; i++)
    mark(graph, node->inputs[i], needed);
}

// Gradients of parameters that nodes of the backward give.
static titan_status copy_gradients(titan_graph *graph) {
  titan_graph_set_phase(graph, TITAN_WEIGHT_GRADIENTS);
  for (int i = 0; i < graph->output_count; i++) {
    titan_value value = graph->outputs[i].value, copy;
    int producer = graph->values[value].producer;
    if (graph->outputs[i].kind != TITAN_OUTPUT_PARAMETER_GRADIENT || producer < 0 ||
        graph->nodes[producer]->phase == TITAN_WEIGHT_GRADIENTS)
      continue;
    TITAN_TRY(titan_graph_unary(graph, TITAN_OP_copy, value, &copy));
    titan_graph_output_set_value(graph, i, copy);
  }
  return TITAN_OK;
}

titan_status titan_graph_split_backward(titan_graph *graph) {
  bool *needed;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, (size_t)graph->node_count + 1, sizeof *needed, &needed));
  for (int i = 0; i < graph->output_count; i++)
    if (graph->outputs[i].kind != TITAN_OUTPUT_PARAMETER_GRADIENT)
      mark(graph, graph->outputs[i].value, needed);
  for (int i = 0; i < graph->node_count; i++)
    if (graph->nodes[i]->phase == TITAN_BACKWARD && !needed[i])
      graph->nodes[i]->phase = TITAN_WEIGHT_GRADIENTS;
  titan_memory_free(needed);
  return copy_gradients(graph);
}
