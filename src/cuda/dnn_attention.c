// SPDX-License-Identifier: Apache-2.0
// cuDNN recognises attention by the kinds, the order and the types of these operations (T. Dao, "FlashAttention-2",
// 2023, has the formulas); nothing of size [B,N,L,L] is ever stored but by the deterministic form.
#if __has_include(<cudnn.h>)
#include "cuda/dnn_attention.h"

#include "cuda/dnn_graph.h"

#include <float.h>
#include <math.h>
#include <string.h>

// Numbers of the operands.
enum { Q = 1, K, V, O, LSE, DO, DQ, DK, DV, SUMS, DQ_SUM, SCALE, HIDDEN, ONE, OPERANDS };

static const int64_t VECTOR_ALIGNMENT = 16, FLOAT_ALIGNMENT = 4;

struct titan_dnn_attention {
  titan_dnn_attention *next; // of the library's that are in use
  int uses;
  bool built;
  titan_dnn_attention_kind kind;
  titan_dnn_attention_shape shape;
  float scale, hidden, one; // hidden: the score of a key that a query does not see
  titan_dnn_graph graph;
};

// [B,heads,L,H], rows of which are those of a tensor [B,L,all_heads,H].
static titan_dnn_tensor heads_of(const titan_dnn_attention_shape *s, bool of_keys) {
  const int64_t heads = of_keys ? s->kv_heads : s->heads, all = of_keys ? s->all_kv_heads : s->all_heads;
  return (titan_dnn_tensor){CUDNN_DATA_BFLOAT16,
                            {s->batch, heads, s->length, s->head_size},
                            {s->length * all * s->head_size, s->head_size, all * s->head_size, 1}};
}

static titan_dnn_tensor transposed(titan_dnn_tensor tensor) {
  const int64_t dim = tensor.dims[2], stride = tensor.strides[2];
  tensor.dims[2] = tensor.dims[3];
  tensor.strides[2] = tensor.strides[3];
  tensor.dims[3] = dim;
  tensor.strides[3] = stride;
  return tensor;
}

static titan_dnn_tensor packed(cudnnDataType_t type, int64_t batch, int64_t heads, int64_t rows, int64_t columns) {
  return (titan_dnn_tensor){type, {batch, heads, rows, columns}, {heads * rows * columns, rows * columns, columns, 1}};
}

static titan_dnn_descriptor operand(titan_dnn_attention *a, int id) {
  const bool of_keys = id == K || id == V || id == DK || id == DV;
  const titan_dnn_tensor tensor = heads_of(&a->shape, of_keys);
  return titan_dnn_operand(&a->graph, id, VECTOR_ALIGNMENT, &tensor);
}

static titan_dnn_descriptor transposed_operand(titan_dnn_attention *a, int id) {
  const titan_dnn_tensor tensor = transposed(heads_of(&a->shape, true));
  return titan_dnn_operand(&a->graph, id, VECTOR_ALIGNMENT, &tensor);
}

// A number a row: lse, of which the plan's heads are some of a tensor's.
static titan_dnn_descriptor lse_operand(titan_dnn_attention *a) {
  const titan_dnn_attention_shape *s = &a->shape;
  titan_dnn_tensor tensor = packed(CUDNN_DATA_FLOAT, s->batch, s->heads, s->length, 1);
  tensor.strides[0] = s->all_heads * s->length;
  return titan_dnn_operand(&a->graph, LSE, FLOAT_ALIGNMENT, &tensor);
}

// Values that are never stored: a number a row, and scores, whose memory order may be that of the keys.
static titan_dnn_descriptor row_value(titan_dnn_attention *a) {
  const titan_dnn_tensor tensor = packed(CUDNN_DATA_FLOAT, a->shape.batch, a->shape.heads, a->shape.length, 1);
  return titan_dnn_value(&a->graph, &tensor);
}

static titan_dnn_descriptor scores(titan_dnn_attention *a, cudnnDataType_t type) {
  const titan_dnn_attention_shape *s = &a->shape;
  const titan_dnn_tensor tensor = packed(type, s->batch, s->heads, s->length, s->length);
  return titan_dnn_value(&a->graph, &tensor);
}

