// SPDX-License-Identifier: Apache-2.0
#include "random_graph.h"

#include <stdio.h>

enum { POOL = 96, PARAMETERS = 48 };

typedef struct builder {
  random_source *random;
  const random_graph_options *options;
  titan_graph *graph;
  titan_value pool[POOL]; // rank 2, of the compute type
  bool used[POOL], sliced[POOL];
  int count;
  titan_value parameters[PARAMETERS]; // matrices
  int parameter_count, inputs;
} builder;

static const titan_tensor_type *type_of(const builder *b, titan_value value) {
  return &titan_graph_value(b->graph, value)->type;
}

static titan_tensor_type matrix(const builder *b, int64_t rows, int64_t columns) {
  return (titan_tensor_type){b->options->dtype, 2, {rows, columns}};
}

static void put(builder *b, titan_value value) {
  if (b->count < POOL) {
    b->used[b->count] = b->sliced[b->count] = false;
    b->pool[b->count++] = value;
  }
}

static titan_value take(builder *b) {
  int i = random_below(b->random, b->count);
  b->used[i] = true;
  return b->pool[i];
}

// A value of the pool with this many rows and columns (0: any); TITAN_NO_VALUE when a few tries find none.
static titan_value take_shaped(builder *b, int64_t rows, int64_t columns) {
  for (int tries = 0; tries < 8; tries++) {
    int i = random_below(b->random, b->count);
    const titan_tensor_type *type = type_of(b, b->pool[i]);
    if ((rows == 0 || type->dims[0] == rows) && (columns == 0 || type->dims[1] == columns)) {
      b->used[i] = true;
      return b->pool[i];
    }
  }
  return TITAN_NO_VALUE;
}

static titan_value new_parameter(builder *b, titan_tensor_type type) {
  char name[TITAN_NAME_BYTES];
  titan_value value;
  snprintf(name, sizeof name, "w%d", b->parameter_count++);
  TRY(titan_graph_parameter(b->graph, name, type, &value));
  return value;
}

// Half of the time one that exists, so that parameters have several users.
static titan_value weight(builder *b, int64_t rows, int64_t columns) {
  for (int i = 0; i < b->parameter_count; i++)
    if (b->parameters[i] != TITAN_NO_VALUE && type_of(b, b->parameters[i])->dims[0] == rows &&
        type_of(b, b->parameters[i])->dims[1] == columns && random_below(b->random, 2) == 0)
      return b->parameters[i];
  int at = b->parameter_count;
  titan_value value = new_parameter(b, matrix(b, rows, columns));
  if (at < PARAMETERS)
    b->parameters[at] = value;
  return value;
}

static titan_value vector_parameter(builder *b, int64_t elements) {
  int at = b->parameter_count;
  titan_value value = new_parameter(b, (titan_tensor_type){b->options->dtype, 1, {elements}});
  if (at < PARAMETERS)
    b->parameters[at] = TITAN_NO_VALUE;
  return value;
}

static int64_t any_width(builder *b) {
  static const int64_t widths[] = {5, 16, 16, 32};
  return widths[random_below(b->random, 4)];
}

static titan_value product(builder *b, titan_value a, bool ta, titan_value w, bool tw) {
  titan_value y;
  TRY(titan_graph_matmul(b->graph, a, ta, w, tw, b->options->dtype, &y));
  return y;
}

static titan_value project(builder *b, titan_value a, bool ta, int64_t columns) {
  bool tw = random_below(b->random, 2);
  int64_t inner = type_of(b, a)->dims[ta ? 0 : 1];
  return product(b, a, ta, tw ? weight(b, columns, inner) : weight(b, inner, columns), tw);
}

static void add_unary(builder *b) {
  titan_value y;
  TRY(titan_graph_unary(b->graph, TITAN_OP_silu, take(b), &y));
  put(b, y);
}

static void add_swiglu(builder *b) {
  titan_value y;
  TRY(titan_graph_unary(b->graph, TITAN_OP_swiglu, project(b, take(b), false, 2 * any_width(b)), &y));
  put(b, y);
}

