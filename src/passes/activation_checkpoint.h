// SPDX-License-Identifier: Apache-2.0
// Activation checkpointing as a pass over a differentiated graph: of what the backward reads of the forward, some is
// kept and the rest computed again, by clones of its producers in the backward. A clone is the same operation on the
// same bits, so no number changes. Chen et al., "Training deep nets with sublinear memory cost" (2016); for `op`,
// Korthikanti et al., "Reducing activation recomputation in large transformer models" (2022).
#ifndef TITAN_PASSES_ACTIVATION_CHECKPOINT_H
#define TITAN_PASSES_ACTIVATION_CHECKPOINT_H

#include "graph/graph.h"

typedef enum titan_keep {
  TITAN_KEEP_ALL,
  // All but what one pass over memory gives again from what is kept anyway (norms, SwiGLU): part of training.compile.
  TITAN_KEEP_ALL_BUT_STREAMING,
  // Attention, reduce-scattered sums, every second matrix product; of products that the compile pass has joined, those
  // of which this is more than half.
  TITAN_KEEP_OPERATIONS,
  TITAN_KEEP_NOTHING, // the graph's inputs only
} titan_keep;

// Whether the outputs of each forward node are kept where the backward wants them, into keep[titan_graph_node_count].
// Of a kept add_rms_norm it is the sum that is kept; the norm takes one pass over it. Gathered rows are never kept:
// they are gathered again from the shard.
void titan_activation_keep(const titan_graph *graph, titan_keep policy, bool *keep);

// Appends the clones and wires the backward to them. Nothing is computed again that the backward does not need.
titan_status titan_activation_checkpoint_apply(titan_graph *graph, const bool *keep);

// Matrix products, attention and collectives; all else passes over memory once.
bool titan_activation_is_expensive(titan_op_kind kind);

#endif
