// SPDX-License-Identifier: Apache-2.0
// Asynchronous tensor parallelism, as a pass: the transfers before and after products are cut into the ranks' chunks
// and go on while other chunks are multiplied. Wang et al., "Overlap communication with dependent computation via
// decomposition in large deep learning models" (2023).
//
//   all_gather -> products that read it          one gather_matmul: the rows are transferred once for all of them
//   matmul -> [reshape] -> reduce_scatter        one matmul_scatter
//
// A gathered value that anything else reads, slices of the head say, stays as it is.
#ifndef TITAN_PASSES_ASYNC_TENSOR_H
#define TITAN_PASSES_ASYNC_TENSOR_H

#include "graph/graph.h"

// The last pass: after differentiation and fusion, on graphs of either phase or both.
titan_status titan_async_tensor_apply(titan_graph *graph);

#endif