static void add_binary(builder *b) {
  titan_value x = take(b), y;
  titan_value other = take_shaped(b, type_of(b, x)->dims[0], type_of(b, x)->dims[1]);
  TRY(titan_graph_binary(b->graph, random_below(b->random, 2) ? TITAN_OP_add : TITAN_OP_mul, x,
                         other == TITAN_NO_VALUE ? x : other, &y));
  put(b, y);
}

static void add_projection(builder *b) {
  put(b, project(b, take(b), random_below(b->random, 3) == 0, any_width(b)));
}

// A product of two values of the pool.
static void add_product(builder *b) {
  titan_value x = take(b);
  bool tx = random_below(b->random, 2), ty = random_below(b->random, 2);
  int64_t inner = type_of(b, x)->dims[tx ? 0 : 1];
  titan_value y = ty ? take_shaped(b, 0, inner) : take_shaped(b, inner, 0);
  if (y != TITAN_NO_VALUE)
    put(b, product(b, x, tx, y, ty));
  else
    put(b, product(b, x, tx, x, !tx));
}

// x w + c, c being any value of the right shape: x itself where it fits.
static void add_accumulating_product(builder *b) {
  titan_value x = take(b), y;
  titan_value c = take_shaped(b, type_of(b, x)->dims[0], 0);
  if (c == TITAN_NO_VALUE)
    c = x;
  int64_t columns = type_of(b, c)->dims[1];
  bool tw = random_below(b->random, 2);
  titan_value w = tw ? weight(b, columns, type_of(b, x)->dims[1]) : weight(b, type_of(b, x)->dims[1], columns);
  titan_op_attributes attributes = {.matmul = {false, tw, b->options->dtype}};
  TRY(titan_graph_apply(b->graph, TITAN_OP_matmul, &attributes, 3, (titan_value[]){x, w, c}, &y));
  put(b, y);
}

static void add_norm(builder *b) {
  int kind = random_below(b->random, 3);
  titan_value inputs[2] = {take(b)}, outputs[TITAN_MAX_OUTPUTS];
  int count = kind == 2 ? 1 : 2;
  if (count == 2)
    inputs[1] = vector_parameter(b, type_of(b, inputs[0])->dims[1]);
  titan_op_attributes attributes = {.norm = {1e-2f, b->options->fused_norms || random_below(b->random, 2)}};
  TRY(titan_graph_apply(b->graph, kind == 0 ? TITAN_OP_rms_norm : TITAN_OP_layer_norm, &attributes, count, inputs,
                        outputs));
  put(b, outputs[0]);
}

// The norm of a sum, and the sum itself.
static void add_residual_norm(builder *b) {
  titan_value x = take(b), outputs[TITAN_MAX_OUTPUTS];
  titan_value r = take_shaped(b, type_of(b, x)->dims[0], type_of(b, x)->dims[1]);
  titan_value inputs[] = {x, r == TITAN_NO_VALUE ? x : r, vector_parameter(b, type_of(b, x)->dims[1])};
  titan_op_attributes attributes = {.norm = {1e-2f, b->options->fused_norms || random_below(b->random, 2)}};
  TRY(titan_graph_apply(b->graph, TITAN_OP_add_rms_norm, &attributes, 3, inputs, outputs));
  put(b, outputs[0]);
  if (random_below(b->random, 3) > 0)
    put(b, outputs[2]);
}

static titan_value heads_of(builder *b, titan_value x, int64_t heads, int64_t head_size) {
  titan_value y;
  TRY(titan_graph_reshape(b->graph, x, 4, (int64_t[]){1, type_of(b, x)->dims[0], heads, head_size}, &y));
  return y;
}

static titan_value rotate(builder *b, titan_value x_BLNH) {
  const int64_t *dims = type_of(b, x_BLNH)->dims;
  titan_value table, y;
  titan_op_attributes attributes = {.rope = {.theta = 100, .length = dims[1], .head_size = dims[3]}};
  TRY(titan_graph_apply(b->graph, TITAN_OP_rope_table, &attributes, 0, NULL, &table));
  TRY(titan_graph_binary(b->graph, TITAN_OP_rope, x_BLNH, table, &y));
  return y;
}

