// SPDX-License-Identifier: Apache-2.0
// clang-format off
// What an operation is: its kind, the types of its operands, its attributes. A titan_op_call stands alone (it refers to
// no graph), so that devices and conformance tests can make one by hand.
//
// Dimension letters: B batch, L sequence, D model, N heads, K kv heads, H head size, F ffn, V vocabulary, R rows (all
// leading dimensions together). Tensors are dense, row-major. "Compute type" is float32 or bfloat16: the type of the
// activations and weights of a run. Arithmetic is in float32 inside each kernel, rounded once on output.
//
// kind                    inputs                                   outputs
// embedding               tokens[B,L] i32, table[V,D]              x[B,L,D]
// embedding_backward      tokens[B,L] i32, dy[B,L,D]               dtable[V,D] f32: overwritten, rows not named by a token are 0
// matmul                  a, b, [c]                                op(a) op(b) [+ c]; a, b 2-D after flattening leading dimensions
//                                                                  to rows; transpose_a / transpose_b; output type `output`;
//                                                                  c has the output's type, and may be the output's memory
// rms_norm                x[R,D], w[D]                             y[R,D], rstd[R] f32
//                           n = x * rstd; y = cast(n)*w rounded twice (fused 0, as the reference's rmsnorm), or n*w rounded once (fused 1)
// rms_norm_backward       dy[R,D], x[R,D], w[D], rstd[R], [c[R,D]] dx[R,D], dw[D] f32; c is added to dx before it is rounded: the gradient that reaches
//                                                                  x on another way. dx may be the memory of dy, x or c
// add_rms_norm            x[R,D], r[R,D], w[D]                     y[R,D], rstd[R] f32, h[R,D]: h = x + r rounded, y and rstd those of rms_norm of h,
//                                                                  bit by bit as add and rms_norm. y may be the memory of x or r
// layer_norm              x[R,D], [w[D]]                           y[R,D], mean[R] f32, rstd[R] f32   (no w: no parameters)
// layer_norm_backward     dy, x, mean, rstd, [w]                   dx[R,D], [dw[D] f32]
// rope_table              -                                        table[L,H/2,2] f32: cos, sin of position * theta^(-2i/H), scaled by `scaling`, computed in f64
// rope                    x[B,L,N,H], table[L,H/2,2] f32           y[B,L,N,H]: pairs (2i, 2i+1) rotated; `inverse` rotates back
// split_heads             qkv[..,(N+2K)H], table[L,H/2,2] f32      q[B,L,N,H], k[B,L,K,H], v[B,L,K,H]: a row of qkv is the heads of q, of k, of v
//                                                                  of one position, rows in the order B, L; q and k are rotated as by rope
// join_heads              dq, dk, dv, table                        dqkv, of the type `qkv`: dq and dk rotated back (the gradient of split_heads)
// attention               q[B,L,N,H], k[B,L,K,H], v[B,L,K,H]       o[B,L,N,H], lse[B,N,L] f32; causal, scale 1/sqrt(H); query head n
//                                                                  reads kv head n / (N/K). lse = natural log of the sum of exp(scaled scores)
// attention_backward      q, k, v, o, lse, do[B,L,N,H]             dq, dk, dv
// silu                    x                                        y = x * sigmoid(x)
// copy                    x                                        y = x, of any type
// silu_backward           dy, x                                    dx
// swiglu                  gate_up[..,2F]: a row is gate[F], up[F]          hidden[..,F] = gate * sigmoid(gate) * up, rounded once
// swiglu_backward         dy[..,F], gate_up[..,2F]                 dgate_up[..,2F]; may be the memory of gate_up
// mul, add                a, b (same shape and type)               a*b, a+b
// cross_entropy           logits[R,V] f32, labels[R] i32           loss[1] f32 = sum over rows of (lse - logits[label]); lse[R] f32. A row
//                                                                  whose label is below 0 does not count; the sum is taken in float64
// cross_entropy_backward  logits[R,V] f32, lse[R], labels[R], dloss[1] f32   dlogits[R,V] compute type = dloss*(softmax - onehot), 0 in rows
//                                                                  whose label is below 0; may be the memory of the logits when the type is float32
// reshape                 x                                        the same elements in other dimensions                (view)
// slice                   x[R,..]                                  rows begin .. begin+dims[0] of the first dimension   (view)
// all_gather              x[R,..]                                  y[ranks*R,..]: rank r's x at rows r*R
// reduce_scatter          x[ranks*R,..]                            y[R,..] = sum over ranks of their rows rank*R .. ; bfloat16 is summed in float32
// all_reduce              x                                        sum over ranks, or the maximum; every rank gets the same bits
// gather_columns          x[R,C]                                   y[R,ranks*C]: rank r's x at columns r*C
// take_columns            y[R,ranks*C]                             x[R,C]: columns rank*C .. (the gradient of gather_columns where every rank goes on alike)
// vocabulary_max          logits[R,C] f32                          max[R] f32 over the columns that count
// vocabulary_sums         logits[R,C], labels[R], max[R]           sums[2,R] f32: sum of exp(logit - max); logit of the label, 0 where it is not here
// vocabulary_loss         logits[R,C], labels[R], max[R], sums[2,R]  loss[1], lse[R] as cross_entropy's, from max and sums over all ranks
// gather_matmul           x[R,K], others                           products of y = all_gather(x)[ranks*R,K] with each of the others; see
//                                                                  titan_gather_product. The transfer hides behind the products
// matmul_scatter          a, b, [c]                                y[R,..] = reduce_scatter(op(a) op(b) [+ c]), flattened to rows; a not transposed.
//                                                                  Products in chunks, each on its way while the next is computed
// concat                  x0[R0,..], x1[R1,..], ..                 stacked along the first dimension (view: the planner puts the inputs there,
//                                                                  or they are parameters that lie one after another)
// clang-format on
#ifndef TITAN_GRAPH_OP_H
#define TITAN_GRAPH_OP_H

