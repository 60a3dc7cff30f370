// SPDX-License-Identifier: Apache-2.0
// The choices a block has between memory and computing: for each set of nodes whose outputs are kept, the bytes it
// saves and what the backward computes again. A small knapsack: a block has some twenty nodes, so all sets of those
// that matter are tried, and those kept that no other set beats in both, beside the sets of the other modes. After Jain
// et al., "Checkmate: breaking the memory wall with optimal tensor rematerialization" (2020), which solves the same
// problem as an integer program.
#ifndef TITAN_PASSES_ACTIVATION_BUDGET_H
#define TITAN_PASSES_ACTIVATION_BUDGET_H

#include "graph/graph.h"

typedef struct titan_activation_choice {
  uint32_t set;       // bit i: the outputs of decisions[i] are kept
  size_t saved_bytes; // of values that the backward reads
  double cost;        // of what is computed again: floating-point operations, and bytes times ten
} titan_activation_choice;

enum { TITAN_ACTIVATION_DECISIONS = 16 };

typedef struct titan_activation_choices {
  int decisions[TITAN_ACTIVATION_DECISIONS]; // nodes
  int decision_count;
  titan_activation_choice *choices; // owned; from the most bytes and no cost to the fewest bytes
  int count;
} titan_activation_choices;

// graph: differentiated, nothing recomputed yet.
titan_status titan_activation_choices_create(const titan_graph *graph, titan_activation_choices *out);
void titan_activation_choices_destroy(titan_activation_choices *choices);

// A choice for titan_activation_checkpoint_apply: keep[titan_graph_node_count(graph)].
void titan_activation_choice_keep(const titan_activation_choices *choices, int choice, const titan_graph *graph,
                                  bool *keep);

#endif