// Two query heads of 16 on one or two kv heads; q and k rotated now and then.
static void add_attention(builder *b) {
  titan_value x = take(b), o[TITAN_MAX_OUTPUTS], y;
  int64_t rows = type_of(b, x)->dims[0], kv_heads = 1 + random_below(b->random, 2);
  titan_value q = heads_of(b, project(b, x, false, 32), 2, 16);
  titan_value k = heads_of(b, project(b, x, false, 16 * kv_heads), kv_heads, 16);
  titan_value v = random_below(b->random, 3) == 0 ? k : heads_of(b, project(b, x, false, 16 * kv_heads), kv_heads, 16);
  if (random_below(b->random, 2)) {
    q = rotate(b, q);
    k = rotate(b, k);
  }
  TRY(titan_graph_apply(b->graph, TITAN_OP_attention, NULL, 3, (titan_value[]){q, k, v}, o));
  TRY(titan_graph_reshape(b->graph, o[0], 2, (int64_t[]){rows, 32}, &y));
  put(b, y);
}

// As add_attention, from one product for q, k and v.
static void add_fused_attention(builder *b) {
  titan_value x = take(b), o[TITAN_MAX_OUTPUTS], parts[TITAN_MAX_OUTPUTS], table, y;
  int64_t rows = type_of(b, x)->dims[0], kv_heads = 1 + random_below(b->random, 2);
  titan_op_attributes angles = {.rope = {.theta = 100, .length = rows, .head_size = 16}};
  TRY(titan_graph_apply(b->graph, TITAN_OP_rope_table, &angles, 0, NULL, &table));
  titan_op_attributes heads = {
      .heads = {.batch = 1, .length = rows, .heads = 2, .kv_heads = kv_heads, .head_size = 16}};
  titan_value inputs[] = {project(b, x, false, (2 + 2 * kv_heads) * 16), table};
  TRY(titan_graph_apply(b->graph, TITAN_OP_split_heads, &heads, 2, inputs, parts));
  TRY(titan_graph_apply(b->graph, TITAN_OP_attention, NULL, 3, parts, o));
  TRY(titan_graph_reshape(b->graph, o[0], 2, (int64_t[]){rows, 32}, &y));
  put(b, y);
}

// Two or three slices that cover a value, each through an operation of its own. A value is sliced once: gradients of
// overlapping slices are an error.
static void add_slices(builder *b) {
  int at = random_below(b->random, b->count);
  if (b->sliced[at])
    return;
  b->sliced[at] = b->used[at] = true;
  titan_value x = b->pool[at];
  int64_t rows = type_of(b, x)->dims[0], begin = 0;
  int pieces = 2 + random_below(b->random, 2);
  for (int i = 0; i < pieces && begin < rows; i++) {
    int64_t left = rows - begin, count = i == pieces - 1 ? left : 1 + random_below(b->random, (int)left);
    titan_value piece, y;
    TRY(titan_graph_slice(b->graph, x, begin, count, &piece));
    if (random_below(b->random, 2))
      TRY(titan_graph_unary(b->graph, TITAN_OP_silu, piece, &y));
    else
      y = project(b, piece, false, any_width(b));
    put(b, y);
    begin += count;
  }
  if (begin < rows) {
    titan_value piece;
    TRY(titan_graph_slice(b->graph, x, begin, rows - begin, &piece));
    put(b, project(b, piece, false, 16));
  }
}

static void add_reshape(builder *b) {
  titan_value x = take(b), y;
  int64_t rows = type_of(b, x)->dims[0], columns = type_of(b, x)->dims[1];
  if (columns % 2 == 0)
    rows *= 2, columns /= 2;
  if (columns < 4) // norms of so few elements bend too much for finite differences
    return put(b, project(b, x, false, 16));
  TRY(titan_graph_reshape(b->graph, x, 2, (int64_t[]){rows, columns}, &y));
  put(b, y);
}