static titan_dnn_descriptor transposed_scores(titan_dnn_attention *a, titan_dnn_descriptor from) {
  const titan_dnn_attention_shape *s = &a->shape;
  const titan_dnn_tensor tensor = transposed(packed(CUDNN_DATA_BFLOAT16, s->batch, s->heads, s->length, s->length));
  titan_dnn_descriptor y = titan_dnn_value(&a->graph, &tensor);
  titan_dnn_reshape(&a->graph, from, y);
  return y;
}

static titan_dnn_descriptor pointwise(titan_dnn_attention *a, cudnnPointwiseMode_t mode, titan_dnn_descriptor x,
                                      titan_dnn_descriptor b) {
  titan_dnn_descriptor y = scores(a, CUDNN_DATA_FLOAT);
  titan_dnn_pointwise(&a->graph, mode, CUDNN_DATA_FLOAT, x, b, y);
  return y;
}

// Hides the keys behind each query.
static titan_dnn_descriptor causal(titan_dnn_attention *a, titan_dnn_descriptor x) {
  titan_dnn_descriptor row = scores(a, CUDNN_DATA_INT32), column = scores(a, CUDNN_DATA_INT32);
  titan_dnn_descriptor seen = scores(a, CUDNN_DATA_BOOLEAN), y = scores(a, CUDNN_DATA_FLOAT);
  titan_dnn_position(&a->graph, 2, x, row);
  titan_dnn_position(&a->graph, 3, x, column);
  titan_dnn_pointwise(&a->graph, CUDNN_POINTWISE_CMP_GE, CUDNN_DATA_BOOLEAN, row, column, seen);
  titan_dnn_select(&a->graph, x, titan_dnn_scalar(&a->graph, HIDDEN), seen, y);
  return y;
}

static void build_forward(titan_dnn_attention *a) {
  titan_dnn_graph *graph = &a->graph;
  titan_dnn_descriptor q = operand(a, Q), k = transposed_operand(a, K), v = operand(a, V), o = operand(a, O);
  titan_dnn_descriptor lse = lse_operand(a), product = scores(a, CUDNN_DATA_FLOAT);
  titan_dnn_product(graph, q, k, product);
  titan_dnn_descriptor score = causal(a, pointwise(a, CUDNN_POINTWISE_MUL, product, titan_dnn_scalar(graph, SCALE)));
  titan_dnn_descriptor maximum = row_value(a), sum = row_value(a), logarithm = row_value(a);
  titan_dnn_reduce(graph, CUDNN_REDUCE_TENSOR_MAX, score, maximum);
  titan_dnn_descriptor exponential =
      pointwise(a, CUDNN_POINTWISE_EXP, pointwise(a, CUDNN_POINTWISE_SUB, score, maximum), NULL);
  titan_dnn_reduce(graph, CUDNN_REDUCE_TENSOR_ADD, exponential, sum);
  titan_dnn_pointwise(graph, CUDNN_POINTWISE_LOG, CUDNN_DATA_FLOAT, sum, NULL, logarithm);
  titan_dnn_pointwise(graph, CUDNN_POINTWISE_ADD, CUDNN_DATA_FLOAT, maximum, logarithm, lse);
  titan_dnn_descriptor probability = scores(a, CUDNN_DATA_BFLOAT16);
  titan_dnn_pointwise(graph, CUDNN_POINTWISE_DIV, CUDNN_DATA_FLOAT, exponential, sum, probability);
  titan_dnn_product(graph, probability, v, o);
}

// y = x' rows, summed over the query heads of each kv head.
static void key_gradient(titan_dnn_attention *a, titan_dnn_descriptor x, titan_dnn_descriptor rows,
                         titan_dnn_descriptor y) {
  const titan_dnn_attention_shape *s = &a->shape;
  if (s->heads == s->kv_heads) {
    titan_dnn_product(&a->graph, x, rows, y);
    return;
  }
  const titan_dnn_tensor tensor = packed(CUDNN_DATA_BFLOAT16, s->batch, s->heads, s->length, s->head_size);
  titan_dnn_descriptor of_heads = titan_dnn_value(&a->graph, &tensor);
  titan_dnn_product(&a->graph, x, rows, of_heads);
  titan_dnn_reduce(&a->graph, CUDNN_REDUCE_TENSOR_ADD, of_heads, y);
}

