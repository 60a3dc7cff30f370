// SPDX-License-Identifier: Apache-2.0
// The cases: sizes around vector widths, blocks and tiles, each compute type, each variant of an operation.
#include "conformance.h"

static const titan_dtype compute_types[] = {TITAN_FLOAT32, TITAN_BFLOAT16};

typedef struct visitor {
  case_visitor visit;
  void *context;
  int *count;
  int failures;
} visitor;

static titan_tensor_type tensor(titan_dtype dtype, int rank, int64_t d0, int64_t d1, int64_t d2, int64_t d3) {
  return (titan_tensor_type){dtype, rank, {d0, d1, d2, d3}};
}

static void visit(visitor *v, titan_op_call *call) {
  ++*v->count;
  v->failures += v->visit(call, v->context);
}

static void elementwise(visitor *v, titan_dtype dtype) {
  static const int64_t sizes[] = {1, 3, 17, 255, 257, 1023, 1025, 65537};
  static const struct {
    titan_op_kind kind;
    int inputs;
  } kinds[] = {
      {TITAN_OP_add, 2}, {TITAN_OP_mul, 2}, {TITAN_OP_silu, 1}, {TITAN_OP_silu_backward, 2}, {TITAN_OP_copy, 1}};
  for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
      titan_op_call call = {.kind = kinds[k].kind, .input_count = kinds[k].inputs};
      call.inputs[0] = call.inputs[1] = tensor(dtype, 1, sizes[s], 0, 0, 0);
      visit(v, &call);
    }
}

static void swiglus(visitor *v, titan_dtype dtype) {
  static const int64_t sizes[][2] = {{1, 1}, {3, 5}, {17, 8}, {2, 17}, {257, 33}, {3, 1025}, {65, 768}};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
    titan_tensor_type hidden = tensor(dtype, 2, sizes[s][0], sizes[s][1], 0, 0), gate_up = hidden;
    gate_up.dims[1] *= 2;
    visit(v, &(titan_op_call){.kind = TITAN_OP_swiglu, .input_count = 1, .inputs = {gate_up}});
    visit(v, &(titan_op_call){.kind = TITAN_OP_swiglu_backward, .input_count = 2, .inputs = {hidden, gate_up}});
  }
}

static void norms(visitor *v, titan_dtype dtype, int64_t rows, int64_t width) {
  titan_tensor_type x = tensor(dtype, 2, rows, width, 0, 0), w = tensor(dtype, 1, width, 0, 0, 0);
  titan_tensor_type statistic = tensor(TITAN_FLOAT32, 1, rows, 0, 0, 0);
  for (int fused = 0; fused < 2; fused++) {
    titan_op_attributes attributes = {.norm = {1e-5f, fused}};
    visit(v, &(titan_op_call){.kind = TITAN_OP_rms_norm, .attributes = attributes, .input_count = 2, .inputs = {x, w}});
    visit(v, &(titan_op_call){.kind = TITAN_OP_rms_norm_backward,
                              .attributes = attributes,
                              .input_count = 4,
                              .inputs = {x, x, w, statistic}});
    visit(v, &(titan_op_call){
                 .kind = TITAN_OP_add_rms_norm, .attributes = attributes, .input_count = 3, .inputs = {x, x, w}});
    visit(v, &(titan_op_call){.kind = TITAN_OP_rms_norm_backward,
                              .attributes = attributes,
                              .input_count = 5,
                              .inputs = {x, x, w, statistic, x}});
  }
  for (int weighted = 0; weighted < 2; weighted++) {
    titan_op_attributes attributes = {.norm = {1e-5f, false}};
    visit(v, &(titan_op_call){
                 .kind = TITAN_OP_layer_norm, .attributes = attributes, .input_count = 1 + weighted, .inputs = {x, w}});
    visit(v, &(titan_op_call){.kind = TITAN_OP_layer_norm_backward,
                              .attributes = attributes,
                              .input_count = 4 + weighted,
                              .inputs = {x, x, statistic, statistic, w}});
  }
}

