// SPDX-License-Identifier: Apache-2.0
// The inside of a graph, for the files of this folder that build and rewrite graphs.
#ifndef TITAN_GRAPH_GRAPH_PRIVATE_H
#define TITAN_GRAPH_GRAPH_PRIVATE_H

#include "graph/graph.h"

struct titan_graph {
  char name[TITAN_NAME_BYTES];
  titan_phase phase; // of the nodes that are appended
  titan_value_info *values;
  int value_count, value_capacity;
  titan_node **nodes;
  int node_count, node_capacity;
  titan_graph_output *outputs;
  int output_count, output_capacity;
};

// Makes room for one more element in *(void **)array.
titan_status titan_graph_grow(void *array, int count, int *capacity, size_t size);
titan_status titan_graph_value_add(titan_graph *graph, const char *name, titan_tensor_type type, titan_value_role role,
                                   bool differentiable, int producer, titan_value *out);
titan_status titan_graph_gradient_output_add(titan_graph *graph, titan_output_kind kind, const char *name,
                                             titan_value value, titan_value of);

#endif
