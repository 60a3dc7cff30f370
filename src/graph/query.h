// SPDX-License-Identifier: Apache-2.0
// What passes ask about a graph: who makes a value, who reads it, whether two nodes compute the same.
#ifndef TITAN_GRAPH_QUERY_H
#define TITAN_GRAPH_QUERY_H

#include "graph/graph.h"

// The node that makes the value; NULL for an input or a parameter.
const titan_node *titan_graph_producer(const titan_graph *graph, titan_value value);
// Whether the value is an output of the graph, of any kind.
bool titan_graph_is_output(const titan_graph *graph, titan_value value);
// Places that read the value: inputs of nodes, and outputs of the graph. `counted`: by node, which of them count; NULL:
// all of them.
int titan_graph_uses(const titan_graph *graph, titan_value value, const bool *counted);
// Whether two calls compute the same from the same inputs: kind, number of inputs, and each attribute.
bool titan_graph_computes_same(const titan_op_call *a, const titan_op_call *b);

#endif