static void query_gradient(titan_dnn_attention *a, titan_dnn_descriptor score_gradient, titan_dnn_descriptor k,
                           titan_dnn_descriptor dq) {
  const titan_dnn_attention_shape *s = &a->shape;
  const titan_dnn_tensor keys = heads_of(s, true);
  titan_dnn_descriptor rows = titan_dnn_value(&a->graph, &keys);
  titan_dnn_reshape(&a->graph, k, rows);
  if (a->kind == TITAN_DNN_BACKWARD_DETERMINISTIC) {
    titan_dnn_product(&a->graph, score_gradient, rows, dq);
    return;
  }
  const titan_dnn_tensor tensor = packed(CUDNN_DATA_FLOAT, s->batch, s->heads, s->length, s->head_size);
  titan_dnn_descriptor sum = titan_dnn_operand(&a->graph, DQ_SUM, VECTOR_ALIGNMENT, &tensor);
  titan_dnn_product(&a->graph, score_gradient, rows, sum);
  titan_dnn_pointwise(&a->graph, CUDNN_POINTWISE_IDENTITY, CUDNN_DATA_FLOAT, sum, NULL, dq);
}

// The sum of do * o over each row.
static titan_dnn_descriptor row_sums(titan_dnn_attention *a, titan_dnn_descriptor d_o, titan_dnn_descriptor o) {
  const titan_dnn_attention_shape *s = &a->shape;
  titan_dnn_tensor heads = packed(CUDNN_DATA_FLOAT, s->batch, s->heads, s->length, s->head_size);
  heads.strides[2] = s->heads * s->head_size;
  const titan_dnn_tensor rows = packed(CUDNN_DATA_FLOAT, s->batch, s->heads, s->length, 1);
  titan_dnn_descriptor product = titan_dnn_value(&a->graph, &heads), sum = row_value(a);
  titan_dnn_descriptor sums = titan_dnn_operand(&a->graph, SUMS, VECTOR_ALIGNMENT, &rows);
  titan_dnn_pointwise(&a->graph, CUDNN_POINTWISE_MUL, CUDNN_DATA_FLOAT, d_o, o, product);
  titan_dnn_reduce(&a->graph, CUDNN_REDUCE_TENSOR_ADD, product, sum);
  titan_dnn_pointwise(&a->graph, CUDNN_POINTWISE_MUL, CUDNN_DATA_FLOAT, sum, titan_dnn_scalar(&a->graph, ONE), sums);
  return sums;
}

static void build_backward(titan_dnn_attention *a) {
  titan_dnn_graph *graph = &a->graph;
  titan_dnn_descriptor q = operand(a, Q), k = transposed_operand(a, K), v = transposed_operand(a, V);
  titan_dnn_descriptor o = operand(a, O), d_o = operand(a, DO), lse = lse_operand(a);
  titan_dnn_descriptor dq = operand(a, DQ), dk = operand(a, DK), dv = operand(a, DV);
  titan_dnn_descriptor sums = row_sums(a, d_o, o), scale = titan_dnn_scalar(graph, SCALE);
  titan_dnn_descriptor product = scores(a, CUDNN_DATA_FLOAT), value_product = scores(a, CUDNN_DATA_FLOAT);
  titan_dnn_product(graph, q, k, product);
  titan_dnn_descriptor score =
      pointwise(a, CUDNN_POINTWISE_SUB, pointwise(a, CUDNN_POINTWISE_MUL, product, scale), lse);
  titan_dnn_descriptor probability = pointwise(a, CUDNN_POINTWISE_EXP, causal(a, score), NULL);
  key_gradient(a, transposed_scores(a, probability), d_o, dv);
  titan_dnn_product(graph, d_o, v, value_product);
  titan_dnn_descriptor difference = pointwise(a, CUDNN_POINTWISE_SUB, value_product, sums);
  titan_dnn_descriptor score_gradient =
      pointwise(a, CUDNN_POINTWISE_MUL, pointwise(a, CUDNN_POINTWISE_MUL, difference, probability), scale);
  key_gradient(a, transposed_scores(a, score_gradient), q, dk);
  query_gradient(a, score_gradient, k, dq);
}

