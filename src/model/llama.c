// SPDX-License-Identifier: Apache-2.0
// Llama: embedding, pre-norm blocks of attention with rotary positions and SwiGLU feed-forward, norm and output
// projection. Dimension letters as in graph/op.h.
#include "model/model.h"

#include "model/linear_cross_entropy.h"
#include "model/llama_flavors.h"

#include <math.h>
#include <string.h>

// One graph under construction.
typedef struct builder {
  titan_graph *graph;
  const titan_model_arguments *arguments;
  titan_dtype dtype;
  int64_t B, L, D, N, K, H, F, V;
} builder;

static builder builder_of(const titan_model_arguments *arguments, const titan_model_shape *shape, titan_graph *graph) {
  return (builder){
      .graph = graph,
      .arguments = arguments,
      .dtype = shape->dtype,
      .B = shape->batch,
      .L = shape->length,
      .D = arguments->dim,
      .N = arguments->heads,
      .K = arguments->kv_heads,
      .H = arguments->dim / arguments->heads,
      .F = titan_model_ffn_hidden(arguments),
      .V = arguments->vocabulary,
  };
}

static titan_status input_x(const builder *b, titan_value *x_BLD) {
  return titan_graph_input(b->graph, "x", (titan_tensor_type){b->dtype, 3, {b->B, b->L, b->D}}, true, x_BLD);
}

// y[..,out] = x[..,in] w[out,in]^T
static titan_status linear(const builder *b, titan_value x, const char *name, int64_t out, int64_t in, titan_value *y) {
  titan_value w;
  TITAN_TRY(titan_graph_parameter(b->graph, name, (titan_tensor_type){b->dtype, 2, {out, in}}, &w));
  return titan_graph_matmul(b->graph, x, false, w, true, b->dtype, y);
}

static titan_status norm(const builder *b, titan_value x, const char *name, titan_value *y) {
  titan_norm_type type = b->arguments->norm_type;
  titan_op_attributes attributes = {.norm = {(float)b->arguments->norm_epsilon, type == TITAN_NORM_FUSED_RMSNORM}};
  titan_value inputs[2] = {x}, outputs[TITAN_MAX_OUTPUTS];
  bool has_weight = type != TITAN_NORM_NP_LAYERNORM;
  if (has_weight)
    TITAN_TRY(titan_graph_parameter(b->graph, name, (titan_tensor_type){b->dtype, 1, {b->D}}, &inputs[1]));
  bool rms = type == TITAN_NORM_RMSNORM || type == TITAN_NORM_FUSED_RMSNORM;
  TITAN_TRY(titan_graph_apply(b->graph, rms ? TITAN_OP_rms_norm : TITAN_OP_layer_norm, &attributes, has_weight ? 2 : 1,
                              inputs, outputs));
  *y = outputs[0];
  return TITAN_OK;
}

static titan_status build_embedding(const titan_model_arguments *arguments, const titan_model_shape *shape,
                                    titan_graph *graph) {
  const builder made = builder_of(arguments, shape, graph), *b = &made;
  titan_value tokens_BL, table_VD, y_BLD;
  TITAN_TRY(
      titan_graph_input(b->graph, "tokens", (titan_tensor_type){TITAN_INT32, 2, {b->B, b->L}}, false, &tokens_BL));
  TITAN_TRY(titan_graph_parameter(b->graph, "tok_embeddings.weight", (titan_tensor_type){b->dtype, 2, {b->V, b->D}},
                                  &table_VD));
  TITAN_TRY(titan_graph_binary(b->graph, TITAN_OP_embedding, tokens_BL, table_VD, &y_BLD));
  return titan_graph_output_add(b->graph, "y", y_BLD);
}

// Projection to `heads` heads, laid out [B,L,heads,H].
static titan_status project(const builder *b, titan_value x_BLD, const char *name, int64_t heads, titan_value *out) {
  titan_value flat;
  TITAN_TRY(linear(b, x_BLD, name, heads * b->H, b->D, &flat));
  return titan_graph_reshape(b->graph, flat, 4, (int64_t[]){b->B, b->L, heads, b->H}, out);
}

static titan_status attention(const builder *b, titan_value x_BLD, titan_value rope_table, titan_value *out) {
  titan_value q_BLNH, k_BLKH, v_BLKH, o[TITAN_MAX_OUTPUTS], o_BLD;
  TITAN_TRY(project(b, x_BLD, "attention.wq.weight", b->N, &q_BLNH));
  TITAN_TRY(project(b, x_BLD, "attention.wk.weight", b->K, &k_BLKH));
  TITAN_TRY(project(b, x_BLD, "attention.wv.weight", b->K, &v_BLKH));
  TITAN_TRY(titan_graph_binary(b->graph, TITAN_OP_rope, q_BLNH, rope_table, &q_BLNH));
  TITAN_TRY(titan_graph_binary(b->graph, TITAN_OP_rope, k_BLKH, rope_table, &k_BLKH));
  TITAN_TRY(titan_graph_apply(b->graph, TITAN_OP_attention, NULL, 3, (titan_value[]){q_BLNH, k_BLKH, v_BLKH}, o));
  TITAN_TRY(titan_graph_reshape(b->graph, o[0], 3, (int64_t[]){b->B, b->L, b->N * b->H}, &o_BLD));
  return linear(b, o_BLD, "attention.wo.weight", b->D, b->N * b->H, out);
}

