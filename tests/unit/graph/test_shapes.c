// SPDX-License-Identifier: Apache-2.0
// Property: each operation's shape rule gives the output types that graph/op.h states for operands that fit, and
// refuses all others with TITAN_ERROR_INTERNAL and a message that names the operation. Oracle: the table in graph/op.h,
// by hand; and small changes to good operands that make them wrong. Tolerance: none.
#include "graph/op.h"
#include "graph_test.h"

#include <stdio.h>
#include <string.h>

#define F32 TITAN_FLOAT32
#define BF16 TITAN_BFLOAT16
#define I32 TITAN_INT32
#define NO_ATTRIBUTES                                                                                                  \
  {                                                                                                                    \
    .slice = { 0, 0 }                                                                                                  \
  }

#define T(dtype, ...)                                                                                                  \
  {                                                                                                                    \
    dtype, (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), {                                                \
      __VA_ARGS__                                                                                                      \
    }                                                                                                                  \
  }

typedef struct shape_case {
  const char *text;
  titan_op_kind kind;
  titan_op_attributes attributes;
  int input_count, output_count; // output_count 0: to be refused
  titan_tensor_type inputs[6], outputs[3];
} shape_case;

static const shape_case cases[] = {
    {"embedding", TITAN_OP_embedding, NO_ATTRIBUTES, 2, 1, {T(I32, 2, 3), T(BF16, 10, 8)}, {T(BF16, 2, 3, 8)}},
    {"float tokens", TITAN_OP_embedding, NO_ATTRIBUTES, 2, 0, {T(F32, 2, 3), T(F32, 10, 8)}, {{F32, 0, {0}}}},
    {"flat tokens", TITAN_OP_embedding, NO_ATTRIBUTES, 2, 0, {T(I32, 6), T(F32, 10, 8)}, {{F32, 0, {0}}}},
    {"integer table", TITAN_OP_embedding, NO_ATTRIBUTES, 2, 0, {T(I32, 2, 3), T(I32, 10, 8)}, {{F32, 0, {0}}}},
    {"table of rank 3", TITAN_OP_embedding, NO_ATTRIBUTES, 2, 0, {T(I32, 2, 3), T(F32, 10, 8, 2)}, {{F32, 0, {0}}}},
    {"embedding_backward",
     TITAN_OP_embedding_backward,
     {.embedding = {.vocabulary = 10}},
     2,
     1,
     {T(I32, 2, 3), T(BF16, 2, 3, 8)},
     {T(F32, 10, 8)}},
    {"no vocabulary",
     TITAN_OP_embedding_backward,
     NO_ATTRIBUTES,
     2,
     0,
     {T(I32, 2, 3), T(F32, 2, 3, 8)},
     {{F32, 0, {0}}}},
    {"other batch",
     TITAN_OP_embedding_backward,
     {.embedding = {.vocabulary = 10}},
     2,
     0,
     {T(I32, 2, 3), T(F32, 3, 2, 8)},
     {{F32, 0, {0}}}},

    {"matmul", TITAN_OP_matmul, {.matmul = {false, false, F32}}, 2, 1, {T(F32, 2, 3), T(F32, 3, 4)}, {T(F32, 2, 4)}},
    {"leading dimensions stay",
     TITAN_OP_matmul,
     {.matmul = {false, true, F32}},
     2,
     1,
     {T(BF16, 5, 2, 3), T(BF16, 4, 3)},
     {T(F32, 5, 2, 4)}},
    {"a transposed is flattened",
     TITAN_OP_matmul,
     {.matmul = {true, false, BF16}},
     2,
     1,
     {T(BF16, 5, 2, 3), T(BF16, 10, 4)},
     {T(BF16, 3, 4)}},
    {"b is flattened",
     TITAN_OP_matmul,
     {.matmul = {true, true, F32}},
     2,
     1,
     {T(F32, 6, 3), T(F32, 2, 2, 6)},
     {T(F32, 3, 4)}},
    {"with a third input",
     TITAN_OP_matmul,
     {.matmul = {false, false, F32}},
     3,
     1,
     {T(F32, 2, 3), T(F32, 3, 4), T(F32, 2, 4)},
     {T(F32, 2, 4)}},
    {"third input flattened",
     TITAN_OP_matmul,
     {.matmul = {false, false, F32}},
     3,
     1,
     {T(F32, 2, 2, 3), T(F32, 3, 4), T(F32, 4, 4)},
     {T(F32, 2, 2, 4)}},
    {"inner dimensions differ",
     TITAN_OP_matmul,
     {.matmul = {false, false, F32}},
     2,
     0,
     {T(F32, 2, 3), T(F32, 4, 3)},
     {{F32, 0, {0}}}},
    {"inner dimensions differ when transposed",
     TITAN_OP_matmul,
     {.matmul = {true, false, F32}},
     2,
     0,
     {T(F32, 2, 3), T(F32, 3, 4)},
     {{F32, 0, {0}}}},
    {"two compute types",
     TITAN_OP_matmul,
     {.matmul = {false, false, F32}},
     2,
     0,
     {T(F32, 2, 3), T(BF16, 3, 4)},
     {{F32, 0, {0}}}},
    {"integers", TITAN_OP_matmul, {.matmul = {false, false, F32}}, 2, 0, {T(I32, 2, 3), T(I32, 3, 4)}, {{F32, 0, {0}}}},
    {"integer output",
     TITAN_OP_matmul,
     {.matmul = {false, false, I32}},
     2,
     0,
     {T(F32, 2, 3), T(F32, 3, 4)},
     {{F32, 0, {0}}}},
    {"third input of another type",
     TITAN_OP_matmul,
     {.matmul = {false, false, F32}},
     3,
     0,
     {T(F32, 2, 3), T(F32, 3, 4), T(BF16, 2, 4)},
     {{F32, 0, {0}}}},
    {"third input of another shape",
     TITAN_OP_matmul,
     {.matmul = {false, false, F32}},
     3,
     0,
     {T(F32, 2, 3), T(F32, 3, 4), T(F32, 4, 2)},
     {{F32, 0, {0}}}},

    {"rms_norm", TITAN_OP_rms_norm, NO_ATTRIBUTES, 2, 2, {T(BF16, 2, 3, 8), T(BF16, 8)}, {T(BF16, 2, 3, 8), T(F32, 6)}},
    {"weight of another width", TITAN_OP_rms_norm, NO_ATTRIBUTES, 2, 0, {T(F32, 2, 8), T(F32, 4)}, {{F32, 0, {0}}}},
    {"weight of another type", TITAN_OP_rms_norm, NO_ATTRIBUTES, 2, 0, {T(BF16, 2, 8), T(F32, 8)}, {{F32, 0, {0}}}},
    {"weight of rank 2", TITAN_OP_rms_norm, NO_ATTRIBUTES, 2, 0, {T(F32, 2, 8), T(F32, 8, 1)}, {{F32, 0, {0}}}},
    {"integers", TITAN_OP_rms_norm, NO_ATTRIBUTES, 2, 0, {T(I32, 2, 8), T(I32, 8)}, {{F32, 0, {0}}}},
    {"rms_norm_backward",
     TITAN_OP_rms_norm_backward,
     NO_ATTRIBUTES,
     4,
     2,
     {T(BF16, 6, 8), T(BF16, 6, 8), T(BF16, 8), T(F32, 6)},
     {T(BF16, 6, 8), T(F32, 8)}},
    {"gradient of another shape",
     TITAN_OP_rms_norm_backward,
     NO_ATTRIBUTES,
     4,
     0,
     {T(F32, 8, 6), T(F32, 6, 8), T(F32, 8), T(F32, 6)},
     {{F32, 0, {0}}}},
    {"too few statistics",
     TITAN_OP_rms_norm_backward,
     NO_ATTRIBUTES,
     4,
     0,
     {T(F32, 6, 8), T(F32, 6, 8), T(F32, 8), T(F32, 5)},
     {{F32, 0, {0}}}},
    {"statistics of bfloat16",
     TITAN_OP_rms_norm_backward,
     NO_ATTRIBUTES,
     4,
     0,
     {T(BF16, 6, 8), T(BF16, 6, 8), T(BF16, 8), T(BF16, 6)},
     {{F32, 0, {0}}}},
    {"weight of another type",
     TITAN_OP_rms_norm_backward,
     NO_ATTRIBUTES,
     4,
     0,
     {T(BF16, 6, 8), T(BF16, 6, 8), T(F32, 8), T(F32, 6)},
     {{F32, 0, {0}}}},
    {"integers",
     TITAN_OP_rms_norm_backward,
     NO_ATTRIBUTES,
     4,
     0,
     {T(I32, 6, 8), T(I32, 6, 8), T(I32, 8), T(F32, 6)},
     {{F32, 0, {0}}}},

    {"rms_norm_backward with a fifth input",
     TITAN_OP_rms_norm_backward,
     NO_ATTRIBUTES,
     5,
     2,
     {T(BF16, 2, 3, 8), T(BF16, 2, 3, 8), T(BF16, 8), T(F32, 6), T(BF16, 2, 3, 8)},
     {T(BF16, 2, 3, 8), T(F32, 8)}},
    {"a fifth input of another type",
     TITAN_OP_rms_norm_backward,
     NO_ATTRIBUTES,
     5,
     0,
     {T(BF16, 6, 8), T(BF16, 6, 8), T(BF16, 8), T(F32, 6), T(F32, 6, 8)},
     {{F32, 0, {0}}}},
    {"add_rms_norm",
     TITAN_OP_add_rms_norm,
     NO_ATTRIBUTES,
     3,
     3,
     {T(BF16, 2, 3, 8), T(BF16, 2, 3, 8), T(BF16, 8)},
     {T(BF16, 2, 3, 8), T(F32, 6), T(BF16, 2, 3, 8)}},
    {"terms of two shapes",
     TITAN_OP_add_rms_norm,
     NO_ATTRIBUTES,
     3,
     0,
     {T(F32, 6, 8), T(F32, 2, 3, 8), T(F32, 8)},
     {{F32, 0, {0}}}},
    {"a weight of another width",
     TITAN_OP_add_rms_norm,
     NO_ATTRIBUTES,
     3,
     0,
     {T(F32, 6, 8), T(F32, 6, 8), T(F32, 6)},
     {{F32, 0, {0}}}},
    {"layer_norm",
     TITAN_OP_layer_norm,
     NO_ATTRIBUTES,
     2,
     3,
     {T(F32, 6, 8), T(F32, 8)},
     {T(F32, 6, 8), T(F32, 6), T(F32, 6)}},
    {"layer_norm without parameters",
     TITAN_OP_layer_norm,
     NO_ATTRIBUTES,
     1,
     3,
     {T(BF16, 6, 8)},
     {T(BF16, 6, 8), T(F32, 6), T(F32, 6)}},
    {"weight of another width", TITAN_OP_layer_norm, NO_ATTRIBUTES, 2, 0, {T(F32, 6, 8), T(F32, 6)}, {{F32, 0, {0}}}},
    {"layer_norm_backward",
     TITAN_OP_layer_norm_backward,
     NO_ATTRIBUTES,
     5,
     2,
     {T(BF16, 6, 8), T(BF16, 6, 8), T(F32, 6), T(F32, 6), T(BF16, 8)},
     {T(BF16, 6, 8), T(F32, 8)}},
    {"layer_norm_backward without parameters",
     TITAN_OP_layer_norm_backward,
     NO_ATTRIBUTES,
     4,
     1,
     {T(BF16, 6, 8), T(BF16, 6, 8), T(F32, 6), T(F32, 6)},
     {T(BF16, 6, 8)}},
    {"means of another type",
     TITAN_OP_layer_norm_backward,
     NO_ATTRIBUTES,
     4,
     0,
     {T(BF16, 6, 8), T(BF16, 6, 8), T(BF16, 6), T(F32, 6)},
     {{F32, 0, {0}}}},
    {"too many statistics",
     TITAN_OP_layer_norm_backward,
     NO_ATTRIBUTES,
     4,
     0,
     {T(F32, 6, 8), T(F32, 6, 8), T(F32, 6), T(F32, 7)},
     {{F32, 0, {0}}}},

    {"rope_table",
     TITAN_OP_rope_table,
     {.rope = {.theta = 1e4, .length = 5, .head_size = 8}},
     0,
     1,
     {{F32, 0, {0}}},
     {T(F32, 5, 4, 2)}},
    {"odd head size",
     TITAN_OP_rope_table,
     {.rope = {.theta = 1e4, .length = 5, .head_size = 7}},
     0,
     0,
     {{F32, 0, {0}}},
     {{F32, 0, {0}}}},
    {"no length",
     TITAN_OP_rope_table,
     {.rope = {.theta = 1e4, .head_size = 8}},
     0,
     0,
     {{F32, 0, {0}}},
     {{F32, 0, {0}}}},
    {"rope", TITAN_OP_rope, NO_ATTRIBUTES, 2, 1, {T(BF16, 2, 5, 3, 8), T(F32, 5, 4, 2)}, {T(BF16, 2, 5, 3, 8)}},
    {"table of another length",
     TITAN_OP_rope,
     NO_ATTRIBUTES,
     2,
     0,
     {T(F32, 2, 5, 3, 8), T(F32, 6, 4, 2)},
     {{F32, 0, {0}}}},
    {"table of another head size",
     TITAN_OP_rope,
     NO_ATTRIBUTES,
     2,
     0,
     {T(F32, 2, 5, 3, 8), T(F32, 5, 8, 2)},
     {{F32, 0, {0}}}},
    {"table without sines", TITAN_OP_rope, NO_ATTRIBUTES, 2, 0, {T(F32, 2, 5, 3, 8), T(F32, 5, 4, 1)}, {{F32, 0, {0}}}},
    {"table of bfloat16", TITAN_OP_rope, NO_ATTRIBUTES, 2, 0, {T(BF16, 2, 5, 3, 8), T(BF16, 5, 4, 2)}, {{F32, 0, {0}}}},
    {"x of rank 3", TITAN_OP_rope, NO_ATTRIBUTES, 2, 0, {T(F32, 2, 5, 8), T(F32, 5, 4, 2)}, {{F32, 0, {0}}}},

    {"split_heads",
     TITAN_OP_split_heads,
     {.heads = {.batch = 2, .length = 5, .heads = 3, .kv_heads = 1, .head_size = 4}},
     2,
     3,
     {T(BF16, 10, 20), T(F32, 5, 2, 2)},
     {T(BF16, 2, 5, 3, 4), T(BF16, 2, 5, 1, 4), T(BF16, 2, 5, 1, 4)}},
    {"other rows",
     TITAN_OP_split_heads,
     {.heads = {.batch = 2, .length = 5, .heads = 3, .kv_heads = 1, .head_size = 4}},
     2,
     0,
     {T(F32, 9, 20), T(F32, 5, 2, 2)},
     {{F32, 0, {0}}}},
    {"other columns",
     TITAN_OP_split_heads,
     {.heads = {.batch = 2, .length = 5, .heads = 3, .kv_heads = 1, .head_size = 4}},
     2,
     0,
     {T(F32, 10, 24), T(F32, 5, 2, 2)},
     {{F32, 0, {0}}}},
    {"an odd head size",
     TITAN_OP_split_heads,
     {.heads = {.batch = 2, .length = 5, .heads = 3, .kv_heads = 1, .head_size = 5}},
     2,
     0,
     {T(F32, 10, 25), T(F32, 5, 2, 2)},
     {{F32, 0, {0}}}},
    {"a table of another length",
     TITAN_OP_split_heads,
     {.heads = {.batch = 2, .length = 5, .heads = 3, .kv_heads = 1, .head_size = 4}},
     2,
     0,
     {T(F32, 10, 20), T(F32, 10, 2, 2)},
     {{F32, 0, {0}}}},
    {"negative heads",
     TITAN_OP_split_heads,
     {.heads = {.batch = 2, .length = 5, .heads = 7, .kv_heads = -1, .head_size = 4}},
     2,
     0,
     {T(F32, 10, 20), T(F32, 5, 2, 2)},
     {{F32, 0, {0}}}},
    {"join_heads",
     TITAN_OP_join_heads,
     {.heads = {2, 5, 3, 1, 4, T(BF16, 2, 5, 20)}},
     4,
     1,
     {T(BF16, 2, 5, 3, 4), T(BF16, 2, 5, 1, 4), T(BF16, 2, 5, 1, 4), T(F32, 5, 2, 2)},
     {T(BF16, 2, 5, 20)}},
    {"k and v differ",
     TITAN_OP_join_heads,
     {.heads = {2, 5, 3, 1, 4, T(F32, 2, 5, 20)}},
     4,
     0,
     {T(F32, 2, 5, 3, 4), T(F32, 2, 5, 1, 4), T(F32, 2, 5, 2, 4), T(F32, 5, 2, 2)},
     {{F32, 0, {0}}}},
    {"q is not what was split",
     TITAN_OP_join_heads,
     {.heads = {2, 5, 3, 1, 4, T(F32, 2, 5, 20)}},
     4,
     0,
     {T(F32, 2, 5, 2, 4), T(F32, 2, 5, 1, 4), T(F32, 2, 5, 1, 4), T(F32, 5, 2, 2)},
     {{F32, 0, {0}}}},
    {"an output of another type",
     TITAN_OP_join_heads,
     {.heads = {2, 5, 3, 1, 4, T(BF16, 2, 5, 20)}},
     4,
     0,
     {T(F32, 2, 5, 3, 4), T(F32, 2, 5, 1, 4), T(F32, 2, 5, 1, 4), T(F32, 5, 2, 2)},
     {{F32, 0, {0}}}},
    {"no output",
     TITAN_OP_join_heads,
     {.heads = {.batch = 2, .length = 5, .heads = 3, .kv_heads = 1, .head_size = 4}},
     4,
     0,
     {T(F32, 2, 5, 3, 4), T(F32, 2, 5, 1, 4), T(F32, 2, 5, 1, 4), T(F32, 5, 2, 2)},
     {{F32, 0, {0}}}},
    {"attention",
     TITAN_OP_attention,
     NO_ATTRIBUTES,
     3,
     2,
     {T(BF16, 2, 5, 4, 16), T(BF16, 2, 5, 2, 16), T(BF16, 2, 5, 2, 16)},
     {T(BF16, 2, 5, 4, 16), T(F32, 2, 4, 5)}},
    {"kv heads do not divide",
     TITAN_OP_attention,
     NO_ATTRIBUTES,
     3,
     0,
     {T(F32, 2, 5, 4, 16), T(F32, 2, 5, 3, 16), T(F32, 2, 5, 3, 16)},
     {{F32, 0, {0}}}},
    {"k and v differ",
     TITAN_OP_attention,
     NO_ATTRIBUTES,
     3,
     0,
     {T(F32, 2, 5, 4, 16), T(F32, 2, 5, 2, 16), T(F32, 2, 5, 4, 16)},
     {{F32, 0, {0}}}},
    {"other length",
     TITAN_OP_attention,
     NO_ATTRIBUTES,
     3,
     0,
     {T(F32, 2, 5, 4, 16), T(F32, 2, 6, 4, 16), T(F32, 2, 6, 4, 16)},
     {{F32, 0, {0}}}},
    {"other head size",
     TITAN_OP_attention,
     NO_ATTRIBUTES,
     3,
     0,
     {T(F32, 2, 5, 4, 16), T(F32, 2, 5, 4, 32), T(F32, 2, 5, 4, 32)},
     {{F32, 0, {0}}}},
    {"attention_backward",
     TITAN_OP_attention_backward,
     NO_ATTRIBUTES,
     6,
     3,
     {T(F32, 2, 5, 4, 16), T(F32, 2, 5, 2, 16), T(F32, 2, 5, 2, 16), T(F32, 2, 5, 4, 16), T(F32, 2, 4, 5),
      T(F32, 2, 5, 4, 16)},
     {T(F32, 2, 5, 4, 16), T(F32, 2, 5, 2, 16), T(F32, 2, 5, 2, 16)}},
    {"lse of another shape",
     TITAN_OP_attention_backward,
     NO_ATTRIBUTES,
     6,
     0,
     {T(F32, 2, 5, 4, 16), T(F32, 2, 5, 2, 16), T(F32, 2, 5, 2, 16), T(F32, 2, 5, 4, 16), T(F32, 2, 4, 4),
      T(F32, 2, 5, 4, 16)},
     {{F32, 0, {0}}}},
    {"lse of another type",
     TITAN_OP_attention_backward,
     NO_ATTRIBUTES,
     6,
     0,
     {T(BF16, 2, 5, 4, 16), T(BF16, 2, 5, 2, 16), T(BF16, 2, 5, 2, 16), T(BF16, 2, 5, 4, 16), T(BF16, 2, 4, 5),
      T(BF16, 2, 5, 4, 16)},
     {{F32, 0, {0}}}},
    {"gradient of another shape",
     TITAN_OP_attention_backward,
     NO_ATTRIBUTES,
     6,
     0,
     {T(F32, 2, 5, 4, 16), T(F32, 2, 5, 2, 16), T(F32, 2, 5, 2, 16), T(F32, 2, 5, 4, 16), T(F32, 2, 4, 5),
      T(F32, 2, 5, 2, 16)},
     {{F32, 0, {0}}}},

    {"silu", TITAN_OP_silu, NO_ATTRIBUTES, 1, 1, {T(BF16, 7)}, {T(BF16, 7)}},
    {"integers", TITAN_OP_silu, NO_ATTRIBUTES, 1, 0, {T(I32, 7)}, {{F32, 0, {0}}}},
    {"silu_backward", TITAN_OP_silu_backward, NO_ATTRIBUTES, 2, 1, {T(F32, 7), T(F32, 7)}, {T(F32, 7)}},
    {"another shape", TITAN_OP_silu_backward, NO_ATTRIBUTES, 2, 0, {T(F32, 7), T(F32, 7, 1)}, {{F32, 0, {0}}}},
    {"swiglu", TITAN_OP_swiglu, NO_ATTRIBUTES, 1, 1, {T(BF16, 2, 3, 10)}, {T(BF16, 2, 3, 5)}},
    {"an odd number of columns", TITAN_OP_swiglu, NO_ATTRIBUTES, 1, 0, {T(F32, 4, 7)}, {{F32, 0, {0}}}},
    {"integers", TITAN_OP_swiglu, NO_ATTRIBUTES, 1, 0, {T(I32, 4, 6)}, {{F32, 0, {0}}}},
    {"swiglu_backward",
     TITAN_OP_swiglu_backward,
     NO_ATTRIBUTES,
     2,
     1,
     {T(BF16, 2, 3, 5), T(BF16, 2, 3, 10)},
     {T(BF16, 2, 3, 10)}},
    {"rows differ", TITAN_OP_swiglu_backward, NO_ATTRIBUTES, 2, 0, {T(F32, 3, 5), T(F32, 2, 10)}, {{F32, 0, {0}}}},
    {"types differ", TITAN_OP_swiglu_backward, NO_ATTRIBUTES, 2, 0, {T(F32, 3, 5), T(BF16, 3, 10)}, {{F32, 0, {0}}}},
    {"the gate alone", TITAN_OP_swiglu_backward, NO_ATTRIBUTES, 2, 0, {T(F32, 3, 5), T(F32, 3, 5)}, {{F32, 0, {0}}}},
    {"mul", TITAN_OP_mul, NO_ATTRIBUTES, 2, 1, {T(F32, 2, 3), T(F32, 2, 3)}, {T(F32, 2, 3)}},
    {"another shape", TITAN_OP_mul, NO_ATTRIBUTES, 2, 0, {T(F32, 2, 3), T(F32, 3, 2)}, {{F32, 0, {0}}}},
    {"another type", TITAN_OP_mul, NO_ATTRIBUTES, 2, 0, {T(F32, 2, 3), T(BF16, 2, 3)}, {{F32, 0, {0}}}},
    {"add", TITAN_OP_add, NO_ATTRIBUTES, 2, 1, {T(BF16, 2, 3, 4), T(BF16, 2, 3, 4)}, {T(BF16, 2, 3, 4)}},
    {"integers", TITAN_OP_add, NO_ATTRIBUTES, 2, 0, {T(I32, 2, 3), T(I32, 2, 3)}, {{F32, 0, {0}}}},
    {"one input", TITAN_OP_add, NO_ATTRIBUTES, 1, 0, {T(F32, 2, 3)}, {{F32, 0, {0}}}},
    {"three inputs", TITAN_OP_add, NO_ATTRIBUTES, 3, 0, {T(F32, 2, 3), T(F32, 2, 3), T(F32, 2, 3)}, {{F32, 0, {0}}}},

    {"cross_entropy",
     TITAN_OP_cross_entropy,
     {.cross_entropy = {.output = BF16}},
     2,
     2,
     {T(F32, 6, 10), T(I32, 6)},
     {T(F32, 1), T(F32, 6)}},
    {"logits of bfloat16", TITAN_OP_cross_entropy, NO_ATTRIBUTES, 2, 0, {T(BF16, 6, 10), T(I32, 6)}, {{F32, 0, {0}}}},
    {"float labels", TITAN_OP_cross_entropy, NO_ATTRIBUTES, 2, 0, {T(F32, 6, 10), T(F32, 6)}, {{F32, 0, {0}}}},
    {"too few labels", TITAN_OP_cross_entropy, NO_ATTRIBUTES, 2, 0, {T(F32, 6, 10), T(I32, 5)}, {{F32, 0, {0}}}},
    {"labels of rank 2", TITAN_OP_cross_entropy, NO_ATTRIBUTES, 2, 0, {T(F32, 6, 10), T(I32, 6, 1)}, {{F32, 0, {0}}}},
    {"cross_entropy_backward",
     TITAN_OP_cross_entropy_backward,
     {.cross_entropy = {.output = BF16}},
     4,
     1,
     {T(F32, 6, 10), T(F32, 6), T(I32, 6), T(F32, 1)},
     {T(BF16, 6, 10)}},
    {"integer output",
     TITAN_OP_cross_entropy_backward,
     {.cross_entropy = {.output = I32}},
     4,
     0,
     {T(F32, 6, 10), T(F32, 6), T(I32, 6), T(F32, 1)},
     {{F32, 0, {0}}}},
    {"lse of another type",
     TITAN_OP_cross_entropy_backward,
     {.cross_entropy = {.output = F32}},
     4,
     0,
     {T(F32, 6, 10), T(I32, 6), T(I32, 6), T(F32, 1)},
     {{F32, 0, {0}}}},
    {"gradient of the loss of another type",
     TITAN_OP_cross_entropy_backward,
     {.cross_entropy = {.output = F32}},
     4,
     0,
     {T(F32, 6, 10), T(F32, 6), T(I32, 6), T(BF16, 1)},
     {{F32, 0, {0}}}},
    {"gradient of several losses",
     TITAN_OP_cross_entropy_backward,
     {.cross_entropy = {.output = F32}},
     4,
     0,
     {T(F32, 6, 10), T(F32, 6), T(I32, 6), T(F32, 6)},
     {{F32, 0, {0}}}},

    // a shard of the vocabulary: rows 20 .. 29 of a table
    {"embedding of a shard",
     TITAN_OP_embedding,
     {.embedding = {.first = 20, .shard = true}},
     2,
     1,
     {T(I32, 2, 3), T(BF16, 10, 8)},
     {T(BF16, 2, 3, 8)}},
    {"embedding_backward of a shard",
     TITAN_OP_embedding_backward,
     {.embedding = {10, 20, true}},
     2,
     1,
     {T(I32, 2, 3), T(F32, 2, 3, 8)},
     {T(F32, 10, 8)}},
    {"cross_entropy of padded columns",
     TITAN_OP_cross_entropy,
     {.cross_entropy = {.output = F32, 0, 9}},
     2,
     2,
     {T(F32, 6, 10), T(I32, 6)},
     {T(F32, 1), T(F32, 6)}},
    {"more columns than there are",
     TITAN_OP_cross_entropy,
     {.cross_entropy = {.output = F32, 0, 11}},
     2,
     0,
     {T(F32, 6, 10), T(I32, 6)},
     {{F32, 0, {0}}}},
    {"cross_entropy_backward of padded columns",
     TITAN_OP_cross_entropy_backward,
     {.cross_entropy = {.output = F32, 20, 9}},
     4,
     1,
     {T(F32, 6, 10), T(F32, 6), T(I32, 6), T(F32, 1)},
     {T(F32, 6, 10)}},
    {"more columns than there are",
     TITAN_OP_cross_entropy_backward,
     {.cross_entropy = {.output = F32, 0, 11}},
     4,
     0,
     {T(F32, 6, 10), T(F32, 6), T(I32, 6), T(F32, 1)},
     {{F32, 0, {0}}}},

    {"all_gather", TITAN_OP_all_gather, {.collective = {1, 3, 0, false}}, 1, 1, {T(BF16, 4, 5)}, {T(BF16, 12, 5)}},
    {"all_gather of one rank", TITAN_OP_all_gather, {.collective = {1, 1, 0, false}}, 1, 1, {T(F32, 4)}, {T(F32, 4)}},
    {"no ranks", TITAN_OP_all_gather, NO_ATTRIBUTES, 1, 0, {T(F32, 4, 5)}, {{F32, 0, {0}}}},
    {"integers", TITAN_OP_all_gather, {.collective = {1, 3, 0, false}}, 1, 0, {T(I32, 4, 5)}, {{F32, 0, {0}}}},
    {"reduce_scatter",
     TITAN_OP_reduce_scatter,
     {.collective = {1, 3, 0, false}},
     1,
     1,
     {T(BF16, 12, 5)},
     {T(BF16, 4, 5)}},
    {"rows that the ranks do not divide",
     TITAN_OP_reduce_scatter,
     {.collective = {1, 3, 0, false}},
     1,
     0,
     {T(F32, 10, 6)},
     {{F32, 0, {0}}}},
    {"integers", TITAN_OP_reduce_scatter, {.collective = {1, 3, 0, false}}, 1, 0, {T(I32, 12, 5)}, {{F32, 0, {0}}}},
    {"all_reduce", TITAN_OP_all_reduce, {.collective = {1, 3, 0, false}}, 1, 1, {T(F32, 2, 5)}, {T(F32, 2, 5)}},
    {"a maximum", TITAN_OP_all_reduce, {.collective = {1, 3, 0, true}}, 1, 1, {T(F32, 5)}, {T(F32, 5)}},
    {"integers", TITAN_OP_all_reduce, {.collective = {1, 3, 0, false}}, 1, 0, {T(I32, 5)}, {{F32, 0, {0}}}},
    {"no ranks", TITAN_OP_all_reduce, NO_ATTRIBUTES, 1, 0, {T(F32, 5)}, {{F32, 0, {0}}}},
    {"gather_columns",
     TITAN_OP_gather_columns,
     {.collective = {1, 3, 0, false}},
     1,
     1,
     {T(F32, 4, 5)},
     {T(F32, 4, 15)}},
    {"integers", TITAN_OP_gather_columns, {.collective = {1, 3, 0, false}}, 1, 0, {T(I32, 4, 5)}, {{F32, 0, {0}}}},
    {"gather_matmul of a product, a weight's gradient, and one on the right",
     TITAN_OP_gather_matmul,
     {.collective = {1, 3, 0, false},
      .products = {{false, false, true, BF16}, {false, true, false, F32}, {true, true, false, F32}}},
     4,
     3,
     {T(BF16, 4, 5), T(BF16, 7, 5), T(BF16, 12, 6), T(BF16, 2, 6, 8)},
     {T(BF16, 12, 7), T(F32, 5, 6), T(F32, 8, 5)}},
    {"gather_matmul of one rank",
     TITAN_OP_gather_matmul,
     {.collective = {1, 1, 0, false}, .products = {{false, false, true, F32}}},
     2,
     0,
     {T(F32, 4, 5), T(F32, 7, 5)},
     {{F32, 0, {0}}}},
    {"rows that were not gathered",
     TITAN_OP_gather_matmul,
     {.collective = {1, 3, 0, false}, .products = {{false, true, false, F32}}},
     2,
     0,
     {T(F32, 4, 5), T(F32, 4, 6)},
     {{F32, 0, {0}}}},
    {"gathered rows that become columns",
     TITAN_OP_gather_matmul,
     {.collective = {1, 3, 0, false}, .products = {{true, false, true, F32}}},
     2,
     0,
     {T(F32, 4, 5), T(F32, 7, 5)},
     {{F32, 0, {0}}}},
    {"sums that are rounded on the way",
     TITAN_OP_gather_matmul,
     {.collective = {1, 3, 0, false}, .products = {{false, true, false, BF16}}},
     2,
     0,
     {T(BF16, 4, 5), T(BF16, 12, 6)},
     {{F32, 0, {0}}}},
    {"matmul_scatter",
     TITAN_OP_matmul_scatter,
     {.collective = {1, 3, 0, false}, .matmul = {false, true, BF16}},
     2,
     1,
     {T(BF16, 2, 6, 5), T(BF16, 7, 5)},
     {T(BF16, 4, 7)}},
    {"matmul_scatter with a third input",
     TITAN_OP_matmul_scatter,
     {.collective = {1, 3, 0, false}, .matmul = {false, false, F32}},
     3,
     1,
     {T(F32, 12, 5), T(F32, 5, 7), T(F32, 2, 6, 7)},
     {T(F32, 4, 7)}},
    {"matmul_scatter of rows that the ranks do not divide",
     TITAN_OP_matmul_scatter,
     {.collective = {1, 3, 0, false}, .matmul = {false, true, F32}},
     2,
     0,
     {T(F32, 10, 5), T(F32, 7, 5)},
     {{F32, 0, {0}}}},
    {"matmul_scatter of a transposed",
     TITAN_OP_matmul_scatter,
     {.collective = {1, 3, 0, false}, .matmul = {true, false, F32}},
     2,
     0,
     {T(F32, 12, 6), T(F32, 12, 5)},
     {{F32, 0, {0}}}},
    {"matmul_scatter of one rank",
     TITAN_OP_matmul_scatter,
     {.collective = {1, 1, 0, false}, .matmul = {false, true, F32}},
     2,
     0,
     {T(F32, 12, 5), T(F32, 7, 5)},
     {{F32, 0, {0}}}},
    {"copy", TITAN_OP_copy, NO_ATTRIBUTES, 1, 1, {T(F32, 2, 3)}, {T(F32, 2, 3)}},
    {"take_columns", TITAN_OP_take_columns, {.collective = {1, 3, 2, false}}, 1, 1, {T(BF16, 4, 15)}, {T(BF16, 4, 5)}},
    {"columns that the ranks do not divide",
     TITAN_OP_take_columns,
     {.collective = {1, 3, 2, false}},
     1,
     0,
     {T(F32, 3, 16)},
     {{F32, 0, {0}}}},
    {"a rank beyond the last",
     TITAN_OP_take_columns,
     {.collective = {1, 3, 3, false}},
     1,
     0,
     {T(F32, 4, 15)},
     {{F32, 0, {0}}}},
    {"a rank before the first",
     TITAN_OP_take_columns,
     {.collective = {1, 3, -1, false}},
     1,
     0,
     {T(F32, 4, 15)},
     {{F32, 0, {0}}}},

    {"vocabulary_max",
     TITAN_OP_vocabulary_max,
     {.cross_entropy = {.output = F32, 20, 9}},
     1,
     1,
     {T(F32, 6, 10)},
     {T(F32, 6)}},
    {"logits of bfloat16", TITAN_OP_vocabulary_max, NO_ATTRIBUTES, 1, 0, {T(BF16, 6, 10)}, {{F32, 0, {0}}}},
    {"logits of rank 3", TITAN_OP_vocabulary_max, NO_ATTRIBUTES, 1, 0, {T(F32, 2, 3, 10)}, {{F32, 0, {0}}}},
    {"more columns than there are",
     TITAN_OP_vocabulary_max,
     {.cross_entropy = {.output = F32, 0, 11}},
     1,
     0,
     {T(F32, 6, 10)},
     {{F32, 0, {0}}}},
    {"vocabulary_sums",
     TITAN_OP_vocabulary_sums,
     {.cross_entropy = {.output = F32, 20, 9}},
     3,
     1,
     {T(F32, 6, 10), T(I32, 6), T(F32, 6)},
     {T(F32, 2, 6)}},
    {"float labels",
     TITAN_OP_vocabulary_sums,
     NO_ATTRIBUTES,
     3,
     0,
     {T(F32, 6, 10), T(F32, 6), T(F32, 6)},
     {{F32, 0, {0}}}},
    {"too few labels",
     TITAN_OP_vocabulary_sums,
     NO_ATTRIBUTES,
     3,
     0,
     {T(F32, 6, 10), T(I32, 5), T(F32, 6)},
     {{F32, 0, {0}}}},
    {"too many maxima",
     TITAN_OP_vocabulary_sums,
     NO_ATTRIBUTES,
     3,
     0,
     {T(F32, 6, 10), T(I32, 6), T(F32, 7)},
     {{F32, 0, {0}}}},
    {"more columns than there are",
     TITAN_OP_vocabulary_sums,
     {.cross_entropy = {.output = F32, 0, 11}},
     3,
     0,
     {T(F32, 6, 10), T(I32, 6), T(F32, 6)},
     {{F32, 0, {0}}}},
    {"vocabulary_loss",
     TITAN_OP_vocabulary_loss,
     {.cross_entropy = {.output = F32, 20, 9}},
     4,
     2,
     {T(F32, 6, 10), T(I32, 6), T(F32, 6), T(F32, 2, 6)},
     {T(F32, 1), T(F32, 6)}},
    {"sums without the labels' logits",
     TITAN_OP_vocabulary_loss,
     NO_ATTRIBUTES,
     4,
     0,
     {T(F32, 6, 10), T(I32, 6), T(F32, 6), T(F32, 6)},
     {{F32, 0, {0}}}},
    {"labels of rank 2",
     TITAN_OP_vocabulary_loss,
     NO_ATTRIBUTES,
     4,
     0,
     {T(F32, 6, 10), T(I32, 6, 1), T(F32, 6), T(F32, 2, 6)},
     {{F32, 0, {0}}}},

    {"reshape", TITAN_OP_reshape, {.reshape = {T(I32, 3, 2, 2)}}, 1, 1, {T(I32, 4, 3)}, {T(I32, 3, 2, 2)}},
    {"another number of elements",
     TITAN_OP_reshape,
     {.reshape = {T(F32, 4, 4)}},
     1,
     0,
     {T(F32, 4, 3)},
     {{F32, 0, {0}}}},
    {"another type", TITAN_OP_reshape, {.reshape = {T(BF16, 4, 3)}}, 1, 0, {T(F32, 4, 3)}, {{F32, 0, {0}}}},
    {"negative dimensions", TITAN_OP_reshape, {.reshape = {T(F32, -4, -3)}}, 1, 0, {T(F32, 4, 3)}, {{F32, 0, {0}}}},
    {"no dimensions", TITAN_OP_reshape, {.reshape = {{F32, 0, {0}}}}, 1, 0, {T(F32, 1)}, {{F32, 0, {0}}}},
    {"five dimensions", TITAN_OP_reshape, {.reshape = {{F32, 5, {1, 1, 1, 1}}}}, 1, 0, {T(F32, 1)}, {{F32, 0, {0}}}},
    {"slice", TITAN_OP_slice, {.slice = {1, 3}}, 1, 1, {T(BF16, 4, 3)}, {T(BF16, 3, 3)}},
    {"before the beginning", TITAN_OP_slice, {.slice = {-1, 3}}, 1, 0, {T(F32, 4, 3)}, {{F32, 0, {0}}}},
    {"beyond the end", TITAN_OP_slice, {.slice = {2, 3}}, 1, 0, {T(F32, 4, 3)}, {{F32, 0, {0}}}},
    {"far beyond the end", TITAN_OP_slice, {.slice = {2, INT64_MAX}}, 1, 0, {T(F32, 4, 3)}, {{F32, 0, {0}}}},
    {"nothing", TITAN_OP_slice, {.slice = {2, 0}}, 1, 0, {T(F32, 4, 3)}, {{F32, 0, {0}}}},
    {"concat", TITAN_OP_concat, NO_ATTRIBUTES, 3, 1, {T(F32, 1, 3), T(F32, 4, 3), T(F32, 2, 3)}, {T(F32, 7, 3)}},
    {"concat of one", TITAN_OP_concat, NO_ATTRIBUTES, 1, 1, {T(I32, 4)}, {T(I32, 4)}},
    {"columns differ", TITAN_OP_concat, NO_ATTRIBUTES, 2, 0, {T(F32, 4, 3), T(F32, 4, 2)}, {{F32, 0, {0}}}},
    {"types differ", TITAN_OP_concat, NO_ATTRIBUTES, 2, 0, {T(F32, 4, 3), T(BF16, 4, 3)}, {{F32, 0, {0}}}},
    {"nothing", TITAN_OP_concat, NO_ATTRIBUTES, 0, 0, {{F32, 0, {0}}}, {{F32, 0, {0}}}},
};