static titan_dnn_attention *find(titan_cuda_dnn *dnn, titan_dnn_attention_kind kind,
                                 const titan_dnn_attention_shape *shape, size_t limit, bool build) {
  titan_dnn_attention *a = dnn->attentions;
  while (a != NULL && (a->kind != kind || memcmp(&a->shape, shape, sizeof *shape) != 0 || a->built != build ||
                       (size_t)a->graph.workspace > limit))
    a = a->next;
  return a;
}

titan_status titan_dnn_attention_create(titan_cuda_dnn *dnn, titan_dnn_attention_kind kind,
                                        const titan_dnn_attention_shape *shape, size_t limit, bool build,
                                        titan_dnn_attention **out, char reason[TITAN_DNN_REASON_BYTES]) {
  titan_dnn_attention *a = find(dnn, kind, shape, limit, build);
  *out = a;
  reason[0] = 0;
  if (a != NULL) {
    a->uses++;
    return TITAN_OK;
  }
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, 1, sizeof *a, &a));
  a->uses = 1;
  a->built = build;
  a->kind = kind;
  a->shape = *shape;
  a->scale = (float)(1.0 / sqrt((double)shape->head_size));
  a->hidden = -FLT_MAX;
  a->one = 1.0f;
  a->graph.dnn = dnn;
  if (kind == TITAN_DNN_FORWARD)
    build_forward(a);
  else
    build_backward(a);
  a->next = dnn->attentions;
  dnn->attentions = a;
  if (titan_dnn_plan(&a->graph, (int64_t)limit, build)) {
    *out = a;
    return TITAN_OK;
  }
  memcpy(reason, a->graph.reason, TITAN_DNN_REASON_BYTES);
  titan_dnn_attention_destroy(&a);
  return TITAN_OK;
}

void titan_dnn_attention_destroy(titan_dnn_attention **attention) {
  titan_dnn_attention *a = *attention;
  *attention = NULL;
  if (a == NULL || --a->uses > 0)
    return;
  titan_dnn_attention **place = &a->graph.dnn->attentions;
  while (*place != a)
    place = &(*place)->next;
  *place = a->next;
  titan_dnn_graph_clear(&a->graph);
  titan_memory_free(a);
}

int64_t titan_dnn_attention_engine(const titan_dnn_attention *attention) {
  return attention->graph.engine;
}

size_t titan_dnn_attention_workspace(const titan_dnn_attention *attention) {
  return (size_t)attention->graph.workspace;
}

titan_status titan_dnn_attention_run(titan_dnn_attention *a, const titan_dnn_attention_operands *p) {
  const bool is_forward = a->kind == TITAN_DNN_FORWARD;
  const void *const pointers[OPERANDS] = {
      [Q] = p->q,
      [K] = p->k,
      [V] = p->v,
      [O] = is_forward ? p->out : p->o,
      [LSE] = is_forward ? p->out_lse : p->lse,
      [DO] = p->d_o,
      [DQ] = p->dq,
      [DK] = p->dk,
      [DV] = p->dv,
      [SUMS] = p->sums,
      [DQ_SUM] = p->dq_sum,
      [SCALE] = &a->scale,
      [ONE] = &a->one,
      [HIDDEN] = &a->hidden,
  };
  static const int forward[] = {Q, K, V, O, LSE, SCALE, HIDDEN};
  static const int backward[] = {Q, K, V, O, LSE, DO, DQ, DK, DV, SUMS, SCALE, HIDDEN, ONE, DQ_SUM};
  const int count = is_forward ? (int)(sizeof forward / sizeof *forward)
                               : (int)(sizeof backward / sizeof *backward) - (a->kind != TITAN_DNN_BACKWARD);
  int64_t ids[OPERANDS];
  const void *given[OPERANDS];
  for (int i = 0; i < count; i++) {
    ids[i] = is_forward ? forward[i] : backward[i];
    given[i] = pointers[ids[i]];
  }
  return titan_dnn_execute(&a->graph, count, ids, given, p->workspace);
}

#endif
