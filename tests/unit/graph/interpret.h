// SPDX-License-Identifier: Apache-2.0
// A graph computed in float64, node by node in the order in which they were made, each value in memory of its own, with
// the conformance tests' references.
#ifndef TITAN_TESTS_GRAPH_INTERPRET_H
#define TITAN_TESTS_GRAPH_INTERPRET_H

#include "graph/graph.h"

// values[v]: the elements of value v. Inputs and parameters are given; the rest is allocated with titan_memory_allocate
// and overwritten. `phase`: the last phase to compute.
void interpret(const titan_graph *graph, titan_phase phase, double **values);

// Allocates values[0 .. value_count), all zero; frees them.
double **interpret_allocate(const titan_graph *graph);
void interpret_free(const titan_graph *graph, double **values);

#endif