static titan_op_call call_of(const shape_case *c) {
  titan_op_call call = {.kind = c->kind, .attributes = c->attributes, .input_count = c->input_count};
  for (int i = 0; i < c->input_count; i++)
    call.inputs[i] = c->inputs[i];
  return call;
}

static void expect_refused(const char *text, titan_op_call *call) {
  titan_error_clear();
  if (titan_op_infer(call) != TITAN_ERROR_INTERNAL)
    fail_msg("%s: %s is accepted", titan_op_name(call->kind), text);
  if (strstr(titan_error_message(), titan_op_name(call->kind)) == NULL)
    fail_msg("%s: %s: the message is \"%s\"", titan_op_name(call->kind), text, titan_error_message());
}

static void operands_that_fit_give_the_stated_outputs_and_others_are_refused(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const shape_case *c = &cases[i];
    titan_op_call call = call_of(c);
    if (c->output_count == 0) {
      expect_refused(c->text, &call);
      continue;
    }
    if (titan_op_infer(&call) != TITAN_OK)
      fail_msg("%s: %s", c->text, titan_error_message());
    assert_int_equal(call.output_count, c->output_count);
    for (int k = 0; k < c->output_count; k++) {
      const titan_tensor_type *given = &call.outputs[k], *wanted = &c->outputs[k];
      bool equal = given->dtype == wanted->dtype && given->rank == wanted->rank;
      for (int d = 0; equal && d < wanted->rank; d++)
        equal = given->dims[d] == wanted->dims[d];
      if (!equal)
        fail_msg("%s: output %d has another type than stated", c->text, k);
    }
  }
}