static titan_status feed_forward(const builder *b, titan_value x_BLD, titan_value *out) {
  titan_value gate_BLF, up_BLF, hidden_BLF;
  TITAN_TRY(linear(b, x_BLD, "feed_forward.w1.weight", b->F, b->D, &gate_BLF));
  TITAN_TRY(linear(b, x_BLD, "feed_forward.w3.weight", b->F, b->D, &up_BLF));
  TITAN_TRY(titan_graph_unary(b->graph, TITAN_OP_silu, gate_BLF, &gate_BLF));
  TITAN_TRY(titan_graph_binary(b->graph, TITAN_OP_mul, gate_BLF, up_BLF, &hidden_BLF));
  return linear(b, hidden_BLF, "feed_forward.w2.weight", b->D, b->F, out);
}

static titan_status build_block(const titan_model_arguments *arguments, const titan_model_shape *shape,
                                titan_graph *graph) {
  const builder made = builder_of(arguments, shape, graph), *b = &made;
  titan_value x_BLD, rope_table, normed_BLD, part_BLD, h_BLD, y_BLD;
  TITAN_TRY(input_x(b, &x_BLD));
  TITAN_TRY(titan_graph_input(b->graph, "rope_table", (titan_tensor_type){TITAN_FLOAT32, 3, {b->L, b->H / 2, 2}}, false,
                              &rope_table));
  TITAN_TRY(norm(b, x_BLD, "attention_norm.weight", &normed_BLD));
  TITAN_TRY(attention(b, normed_BLD, rope_table, &part_BLD));
  TITAN_TRY(titan_graph_binary(b->graph, TITAN_OP_add, x_BLD, part_BLD, &h_BLD));
  TITAN_TRY(norm(b, h_BLD, "ffn_norm.weight", &normed_BLD));
  TITAN_TRY(feed_forward(b, normed_BLD, &part_BLD));
  TITAN_TRY(titan_graph_binary(b->graph, TITAN_OP_add, h_BLD, part_BLD, &y_BLD));
  return titan_graph_output_add(b->graph, "y", y_BLD);
}

static titan_status build_head(const titan_model_arguments *arguments, const titan_model_shape *shape,
                               titan_graph *graph) {
  const builder made = builder_of(arguments, shape, graph), *b = &made;
  titan_value x_BLD, labels_BL, normed_BLD, w_VD, loss;
  TITAN_TRY(input_x(b, &x_BLD));
  TITAN_TRY(
      titan_graph_input(b->graph, "labels", (titan_tensor_type){TITAN_INT32, 2, {b->B, b->L}}, false, &labels_BL));
  TITAN_TRY(norm(b, x_BLD, "norm.weight", &normed_BLD));
  TITAN_TRY(titan_graph_parameter(b->graph, "output.weight", (titan_tensor_type){b->dtype, 2, {b->V, b->D}}, &w_VD));
  TITAN_TRY(titan_linear_cross_entropy_build(b->graph, normed_BLD, w_VD, labels_BL, shape->logits_bytes, &loss));
  return titan_graph_output_add(b->graph, "loss", loss);
}

static titan_status build_logits(const titan_model_arguments *arguments, const titan_model_shape *shape,
                                 titan_graph *graph) {
  const builder made = builder_of(arguments, shape, graph), *b = &made;
  titan_value x_BLD, normed_BLD, w_VD, logits;
  TITAN_TRY(input_x(b, &x_BLD));
  TITAN_TRY(norm(b, x_BLD, "norm.weight", &normed_BLD));
  TITAN_TRY(titan_graph_parameter(b->graph, "output.weight", (titan_tensor_type){b->dtype, 2, {b->V, b->D}}, &w_VD));
  TITAN_TRY(titan_graph_matmul(b->graph, normed_BLD, false, w_VD, true, TITAN_FLOAT32, &logits));
  return titan_graph_output_add(b->graph, "logits", logits);
}

static titan_status build_constants(const titan_model_arguments *arguments, const titan_model_shape *shape,
                                    titan_graph *graph) {
  const builder made = builder_of(arguments, shape, graph), *b = &made;
  titan_op_attributes attributes = {
      .rope = {
          .theta = b->arguments->rope_theta, .length = b->L, .head_size = b->H, .scaling = b->arguments->rope_scaling}};
  titan_value table;
  TITAN_TRY(titan_graph_apply(b->graph, TITAN_OP_rope_table, &attributes, 0, NULL, &table));
  return titan_graph_output_add(b->graph, "rope_table", table);
}

enum { EMBEDDING, BLOCK, HEAD, KINDS };

