// SPDX-License-Identifier: Apache-2.0
#include "wide_cases.h"

typedef struct visitor {
  case_visitor visit;
  void *context;
  titan_dtype dtype;
  int failures;
} visitor;

static titan_tensor_type matrix(titan_dtype dtype, int64_t rows, int64_t columns) {
  return (titan_tensor_type){dtype, 2, {rows, columns}};
}

static titan_tensor_type vector(titan_dtype dtype, int64_t length) {
  return (titan_tensor_type){dtype, 1, {length}};
}

static void visit(visitor *v, titan_op_kind kind, titan_op_attributes attributes, int inputs,
                  const titan_tensor_type *types) {
  titan_op_call call = {.kind = kind, .attributes = attributes, .input_count = inputs};
  for (int i = 0; i < inputs; i++)
    call.inputs[i] = types[i];
  v->failures += v->visit(&call, v->context);
}

static void norms(visitor *v, int64_t rows, int64_t width) {
  titan_tensor_type x = matrix(v->dtype, rows, width), w = vector(v->dtype, width);
  titan_tensor_type statistic = vector(TITAN_FLOAT32, rows);
  titan_op_attributes norm = {.norm = {1e-5f, true}};
  visit(v, TITAN_OP_rms_norm, norm, 2, (titan_tensor_type[]){x, w});
  visit(v, TITAN_OP_add_rms_norm, norm, 3, (titan_tensor_type[]){x, x, w});
  visit(v, TITAN_OP_layer_norm, norm, 2, (titan_tensor_type[]){x, w});
  visit(v, TITAN_OP_rms_norm_backward, norm, 5, (titan_tensor_type[]){x, x, w, statistic, x});
  visit(v, TITAN_OP_layer_norm_backward, norm, 4, (titan_tensor_type[]){x, x, statistic, statistic});
  visit(v, TITAN_OP_layer_norm_backward, norm, 5, (titan_tensor_type[]){x, x, statistic, statistic, w});
}

static void all_norms(visitor *v) {
  static const int64_t sizes[][2] = {{600, 64},  {3, 2048},  {5, 4096},  {3, 4104},  {3, 8192}, {3, 8200},
                                     {2, 16384}, {3, 16392}, {2, 20004}, {2, 33001}, {1, 70000}};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
    norms(v, sizes[s][0], sizes[s][1]);
}

static void elementwise(visitor *v) {
  titan_tensor_type x = vector(v->dtype, 300007);
  titan_op_attributes none = {.norm = {0}};
  visit(v, TITAN_OP_add, none, 2, (titan_tensor_type[]){x, x});
  visit(v, TITAN_OP_mul, none, 2, (titan_tensor_type[]){x, x});
  visit(v, TITAN_OP_silu, none, 1, &x);
  visit(v, TITAN_OP_silu_backward, none, 2, (titan_tensor_type[]){x, x});
  visit(v, TITAN_OP_copy, none, 1, &x);
  static const int64_t sizes[][2] = {{3, 14336}, {65537, 1}, {2, 5003}};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
    titan_tensor_type hidden = matrix(v->dtype, sizes[s][0], sizes[s][1]), gate_up = hidden;
    gate_up.dims[1] *= 2;
    visit(v, TITAN_OP_swiglu, none, 1, &gate_up);
    visit(v, TITAN_OP_swiglu_backward, none, 2, (titan_tensor_type[]){hidden, gate_up});
  }
}

static void heads(visitor *v, int64_t batch, int64_t length, int64_t n, int64_t k, int64_t size) {
  titan_tensor_type table = {TITAN_FLOAT32, 3, {length, size / 2, 2}}, q = {v->dtype, 4, {batch, length, n, size}};
  titan_tensor_type kv = {v->dtype, 4, {batch, length, k, size}};
  titan_tensor_type qkv = matrix(v->dtype, batch * length, (n + 2 * k) * size);
  titan_op_attributes attributes = {.heads = {batch, length, n, k, size, qkv}};
  visit(v, TITAN_OP_split_heads, attributes, 2, (titan_tensor_type[]){qkv, table});
  visit(v, TITAN_OP_join_heads, attributes, 4, (titan_tensor_type[]){q, kv, kv, table});
  visit(v, TITAN_OP_rope, (titan_op_attributes){.rope = {.inverse = true}}, 2, (titan_tensor_type[]){q, table});
}

static void embeddings(visitor *v) {
  static const int64_t sizes[][3] = {{700, 50, 2056}, {300, 1000, 4100}, {513, 3, 40}};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
    int64_t length = sizes[s][0], vocabulary = sizes[s][1], width = sizes[s][2];
    titan_tensor_type tokens = matrix(TITAN_INT32, 1, length);
    titan_op_attributes attributes = {.embedding = {.vocabulary = vocabulary}};
    visit(v, TITAN_OP_embedding, attributes, 2, (titan_tensor_type[]){tokens, matrix(v->dtype, vocabulary, width)});
    visit(v, TITAN_OP_embedding_backward, attributes, 2,
          (titan_tensor_type[]){tokens, {v->dtype, 3, {1, length, width}}});
  }
}

static void losses(visitor *v) {
  static const int64_t sizes[][2] = {{3, 50257}, {2, 128256}, {700, 33}, {65537, 3}};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
    titan_tensor_type logits = matrix(TITAN_FLOAT32, sizes[s][0], sizes[s][1]);
    titan_tensor_type labels = vector(TITAN_INT32, sizes[s][0]), rows = vector(TITAN_FLOAT32, sizes[s][0]);
    titan_tensor_type one = vector(TITAN_FLOAT32, 1), sums = matrix(TITAN_FLOAT32, 2, sizes[s][0]);
    titan_op_attributes attributes = {.cross_entropy = {.output = v->dtype}};
    visit(v, TITAN_OP_cross_entropy_backward, attributes, 4, (titan_tensor_type[]){logits, rows, labels, one});
    if (v->dtype != TITAN_FLOAT32 || sizes[s][0] > 1000) // the others have a block for each row
      continue;
    visit(v, TITAN_OP_cross_entropy, attributes, 2, (titan_tensor_type[]){logits, labels});
    visit(v, TITAN_OP_vocabulary_max, attributes, 1, &logits);
    visit(v, TITAN_OP_vocabulary_sums, attributes, 3, (titan_tensor_type[]){logits, labels, rows});
    visit(v, TITAN_OP_vocabulary_loss, attributes, 4, (titan_tensor_type[]){logits, labels, rows, sums});
  }
}

int for_each_wide_case(case_visitor visit_case, void *context) {
  int failures = 0;
  for (int t = 0; t < 2; t++) {
    visitor v = {visit_case, context, t == 0 ? TITAN_FLOAT32 : TITAN_BFLOAT16, 0};
    all_norms(&v);
    elementwise(&v);
    heads(&v, 2, 5, 32, 8, 128);
    heads(&v, 1, 65537, 1, 1, 2);
    embeddings(&v);
    losses(&v);
    failures += v.failures;
  }
  return failures;
}