static void every_operation_has_a_case_that_is_accepted(void **state) {
  (void)state;
  for (int kind = 0; kind < TITAN_OP_COUNT; kind++) {
    bool found = false;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
      found |= (int)cases[i].kind == kind && cases[i].output_count > 0;
    if (!found)
      fail_msg("%s has no case", titan_op_name((titan_op_kind)kind));
  }
}

// Each accepted case with one operand spoilt.
static void operands_without_elements_or_dimensions_are_refused(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    for (int k = 0; cases[i].output_count > 0 && k < cases[i].input_count; k++) {
      titan_op_call call = call_of(&cases[i]);
      call.inputs[k].dims[0] = 0;
      expect_refused("a dimension of 0", &call);
      call = call_of(&cases[i]);
      call.inputs[k].rank = 0;
      expect_refused("no dimensions", &call);
      call = call_of(&cases[i]);
      call.inputs[k].rank = TITAN_MAX_RANK + 1;
      expect_refused("too many dimensions", &call);
      call = call_of(&cases[i]);
      call.inputs[k].rank = 2;
      call.inputs[k].dims[0] = call.inputs[k].dims[1] = -2;
      expect_refused("negative dimensions", &call);
    }
}

static void a_wrong_number_of_inputs_is_refused(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    titan_op_call call = call_of(&cases[i]);
    call.input_count = -1;
    expect_refused("-1 inputs", &call);
    call.input_count = TITAN_MAX_INPUTS + 1;
    expect_refused("more inputs than a call has room for", &call);
  }
}