#include "base/dtype.h"
#include "base/status.h"
#include <stdbool.h>

enum { TITAN_MAX_RANK = 4, TITAN_MAX_INPUTS = 64, TITAN_MAX_OUTPUTS = 3 };

typedef enum titan_op_kind {
#define TITAN_OP(name, inputs_min, inputs_max, outputs_min, outputs_max, view, differentiable) TITAN_OP_##name,
#include "graph/ops.def"
#undef TITAN_OP
  TITAN_OP_COUNT
} titan_op_kind;

typedef struct titan_tensor_type {
  titan_dtype dtype;
  int rank; // number of dimensions, 1 .. TITAN_MAX_RANK
  int64_t dims[TITAN_MAX_RANK];
} titan_tensor_type;

static inline int64_t titan_tensor_elements(const titan_tensor_type *type) {
  int64_t n = 1;
  for (int i = 0; i < type->rank; i++)
    n *= type->dims[i];
  return n;
}

static inline size_t titan_tensor_bytes(const titan_tensor_type *type) {
  return (size_t)titan_tensor_elements(type) * titan_dtype_bytes(type->dtype);
}

// The last dimension, and the product of all before it.
static inline int64_t titan_tensor_columns(const titan_tensor_type *type) {
  return type->dims[type->rank - 1];
}
static inline int64_t titan_tensor_rows(const titan_tensor_type *type) {
  return titan_tensor_elements(type) / titan_tensor_columns(type);
}

// One product of gather_matmul: a matmul of which y is one operand, and the input is the other. Either y's rows become
// the output's (y is a, not transposed), or they are summed over (y is a transposed, or b not transposed).
typedef struct titan_gather_product {
  bool gathered_is_b, transpose_a, transpose_b;
  titan_dtype output;
} titan_gather_product;

// The label of a row that does not count (any below 0 is one): no loss, and no gradient.
enum { TITAN_LABEL_IGNORED = -1 };

// Llama 3.1's rotary frequencies (Hugging Face's rope_type "llama3"). Of a frequency that turns t times in
// original_length positions: divided by `factor` where t < low, as it is where t > high, and between them the mean of
// the two, weighted by (t - low) / (high - low). factor 0: no scaling.
typedef struct titan_rope_scaling {
  double factor, low, high;
  int64_t original_length;
} titan_rope_scaling;

// Only the member of the call's kind is meaningful (of matmul_scatter: matmul and collective; of gather_matmul:
// collective and products); the rest is zero.
typedef struct titan_op_attributes {
  struct {
    bool transpose_a, transpose_b;
    titan_dtype output;
  } matmul;
  struct {
    float epsilon;
    bool fused;
  } norm; // rms_norm, add_rms_norm, layer_norm and their backwards
  struct {
    double theta;
    int64_t length, head_size, first_position;
    titan_rope_scaling scaling;
    bool inverse;
  } rope; // rope_table: theta, length, head_size, first_position, scaling; rope: inverse
  struct {
    int64_t batch, length, heads, kv_heads, head_size;
    titan_tensor_type qkv; // join_heads: of its output
  } heads;                 // split_heads, join_heads
  struct {
    titan_dtype output; // of dlogits
    int64_t first;      // the logits' first column stands for this label
    int64_t columns;    // so many columns count, the rest is padding; 0: all
  } cross_entropy;      // and cross_entropy_backward, vocabulary_*
  struct {
    int64_t vocabulary; // embedding_backward: rows of dtable
    int64_t first;      // the table's first row stands for this token
    bool shard;         // tokens outside of the table give zero rows, and their gradients are passed over
  } embedding;
  struct {
    int dimension; // of the graph's placements: which of the executor's groups
    int ranks;     // of the group
    int rank;      // take_columns: this rank's place in the group
    bool maximum;  // all_reduce: the largest, not the sum
  } collective;
  titan_gather_product products[TITAN_MAX_OUTPUTS];
  struct {
    titan_tensor_type type;
  } reshape;
  struct {
    int64_t begin, count;
  } slice;
} titan_op_attributes;

typedef struct titan_op_call {
  titan_op_kind kind;
  titan_op_attributes attributes;
  int input_count, output_count;
  titan_tensor_type inputs[TITAN_MAX_INPUTS];
  titan_tensor_type outputs[TITAN_MAX_OUTPUTS];
  uint64_t reusable_inputs; // bit i: output 0 may be written over the memory of input i (set by titan_op_infer)
} titan_op_call;

// What the operation does once: floating-point operations (a multiply-add is two; causal attention counts the lower
// triangle only) and bytes read and written when each operand is touched once.
typedef struct titan_op_cost {
  double flops, bytes;
} titan_op_cost;

// Of a gather_matmul: whether the product's output has y's rows, and the matmul of `rows` of them, which are a part of
// one rank's; `adds`: its third input is the sum so far (only where rows are summed over).
bool titan_gather_product_keeps_rows(const titan_gather_product *product);
titan_op_call titan_gather_matmul_part(const titan_op_call *call, int product, int64_t rows, bool adds);
// Of a matmul_scatter: the matmul of `rows` rows.
titan_op_call titan_matmul_scatter_part(const titan_op_call *call, int64_t rows);

const char *titan_op_name(titan_op_kind kind);

// Checks kind, number and types of the inputs and sets output_count and outputs. TITAN_ERROR_INTERNAL with the
// operation's name and the types otherwise.
titan_status titan_op_infer(titan_op_call *call);
titan_op_cost titan_op_cost_of(const titan_op_call *call);
bool titan_op_is_view(titan_op_kind kind);

#endif
