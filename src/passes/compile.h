// SPDX-License-Identifier: Apache-2.0
// The compile pass: replaces patterns of operations by fused ones. Every rewrite is a row of a table (compile.c), and
// what they do is the same to float32 rounding.
//
// Before differentiation:
//   one product for q, k and v    attention(rope(x wq), rope(x wk), x wv) -> split_heads(x [wq wk wv]): one product,
//   whose
//                                 heads are rotated where they are laid out
//   SwiGLU                        silu(x w1) * (x w3) -> swiglu(x [w1 w3]): one product, one pass over memory
//   residual and norm             rms_norm(a + b) -> add_rms_norm(a, b)
//   sum as epilogue               a + x w -> one product that adds a
//   duplicates                    an operation with the inputs of an earlier one is that one
//   dead values                   what no output depends on is left out
// After it:
//   norm backward and sum         d + rms_norm_backward(..) -> rms_norm_backward(.., d)
// Weights are put together where they lie one after another in the unit's flat buffer, so nothing is copied. The
// output projection and cross-entropy in chunks, sums of gradients inside products, and writing over dying inputs are
// part of every plan, compiled or not.
#ifndef TITAN_PASSES_COMPILE_H
#define TITAN_PASSES_COMPILE_H

#include "graph/graph.h"

// How often each row applied: for logs and tests.
enum { TITAN_COMPILE_ROWS_MOST = 8 };
typedef struct titan_compile_report {
  int rows;
  const char *names[TITAN_COMPILE_ROWS_MOST];
  int applied[TITAN_COMPILE_ROWS_MOST];
} titan_compile_report;

// from: not differentiated. *out: a new graph with the same inputs, parameters and outputs by name. report may be NULL.
titan_status titan_compile_apply(const titan_graph *from, titan_graph **out, titan_compile_report *report);

// graph: differentiated, nothing recomputed yet.
titan_status titan_compile_backward(titan_graph *graph);

#endif