// Work is never negative, views do none, and a product's is two operations for each multiply-add.
static void costs_are_those_of_one_run(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    titan_op_call call = call_of(&cases[i]);
    if (cases[i].output_count == 0)
      continue;
    TRY(titan_op_infer(&call));
    titan_op_cost cost = titan_op_cost_of(&call);
    if (titan_op_is_view(call.kind))
      assert_true(cost.flops == 0 && cost.bytes == 0);
    else
      assert_true(cost.bytes > 0 && cost.flops >= 0);
  }
  titan_op_call product = {.kind = TITAN_OP_matmul, .input_count = 2, .inputs = {T(BF16, 2, 3, 5), T(BF16, 7, 5)}};
  product.attributes.matmul.transpose_b = true;
  product.attributes.matmul.output = BF16;
  TRY(titan_op_infer(&product));
  assert_float_equal(titan_op_cost_of(&product).flops, 2.0 * 6 * 5 * 7, 0);
  assert_float_equal(titan_op_cost_of(&product).bytes, 2.0 * (30 + 35 + 42), 0);
  // causal attention: 3 positions see 1 + 2 + 3 keys, two products of length 16 for each, for 2 heads
  titan_op_call attention = {.kind = TITAN_OP_attention,
                             .input_count = 3,
                             .inputs = {T(F32, 1, 3, 2, 16), T(F32, 1, 3, 1, 16), T(F32, 1, 3, 1, 16)}};
  TRY(titan_op_infer(&attention));
  assert_float_equal(titan_op_cost_of(&attention).flops, 2 * 2.0 * 6 * 16 * 2, 0);
}

