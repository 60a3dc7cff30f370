// SPDX-License-Identifier: Apache-2.0
// Random small graphs with everything that models use: products in every transposed form and with a third input, values
// and parameters that are used several times, sums, gates, norms, rotary positions, attention, slices that cover a
// value, views, an embedding, and cross-entropies of all that would otherwise be left over, summed into one loss.
#ifndef TITAN_TESTS_GRAPH_RANDOM_GRAPH_H
#define TITAN_TESTS_GRAPH_RANDOM_GRAPH_H

#include "graph/graph.h"
#include "graph_test.h"

enum { RANDOM_GRAPH_VOCABULARY = 16 };

typedef struct random_graph_options {
  titan_dtype dtype;
  int steps;        // operations or groups of operations
  bool fused_norms; // rms_norm rounds once, which makes it smooth
  int results;      // intermediate values that become outputs beside the loss
  bool differentiate;
} random_graph_options;

// A graph whose output "loss" is a float32 scalar; int32 inputs are to hold 0 .. RANDOM_GRAPH_VOCABULARY-1.
titan_graph *random_graph_create(random_source *random, const random_graph_options *options);

#endif