static void all_norms(visitor *v, titan_dtype dtype) {
  static const int64_t sizes[][2] = {{1, 1},   {3, 3},     {17, 17},  {1, 257},  {3, 255},
                                     {257, 3}, {257, 256}, {3, 1025}, {17, 2049}};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
    norms(v, dtype, sizes[s][0], sizes[s][1]);
}

static void embeddings(visitor *v, titan_dtype dtype) {
  static const int64_t sizes[][4] = {
      {1, 1, 1, 1}, {3, 17, 3, 17}, {1, 3, 257, 255}, {2, 257, 17, 257}, {1, 17, 3, 1100}};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
    int64_t batch = sizes[s][0], length = sizes[s][1], vocabulary = sizes[s][2], width = sizes[s][3];
    titan_tensor_type tokens = tensor(TITAN_INT32, 2, batch, length, 0, 0);
    visit(v, &(titan_op_call){.kind = TITAN_OP_embedding,
                              .input_count = 2,
                              .inputs = {tokens, tensor(dtype, 2, vocabulary, width, 0, 0)}});
    visit(v, &(titan_op_call){.kind = TITAN_OP_embedding_backward,
                              .attributes = {.embedding = {.vocabulary = vocabulary}},
                              .input_count = 2,
                              .inputs = {tokens, tensor(dtype, 3, batch, length, width, 0)}});
  }
}

// A shard of the vocabulary: tokens on either side of it name no row.
static void embedding_shards(visitor *v, titan_dtype dtype) {
  static const int64_t sizes[][5] = {{1, 1, 1, 1, 0}, {3, 17, 3, 17, 5}, {2, 129, 17, 257, 17}, {1, 33, 257, 65, 257}};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
    int64_t batch = sizes[s][0], length = sizes[s][1], rows = sizes[s][2], width = sizes[s][3];
    titan_tensor_type tokens = tensor(TITAN_INT32, 2, batch, length, 0, 0);
    titan_op_attributes attributes = {.embedding = {.first = sizes[s][4], .shard = true}};
    visit(v, &(titan_op_call){.kind = TITAN_OP_embedding,
                              .attributes = attributes,
                              .input_count = 2,
                              .inputs = {tokens, tensor(dtype, 2, rows, width, 0, 0)}});
    attributes.embedding.vocabulary = rows;
    visit(v, &(titan_op_call){.kind = TITAN_OP_embedding_backward,
                              .attributes = attributes,
                              .input_count = 2,
                              .inputs = {tokens, tensor(dtype, 3, batch, length, width, 0)}});
  }
}

static void ropes(visitor *v, titan_dtype dtype) {
  static const int64_t sizes[][4] = {{1, 1, 1, 2}, {2, 3, 5, 6}, {2, 17, 3, 16}, {1, 33, 4, 256}, {3, 65, 7, 64}};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
    for (int inverse = 0; inverse < 2; inverse++) {
      const int64_t *d = sizes[s];
      visit(v, &(titan_op_call){.kind = TITAN_OP_rope,
                                .attributes = {.rope = {.inverse = inverse}},
                                .input_count = 2,
                                .inputs = {tensor(dtype, 4, d[0], d[1], d[2], d[3]),
                                           tensor(TITAN_FLOAT32, 3, d[1], d[3] / 2, 2, 0)}});
    }
}