static titan_value labels_of(builder *b, int64_t rows) {
  char name[TITAN_NAME_BYTES];
  titan_value labels;
  snprintf(name, sizeof name, "labels%d", b->inputs++);
  TRY(titan_graph_input(b->graph, name, (titan_tensor_type){TITAN_INT32, 1, {rows}}, false, &labels));
  return labels;
}

static titan_value loss_of(builder *b, titan_value x) {
  titan_value logits, outputs[TITAN_MAX_OUTPUTS], w = weight(b, RANDOM_GRAPH_VOCABULARY, type_of(b, x)->dims[1]);
  int64_t rows = type_of(b, x)->dims[0];
  TRY(titan_graph_matmul(b->graph, x, false, w, true, TITAN_FLOAT32, &logits));
  titan_op_attributes attributes = {.cross_entropy = {.output = b->options->dtype}};
  TRY(titan_graph_apply(b->graph, TITAN_OP_cross_entropy, &attributes, 2, (titan_value[]){logits, labels_of(b, rows)},
                        outputs));
  return outputs[0];
}

static void begin(builder *b) {
  titan_value x, constant, tokens, table, embedded, flat;
  int64_t rows = 3 + random_below(b->random, 5);
  TRY(titan_graph_input(b->graph, "x", matrix(b, rows, 16), true, &x));
  TRY(titan_graph_input(b->graph, "constant", matrix(b, rows, 16), false, &constant));
  TRY(titan_graph_input(b->graph, "tokens", (titan_tensor_type){TITAN_INT32, 2, {1, rows}}, false, &tokens));
  table = weight(b, RANDOM_GRAPH_VOCABULARY, 16);
  TRY(titan_graph_binary(b->graph, TITAN_OP_embedding, tokens, table, &embedded));
  TRY(titan_graph_reshape(b->graph, embedded, 2, (int64_t[]){rows, 16}, &flat));
  put(b, x);
  put(b, constant);
  put(b, flat);
}

// Results: values of the pool that own their memory, each once.
static void add_results(builder *b) {
  for (int i = 0; i < b->options->results; i++) {
    titan_value value = b->pool[random_below(b->random, b->count)];
    const titan_value_info *info = titan_graph_value(b->graph, value);
    bool good = info->producer >= 0 && !titan_op_is_view(titan_graph_node(b->graph, info->producer)->call.kind);
    for (int k = 0; k < titan_graph_output_count(b->graph); k++)
      good &= titan_graph_output_at(b->graph, k)->value != value;
    char name[TITAN_NAME_BYTES];
    snprintf(name, sizeof name, "result%d", i);
    if (good)
      TRY(titan_graph_output_add(b->graph, name, value));
  }
}

titan_graph *random_graph_create(random_source *random, const random_graph_options *options) {
  static void (*const steps[])(builder *) = {add_unary,
                                             add_binary,
                                             add_binary,
                                             add_projection,
                                             add_product,
                                             add_norm,
                                             add_slices,
                                             add_reshape,
                                             add_attention,
                                             add_projection,
                                             add_accumulating_product,
                                             add_swiglu,
                                             add_fused_attention,
                                             add_residual_norm};
  builder b = {.random = random, .options = options};
  TRY(titan_graph_create("random", &b.graph));
  begin(&b);
  for (int i = 0; i < options->steps; i++)
    steps[random_below(random, (int)(sizeof steps / sizeof *steps))](&b);
  titan_value loss = TITAN_NO_VALUE;
  for (int i = 0; i < b.count; i++) {
    if (b.used[i])
      continue;
    titan_value part = loss_of(&b, b.pool[i]);
    if (loss == TITAN_NO_VALUE)
      loss = part;
    else
      TRY(titan_graph_binary(b.graph, TITAN_OP_add, loss, part, &loss));
  }
  TRY(titan_graph_output_add(b.graph, "loss", loss));
  add_results(&b);
  if (options->differentiate)
    TRY(titan_graph_differentiate(b.graph, loss));
  return b.graph;
}