static const titan_model_kind kinds[KINDS] = {
    [EMBEDDING] = {.name = "embedding", .prefix = "", .build = build_embedding, .differentiate = "y"},
    [BLOCK] = {.name = "block", .prefix = "layers.%lld.", .build = build_block, .differentiate = "y"},
    [HEAD] = {.name = "head", .prefix = "", .build = build_head, .differentiate = "loss", .merged = true},
};
static const titan_model_tie tie = {.kinds = {EMBEDDING, HEAD},
                                    .parameters = {"tok_embeddings.weight", "output.weight"}};
static const titan_model_kind constants = {.name = "constants", .prefix = "", .build = build_constants};
static const titan_model_kind logits_kind = {.name = "logits", .prefix = "", .build = build_logits};

static int64_t unit_count(const titan_model_arguments *arguments) {
  return arguments->layers + 2;
}

static int kind_of(const titan_model_arguments *arguments, int64_t unit) {
  return unit == 0 ? EMBEDDING : unit <= arguments->layers ? BLOCK : HEAD;
}

static titan_status check(const titan_model_arguments *a, titan_text *problems) {
  if (a->dim % a->heads != 0)
    TITAN_TRY(titan_text_printf(problems, "model dim %lld is not divisible by its %lld heads\n", (long long)a->dim,
                                (long long)a->heads));
  else if (a->dim / a->heads % 2 != 0 || a->dim / a->heads < 16 || a->dim / a->heads > 256)
    TITAN_TRY(titan_text_printf(problems, "head size %lld (dim %lld / heads %lld) must be even and from 16 to 256\n",
                                (long long)(a->dim / a->heads), (long long)a->dim, (long long)a->heads));
  if (a->rope_scaling.factor > 0 && !(a->rope_scaling.high > a->rope_scaling.low))
    TITAN_TRY(
        titan_text_printf(problems,
                          "model.rope_scaling_high_freq_factor %g must be above model.rope_scaling_low_freq_factor "
                          "%g\n",
                          a->rope_scaling.high, a->rope_scaling.low));
  if (a->heads % a->kv_heads != 0)
    TITAN_TRY(titan_text_printf(problems, "%lld heads are not divisible by %lld kv heads\n", (long long)a->heads,
                                (long long)a->kv_heads));
  return TITAN_OK;
}

// The reference's initialisation: plain projections 0.02, those that write to the residual stream scaled down with
// depth, the output with dim^-1/2 cut at 3 standard deviations, which a tied embedding takes over; other cuts lie at
// the absolute value 2.
static titan_parameter_init init(const titan_model_arguments *arguments, const char *parameter, int64_t layer) {
  static const char *const depth_scaled[] = {"attention.wo.weight", "feed_forward.w2.weight", "feed_forward.w3.weight"};
  if (strstr(parameter, "norm") != NULL)
    return (titan_parameter_init){.mean = 1, .std = 0, .low = -1, .high = 1};
  bool embedding = strcmp(parameter, "tok_embeddings.weight") == 0;
  if (embedding && !arguments->tied)
    return (titan_parameter_init){.mean = 0, .std = 1, .low = -INFINITY, .high = INFINITY};
  if (embedding || strcmp(parameter, "output.weight") == 0)
    return (titan_parameter_init){.mean = 0, .std = 1 / sqrt((double)arguments->dim), .low = -3, .high = 3};
  double std = 0.02;
  for (size_t i = 0; i < sizeof depth_scaled / sizeof *depth_scaled; i++)
    if (strcmp(parameter, depth_scaled[i]) == 0)
      std = 0.02 / sqrt(2.0 * (double)(layer + 1));
  return (titan_parameter_init){.mean = 0, .std = std, .low = -2 / std, .high = 2 / std};
}

static titan_parameter_role role(const char *parameter) {
  return strstr(parameter, "norm") != NULL                 ? TITAN_PARAMETER_NORM
         : strcmp(parameter, "tok_embeddings.weight") == 0 ? TITAN_PARAMETER_EMBEDDING
         : strcmp(parameter, "output.weight") == 0         ? TITAN_PARAMETER_OUTPUT
                                                           : TITAN_PARAMETER_WEIGHT;
}

const titan_model_definition titan_model_llama2 = {
    .name = "llama2",
    .flavor = titan_llama2_flavor,
    .flavor_names = TITAN_LLAMA2_FLAVOR_NAMES,
    .check = check,
    .kinds = kinds,
    .kind_count = KINDS,
    .unit_count = unit_count,
    .kind_of = kind_of,
    .constants = &constants,
    .logits = &logits_kind,
    .init = init,
    .role = role,
    .tie = &tie,
};

const titan_model_definition titan_model_llama3 = {
    .name = "llama3",
    .flavor = titan_llama3_flavor,
    .flavor_names = TITAN_LLAMA3_FLAVOR_NAMES,
    .check = check,
    .kinds = kinds,
    .kind_count = KINDS,
    .unit_count = unit_count,
    .kind_of = kind_of,
    .constants = &constants,
    .logits = &logits_kind,
    .init = init,
    .role = role,
    .tie = &tie,
};
