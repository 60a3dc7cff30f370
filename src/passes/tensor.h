// SPDX-License-Identifier: Apache-2.0
// Tensor parallelism with sequence parallelism, as a pass: takes a part's graph in logical shapes and gives the graph
// that one rank of the tp group runs. Shoeybi et al., "Megatron-LM" (2019); Korthikanti et al., "Reducing activation
// recomputation in large transformer models" (2022).
//
// The pass knows operations, not models. A value is whole, a shard of its rows (all leading dimensions together, what
// comes between blocks), or a shard of its columns (heads, hidden units, vocabulary):
//   matmul of rows         the rows are gathered once for all products that read them, the weight is cut by its outputs
//   -> columns matmul of columns      the weight is cut by its inputs, partial sums are reduce-scattered -> rows
//   embedding              the table is cut by its rows, partial sums are reduce-scattered -> rows
//   norms, sums            as they are, on what they get
//   rope, attention        on columns: each rank its heads
//   cross-entropy          on columns: one maximum and one sum over the ranks (loss parallel), or gathered columns
// A weight whose cut dimension the ranks do not divide is padded in the shard.
#ifndef TITAN_PASSES_TENSOR_H
#define TITAN_PASSES_TENSOR_H

#include "graph/graph.h"

typedef struct titan_tensor_options {
  int ranks, rank; // of the tp group
  bool loss_parallel;
} titan_tensor_options;

// `logical`: forward only. *out: a new graph with the same names of inputs, parameters and results.
// TITAN_ERROR_INTERNAL for an operation in a layout that no rule covers, and for sizes that the ranks do not divide.
titan_status titan_tensor_parallel_apply(const titan_graph *logical, const titan_tensor_options *options,
                                         titan_graph **out);

// Whether every rank has a token of a vocabulary that is cut in equal parts, rounded up: loss parallel needs that.
bool titan_tensor_vocabulary_reaches(int64_t vocabulary, int ranks);

// To be called after differentiation: gradients of parameters that every rank holds whole are summed over the ranks,
// and gathered rows that the backward wants are gathered again there, so that only the shard is kept (not where
// `merged`: the plan of both phases in one keeps them for a moment only).
titan_status titan_tensor_parallel_finish(titan_graph *graph, const titan_tensor_options *options, bool merged);

#endif
