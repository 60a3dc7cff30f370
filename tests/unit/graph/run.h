// SPDX-License-Identifier: Apache-2.0
// Two ways to run a graph on a device: directly, node by node, every value in memory of its own; and as an executable,
// its arenas poisoned and fenced.
#ifndef TITAN_TESTS_GRAPH_RUN_H
#define TITAN_TESTS_GRAPH_RUN_H

#include "device/executor.h"
#include "graph/graph.h"
#include "graph_test.h"

// The bytes of every value of a graph.
typedef struct value_bytes {
  const titan_graph *graph;
  void **data; // by value; views lie in what they view
  bool *owned;
} value_bytes;

// Memory for all values; inputs and parameters get random contents: integers 0 .. bound-1, else numbers of [-1, 1),
// small ones for weights.
value_bytes value_bytes_create(const titan_graph *graph, random_source *random, int bound);
void value_bytes_destroy(value_bytes *bytes);
// Runs every node, also those that nobody wants.
void run_directly(titan_device *device, value_bytes *bytes);

// Runs the plan with the same inputs and parameters `times` times, and fails where an output differs by one bit from
// what run_directly left, an arena is written beyond its end, or something that is only to be read is written. Scratch
// memory is filled with NaN before each phase, all that is written before the first. Where the gradients of weights are
// a phase of their own, all results and gradients of inputs must be there before it, and the memory of gradients and
// what was saved for the backward alone are filled with NaN.
void check_plan(titan_executable *executable, const value_bytes *expected, int times);

#endif
