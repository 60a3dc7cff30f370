// SPDX-License-Identifier: Apache-2.0
// Calls of operations, for the benchmarks of kernels.
#ifndef TITAN_BENCHMARKS_CALLS_H
#define TITAN_BENCHMARKS_CALLS_H

#include "graph/op.h"

static inline titan_tensor_type tensor(titan_dtype dtype, int rank, int64_t d0, int64_t d1, int64_t d2, int64_t d3) {
  return (titan_tensor_type){dtype, rank, {d0, d1, d2, d3}};
}

// op(a)[m,k] op(b)[k,n]; ta, tb: transposed.
static inline titan_op_call product(titan_dtype input, titan_dtype output, int64_t m, int64_t n, int64_t k, bool ta,
                                    bool tb) {
  titan_op_call call = {.kind = TITAN_OP_matmul, .attributes = {.matmul = {ta, tb, output}}, .input_count = 2};
  call.inputs[0] = ta ? tensor(input, 2, k, m, 0, 0) : tensor(input, 2, m, k, 0, 0);
  call.inputs[1] = tb ? tensor(input, 2, n, k, 0, 0) : tensor(input, 2, k, n, 0, 0);
  return call;
}

#endif