// Which inputs' memory an output may take: never an operand that a kernel reads after it began to write.
static void inputs_that_may_be_written_over_are_the_stated_ones(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    titan_op_call call = call_of(&cases[i]);
    uint64_t expected = 0;
    if (cases[i].output_count == 0)
      continue;
    TRY(titan_op_infer(&call));
    switch (call.kind) {
    case TITAN_OP_add:
    case TITAN_OP_mul:
    case TITAN_OP_silu_backward:
    case TITAN_OP_add_rms_norm:
      expected = 3;
      break;
    case TITAN_OP_silu:
    case TITAN_OP_rope:
    case TITAN_OP_all_reduce:
      expected = 1;
      break;
    case TITAN_OP_rms_norm_backward:
      expected = call.input_count == 5 ? 1 | 2 | 16 : 1 | 2;
      break;
    case TITAN_OP_swiglu_backward:
      expected = 2;
      break;
    case TITAN_OP_matmul:
      expected = call.input_count == 3 ? 4 : 0;
      break;
    case TITAN_OP_cross_entropy_backward:
      expected = call.outputs[0].dtype == F32 ? 1 : 0;
      break;
    default:
      break;
    }
    if (call.reusable_inputs != expected)
      fail_msg("%s: %s: inputs %llx", titan_op_name(call.kind), cases[i].text,
               (unsigned long long)call.reusable_inputs);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(operands_that_fit_give_the_stated_outputs_and_others_are_refused),
      cmocka_unit_test(every_operation_has_a_case_that_is_accepted),
      cmocka_unit_test(operands_without_elements_or_dimensions_are_refused),
      cmocka_unit_test(a_wrong_number_of_inputs_is_refused),
      cmocka_unit_test(costs_are_those_of_one_run),
      cmocka_unit_test(inputs_that_may_be_written_over_are_the_stated_ones),
  };
  int failures = cmocka_run_group_tests(tests, NULL, NULL);
  return failures != 0 || titan_memory_report_leaks() != 0;
}