static void heads(visitor *v, titan_dtype dtype) {
  static const int64_t sizes[][5] = {{1, 1, 1, 1, 2},   {2, 3, 4, 2, 6},    {2, 17, 3, 1, 16},
                                     {1, 33, 4, 4, 64}, {3, 43, 6, 2, 128}, {1, 3, 2, 1, 258}};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
    int64_t b = sizes[s][0], l = sizes[s][1], n = sizes[s][2], k = sizes[s][3], h = sizes[s][4];
    titan_tensor_type table = tensor(TITAN_FLOAT32, 3, l, h / 2, 2, 0), kv = tensor(dtype, 4, b, l, k, h);
    titan_tensor_type qkv =
        s % 2 ? tensor(dtype, 3, b, l, (n + 2 * k) * h, 0) : tensor(dtype, 2, b * l, (n + 2 * k) * h, 0, 0);
    titan_op_attributes attributes = {.heads = {b, l, n, k, h, qkv}};
    visit(v, &(titan_op_call){
                 .kind = TITAN_OP_split_heads, .attributes = attributes, .input_count = 2, .inputs = {qkv, table}});
    visit(v, &(titan_op_call){.kind = TITAN_OP_join_heads,
                              .attributes = attributes,
                              .input_count = 4,
                              .inputs = {tensor(dtype, 4, b, l, n, h), kv, kv, table}});
  }
}

static void rope_tables(visitor *v) {
  for (int64_t first = 0; first < 100000; first += 77777)
    for (int64_t head = 2; head <= 258; head += 128)
      visit(v,
            &(titan_op_call){
                .kind = TITAN_OP_rope_table,
                .attributes = {.rope = {.theta = 500000, .length = 257, .head_size = head, .first_position = first}}});
  // Llama 3.1's and 3.2's scaling, and one whose bounds lie close together.
  static const titan_rope_scaling scalings[] = {{8, 1, 4, 8192}, {32, 1, 4, 8192}, {2.5, 3, 3.5, 100}};
  for (int i = 0; i < 3; i++)
    for (int64_t head = 16; head <= 128; head *= 8)
      visit(v, &(titan_op_call){.kind = TITAN_OP_rope_table,
                                .attributes = {.rope = {.theta = 500000,
                                                        .length = 257,
                                                        .head_size = head,
                                                        .first_position = 7777 * i,
                                                        .scaling = scalings[i]}}});
}

// first > 0: labels in other columns too, which the forward does not allow.
static void cross_entropy(visitor *v, int64_t rows, int64_t width, int64_t first, int64_t columns) {
  titan_tensor_type logits = tensor(TITAN_FLOAT32, 2, rows, width, 0, 0);
  titan_tensor_type lse = tensor(TITAN_FLOAT32, 1, rows, 0, 0, 0), labels = tensor(TITAN_INT32, 1, rows, 0, 0, 0);
  titan_tensor_type one = tensor(TITAN_FLOAT32, 1, 1, 0, 0, 0);
  titan_op_attributes attributes = {.cross_entropy = {.output = TITAN_FLOAT32, first, columns}};
  if (first == 0)
    visit(v,
          &(titan_op_call){
              .kind = TITAN_OP_cross_entropy, .attributes = attributes, .input_count = 2, .inputs = {logits, labels}});
  for (int t = 0; t < 2; t++) {
    attributes.cross_entropy.output = compute_types[t];
    visit(v, &(titan_op_call){.kind = TITAN_OP_cross_entropy_backward,
                              .attributes = attributes,
                              .input_count = 4,
                              .inputs = {logits, lse, labels, one}});
  }
}

static void vocabularies(visitor *v, int64_t rows, int64_t width, int64_t first, int64_t columns) {
  titan_tensor_type logits = tensor(TITAN_FLOAT32, 2, rows, width, 0, 0);
  titan_tensor_type largest = tensor(TITAN_FLOAT32, 1, rows, 0, 0, 0), labels = tensor(TITAN_INT32, 1, rows, 0, 0, 0);
  titan_tensor_type sums = tensor(TITAN_FLOAT32, 2, 2, rows, 0, 0);
  titan_op_attributes attributes = {.cross_entropy = {.output = TITAN_FLOAT32, first, columns}};
  static const titan_op_kind kinds[] = {TITAN_OP_vocabulary_max, TITAN_OP_vocabulary_sums, TITAN_OP_vocabulary_loss};
  static const int inputs[] = {1, 3, 4};
  for (int k = 0; k < 3; k++)
    visit(v, &(titan_op_call){.kind = kinds[k],
                              .attributes = attributes,
                              .input_count = inputs[k],
                              .inputs = {logits, labels, largest, sums}});
}

static void cross_entropies(visitor *v) {
  static const int64_t sizes[][2] = {{1, 1}, {3, 3}, {17, 17}, {257, 255}, {17, 257}, {33, 2256}};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
    int64_t rows = sizes[s][0], width = sizes[s][1];
    cross_entropy(v, rows, width, 0, 0);
    vocabularies(v, rows, width, 0, 0);
  }
  // padded on the right, the first column standing for a later label
  static const int64_t shards[][4] = {{1, 2, 0, 1},      {17, 17, 17, 0},        {17, 17, 5, 16},
                                      {33, 257, 0, 256}, {33, 1100, 1100, 1023}, {9, 1100, 2200, 1025}};
  for (size_t s = 0; s < sizeof shards / sizeof *shards; s++) {
    cross_entropy(v, shards[s][0], shards[s][1], shards[s][2], shards[s][3]);
    vocabularies(v, shards[s][0], shards[s][1], shards[s][2], shards[s][3]);
  }
}

static void columns(visitor *v, titan_dtype dtype) {
  static const int64_t sizes[][3] = {{1, 1, 1}, {3, 5, 2}, {17, 33, 3}, {257, 17, 4}};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
    for (int rank = 0; rank < sizes[s][2]; rank++)
      visit(v, &(titan_op_call){.kind = TITAN_OP_take_columns,
                                .attributes = {.collective = {.ranks = (int)sizes[s][2], .rank = rank}},
                                .input_count = 1,
                                .inputs = {tensor(dtype, 2, sizes[s][0], sizes[s][1] * sizes[s][2], 0, 0)}});
}

static void matmul(visitor *v, const int64_t size[3], titan_dtype input, titan_dtype output, int variant) {
  int64_t m = size[0], n = size[1], k = size[2];
  bool ta = variant & 1, tb = variant & 2, adds = variant & 4;
  titan_op_call call = {
      .kind = TITAN_OP_matmul, .attributes = {.matmul = {ta, tb, output}}, .input_count = adds ? 3 : 2};
  call.inputs[0] = ta ? tensor(input, 2, k, m, 0, 0) : tensor(input, 2, m, k, 0, 0);
  if (!ta && m % 3 == 0)
    call.inputs[0] = tensor(input, 3, 3, m / 3, k, 0); // leading dimensions become rows
  call.inputs[1] = tb ? tensor(input, 2, n, k, 0, 0) : tensor(input, 2, k, n, 0, 0);
  call.inputs[2] = tensor(output, 2, m, n, 0, 0);
  visit(v, &call);
}

static void matmuls(visitor *v) {
  static const int64_t sizes[][3] = {{1, 1, 1},    {3, 17, 5},     {17, 3, 257},     {255, 257, 31},
                                     {64, 96, 64}, {33, 16, 2100}, {1030, 17, 1027}, {18, 1030, 1040}};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
    for (int variant = 0; variant < 8; variant++) {
      matmul(v, sizes[s], TITAN_FLOAT32, TITAN_FLOAT32, variant);
      matmul(v, sizes[s], TITAN_BFLOAT16, TITAN_FLOAT32, variant);
      matmul(v, sizes[s], TITAN_BFLOAT16, TITAN_BFLOAT16, variant);
    }
}

int for_each_case(case_visitor visit_case, void *context, int *count) {
  visitor v = {visit_case, context, count, 0};
  for (int t = 0; t < 2; t++) {
    elementwise(&v, compute_types[t]);
    swiglus(&v, compute_types[t]);
    all_norms(&v, compute_types[t]);
    embeddings(&v, compute_types[t]);
    embedding_shards(&v, compute_types[t]);
    columns(&v, compute_types[t]);
    ropes(&v, compute_types[t]);
    heads(&v, compute_types[t]);
  }
  rope_tables(&v);
  cross_entropies(&v);
  matmuls(&v);
  return v.failures;
}
