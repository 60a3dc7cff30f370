// SPDX-License-Identifier: Apache-2.0
#include "passes/tensor.h"

#include "base/memory.h"

#include <string.h>

typedef enum layout { LAYOUT_NONE, LAYOUT_WHOLE, LAYOUT_ROWS, LAYOUT_COLUMNS } layout;

// A logical value in the new graph.
typedef struct image {
  titan_value value;
  layout layout;
  int dim;              // LAYOUT_COLUMNS: the logical dimension that is cut
  titan_value gathered; // LAYOUT_ROWS: all rows, once somebody asked for them
} image;

typedef struct pass {
  const titan_graph *from;
  titan_graph *to;
  titan_tensor_options options;
  image *images; // by logical value
} pass;

typedef titan_status (*rule)(pass *p, const titan_node *node);

static const titan_tensor_type *type_of(const titan_graph *graph, titan_value value) {
  return &titan_graph_value(graph, value)->type;
}

static titan_status no_rule(const pass *p, const titan_node *node) {
  return titan_error(TITAN_ERROR_INTERNAL, "tensor parallelism: graph %s: no rule for %s in this layout",
                     titan_graph_name(p->from), titan_op_name(node->call.kind));
}

static void set_image(pass *p, titan_value logical, titan_value value, layout where, int dim) {
  p->images[logical] = (image){.value = value, .layout = where, .dim = dim, .gathered = TITAN_NO_VALUE};
  titan_placement placement = {where == LAYOUT_WHOLE ? TITAN_REPLICATE : TITAN_SHARD, 0};
  if (where == LAYOUT_COLUMNS)
    placement.dim = type_of(p->to, value)->rank - (type_of(p->from, logical)->rank - dim);
  titan_graph_place_value(p->to, value, TITAN_PLACEMENT_TP, placement);
}

static titan_status collective(pass *p, titan_op_kind kind, bool maximum, titan_value in, titan_value *out) {
  titan_op_attributes attributes = {.collective = {TITAN_PLACEMENT_TP, p->options.ranks, p->options.rank, maximum}};
  return titan_graph_apply(p->to, kind, &attributes, 1, &in, out);
}

// Terms, one on each rank, whose sum or maximum comes next.
static void mark_partial(pass *p, titan_value value) {
  titan_graph_place_value(p->to, value, TITAN_PLACEMENT_TP, (titan_placement){TITAN_PARTIAL, 0});
}

// The node's result from each rank's term of it: the sums, of which each rank gets its rows.
static titan_status scatter(pass *p, const titan_node *node, titan_value terms) {
  const titan_tensor_type *type = &node->call.outputs[0];
  int64_t dims[2] = {titan_tensor_rows(type), titan_tensor_columns(type)};
  titan_value rows;
  mark_partial(p, terms);
  TITAN_TRY(titan_graph_reshape(p->to, terms, 2, dims, &terms));
  mark_partial(p, terms);
  TITAN_TRY(collective(p, TITAN_OP_reduce_scatter, false, terms, &rows));
  set_image(p, node->outputs[0], rows, LAYOUT_ROWS, 0);
  return TITAN_OK;
}

// The sum, or maximum, of each rank's term, on all.
static titan_status reduce(pass *p, bool maximum, titan_value terms, titan_value *out) {
  mark_partial(p, terms);
  return collective(p, TITAN_OP_all_reduce, maximum, terms, out);
}

// All rows of a value, [R,D].
static titan_status gathered(pass *p, titan_value logical, titan_value *out) {
  image *i = &p->images[logical];
  if (i->gathered == TITAN_NO_VALUE)
    TITAN_TRY(collective(p, TITAN_OP_all_gather, false, i->value, &i->gathered));
  *out = i->gathered;
  return TITAN_OK;
}

static int64_t share_of(int64_t size, int ranks) {
  return (size + ranks - 1) / ranks;
}

static int64_t share(const pass *p, int64_t size) {
  return share_of(size, p->options.ranks);
}

bool titan_tensor_vocabulary_reaches(int64_t vocabulary, int ranks) {
  return share_of(vocabulary, ranks) * (ranks - 1) < vocabulary;
}

// The parameter's image, cut in dimension `cut` (-1: whole), made on first use.
static titan_status parameter(pass *p, titan_value logical, int cut, titan_value *out) {
  image *i = &p->images[logical];
  const titan_value_info *info = titan_graph_value(p->from, logical);
  if (info->role != TITAN_ROLE_PARAMETER)
    return titan_error(TITAN_ERROR_INTERNAL, "tensor parallelism: %s is not a parameter", info->name);
  if (i->layout == LAYOUT_NONE) {
    titan_tensor_type type = info->type;
    titan_block_place place = info->place;
    if (cut >= 0) {
      type.dims[cut] = share(p, type.dims[cut]);
      place.first[cut] = type.dims[cut] * p->options.rank;
    }
    titan_value value;
    TITAN_TRY(titan_graph_parameter_block(p->to, info->name, type, &place, &value));
    set_image(p, logical, value, cut >= 0 ? LAYOUT_COLUMNS : LAYOUT_WHOLE, cut);
  }
  if ((cut >= 0) != (i->layout == LAYOUT_COLUMNS) || (cut >= 0 && i->dim != cut))
    return titan_error(TITAN_ERROR_INTERNAL, "tensor parallelism: %s is needed in two layouts", info->name);
  *out = i->value;
  return TITAN_OK;
}

// The node's operation on the images of its inputs; the outputs get the layout of the first input.
static titan_status apply_same(pass *p, const titan_node *node, const titan_value *inputs) {
  titan_value outputs[TITAN_MAX_OUTPUTS];
  image first = p->images[node->inputs[0]];
  TITAN_TRY(titan_graph_apply(p->to, node->call.kind, &node->call.attributes, node->call.input_count, inputs, outputs));
  for (int i = 0; i < node->call.output_count; i++)
    set_image(p, node->outputs[i], outputs[i], first.layout, first.dim);
  return TITAN_OK;
}

// --- rules ---

// add, mul, silu: inputs in one layout.
static titan_status elementwise(pass *p, const titan_node *node) {
  titan_value inputs[TITAN_MAX_INPUTS];
  for (int i = 0; i < node->call.input_count; i++) {
    inputs[i] = p->images[node->inputs[i]].value;
    if (p->images[node->inputs[i]].layout != p->images[node->inputs[0]].layout)
      return no_rule(p, node);
  }
  return apply_same(p, node, inputs);
}

static titan_status norm(pass *p, const titan_node *node) {
  titan_value inputs[2] = {p->images[node->inputs[0]].value};
  if (p->images[node->inputs[0]].layout == LAYOUT_COLUMNS)
    return no_rule(p, node);
  if (node->call.input_count == 2)
    TITAN_TRY(parameter(p, node->inputs[1], -1, &inputs[1]));
  return apply_same(p, node, inputs);
}

// Each rank its heads: all head-wise inputs are cut, tables are whole. Statistics are [B,N,L].
static titan_status heads(pass *p, const titan_node *node) {
  titan_value inputs[TITAN_MAX_INPUTS];
  if (p->images[node->inputs[0]].layout != LAYOUT_COLUMNS || p->images[node->inputs[0]].dim != 2)
    return no_rule(p, node);
  for (int i = 0; i < node->call.input_count; i++)
    inputs[i] = p->images[node->inputs[i]].value;
  TITAN_TRY(apply_same(p, node, inputs));
  for (int i = 1; i < node->call.output_count; i++)
    set_image(p, node->outputs[i], p->images[node->outputs[i]].value, LAYOUT_COLUMNS, 1);
  return TITAN_OK;
}

static titan_status matmul(pass *p, const titan_node *node) {
  const image *x = &p->images[node->inputs[0]];
  titan_op_attributes attributes = node->call.attributes;
  if (attributes.matmul.transpose_a || !attributes.matmul.transpose_b || node->call.input_count != 2)
    return no_rule(p, node);
  titan_value inputs[2], out;
  if (x->layout == LAYOUT_COLUMNS) {
    inputs[0] = x->value;
    TITAN_TRY(parameter(p, node->inputs[1], 1, &inputs[1]));
    TITAN_TRY(titan_graph_apply(p->to, TITAN_OP_matmul, &attributes, 2, inputs, &out));
    return scatter(p, node, out);
  }
  if (x->layout == LAYOUT_ROWS)
    TITAN_TRY(gathered(p, node->inputs[0], &inputs[0]));
  else
    inputs[0] = x->value;
  TITAN_TRY(parameter(p, node->inputs[1], 0, &inputs[1]));
  TITAN_TRY(titan_graph_apply(p->to, TITAN_OP_matmul, &attributes, 2, inputs, &out));
  set_image(p, node->outputs[0], out, LAYOUT_COLUMNS, node->call.outputs[0].rank - 1);
  return TITAN_OK;
}

static titan_status embedding(pass *p, const titan_node *node) {
  titan_value table = TITAN_NO_VALUE, out;
  TITAN_TRY(parameter(p, node->inputs[1], 0, &table));
  titan_op_attributes attributes = {
      .embedding = {.first = titan_graph_value(p->to, table)->place.first[0], .shard = true}};
  titan_value inputs[2] = {p->images[node->inputs[0]].value, table};
  TITAN_TRY(titan_graph_apply(p->to, TITAN_OP_embedding, &attributes, 2, inputs, &out));
  return scatter(p, node, out);
}

static titan_status reshape(pass *p, const titan_node *node) {
  const image *x = &p->images[node->inputs[0]];
  titan_tensor_type type = node->call.outputs[0];
  const titan_tensor_type *in = &node->call.inputs[0];
  titan_value out = x->value;
  int cut = 0;
  if (x->layout == LAYOUT_ROWS) {
    if (titan_tensor_columns(&type) != titan_tensor_columns(in))
      return no_rule(p, node);
    set_image(p, node->outputs[0], out, LAYOUT_ROWS, 0); // rows are kept flat
    p->images[node->outputs[0]].gathered = x->gathered;
    return TITAN_OK;
  }
  if (x->layout == LAYOUT_COLUMNS) {
    cut = titan_graph_reshaped_dimension(in, x->dim, &type);
    if (cut < 0 || type.dims[cut] % p->options.ranks != 0)
      return no_rule(p, node);
    type.dims[cut] /= p->options.ranks;
  }
  TITAN_TRY(titan_graph_reshape(p->to, out, type.rank, type.dims, &out));
  set_image(p, node->outputs[0], out, x->layout, cut);
  return TITAN_OK;
}

static titan_status slice(pass *p, const titan_node *node) {
  const image *x = &p->images[node->inputs[0]];
  titan_value all = x->value, out;
  if (x->layout == LAYOUT_COLUMNS || (x->layout == LAYOUT_ROWS && node->call.inputs[0].rank != 2))
    return no_rule(p, node);
  if (x->layout == LAYOUT_ROWS)
    TITAN_TRY(gathered(p, node->inputs[0], &all));
  const titan_op_attributes *attributes = &node->call.attributes;
  TITAN_TRY(titan_graph_slice(p->to, all, attributes->slice.begin, attributes->slice.count, &out));
  set_image(p, node->outputs[0], out, LAYOUT_WHOLE, 0);
  return TITAN_OK;
}

// Columns of this rank's logits that stand for a token.
static int64_t counting_columns(const pass *p, int64_t vocabulary) {
  int64_t part = share(p, vocabulary), left = vocabulary - part * p->options.rank;
  return left < 0 ? 0 : left < part ? left : part;
}

static titan_status cross_entropy(pass *p, const titan_node *node) {
  const image *x = &p->images[node->inputs[0]];
  titan_value logits = x->value, labels = p->images[node->inputs[1]].value, largest, sums, out[TITAN_MAX_OUTPUTS];
  titan_op_attributes attributes = node->call.attributes;
  int64_t vocabulary = titan_tensor_columns(&node->call.inputs[0]);
  if (x->layout != LAYOUT_COLUMNS)
    return no_rule(p, node);
  if (!p->options.loss_parallel) {
    TITAN_TRY(collective(p, TITAN_OP_gather_columns, false, logits, &logits));
    attributes.cross_entropy.columns = vocabulary;
    TITAN_TRY(titan_graph_apply(p->to, TITAN_OP_cross_entropy, &attributes, 2, (titan_value[]){logits, labels}, out));
  } else {
    attributes.cross_entropy.first = share(p, vocabulary) * p->options.rank;
    attributes.cross_entropy.columns = counting_columns(p, vocabulary);
    if (attributes.cross_entropy.columns == 0)
      return titan_error(TITAN_ERROR_INTERNAL, "a vocabulary of %lld leaves nothing to rank %d of %d",
                         (long long)vocabulary, p->options.rank, p->options.ranks);
    TITAN_TRY(titan_graph_apply(p->to, TITAN_OP_vocabulary_max, &attributes, 1, &logits, &largest));
    TITAN_TRY(reduce(p, true, largest, &largest));
    titan_value inputs[4] = {logits, labels, largest};
    TITAN_TRY(titan_graph_apply(p->to, TITAN_OP_vocabulary_sums, &attributes, 3, inputs, &sums));
    TITAN_TRY(reduce(p, false, sums, &inputs[3]));
    TITAN_TRY(titan_graph_apply(p->to, TITAN_OP_vocabulary_loss, &attributes, 4, inputs, out));
  }
  for (int i = 0; i < 2; i++)
    set_image(p, node->outputs[i], out[i], LAYOUT_WHOLE, 0);
  return TITAN_OK;
}

static titan_status source(pass *p, const titan_node *node) {
  titan_value out;
  TITAN_TRY(titan_graph_apply(p->to, node->call.kind, &node->call.attributes, 0, NULL, &out));
  set_image(p, node->outputs[0], out, LAYOUT_WHOLE, 0);
  return TITAN_OK;
}

static const rule rules[TITAN_OP_COUNT] = {
    [TITAN_OP_embedding] = embedding, [TITAN_OP_matmul] = matmul,   [TITAN_OP_rms_norm] = norm,
    [TITAN_OP_layer_norm] = norm,     [TITAN_OP_rope] = heads,      [TITAN_OP_attention] = heads,
    [TITAN_OP_silu] = elementwise,    [TITAN_OP_mul] = elementwise, [TITAN_OP_add] = elementwise,
    [TITAN_OP_reshape] = reshape,     [TITAN_OP_slice] = slice,     [TITAN_OP_cross_entropy] = cross_entropy,
    [TITAN_OP_rope_table] = source,
};

// --- the graph as a whole ---

// What comes from the unit before is a shard of rows; batches and constants are whole.
static titan_status inputs(pass *p) {
  for (titan_value v = 0; v < titan_graph_value_count(p->from); v++) {
    const titan_value_info *info = titan_graph_value(p->from, v);
    titan_tensor_type type = info->type;
    titan_value value;
    if (info->role != TITAN_ROLE_INPUT)
      continue;
    if (info->differentiable) {
      int64_t rows = titan_tensor_rows(&type);
      if (rows % p->options.ranks != 0)
        return titan_error(TITAN_ERROR_INTERNAL, "%lld rows of %s over %d ranks", (long long)rows, info->name,
                           p->options.ranks);
      type = (titan_tensor_type){type.dtype, 2, {rows / p->options.ranks, titan_tensor_columns(&type)}};
    }
    TITAN_TRY(titan_graph_input(p->to, info->name, type, info->differentiable, &value));
    set_image(p, v, value, info->differentiable ? LAYOUT_ROWS : LAYOUT_WHOLE, 0);
  }
  return TITAN_OK;
}

static titan_status outputs(pass *p) {
  for (int i = 0; i < titan_graph_output_count(p->from); i++) {
    const titan_graph_output *output = titan_graph_output_at(p->from, i);
    image *result = &p->images[output->value];
    titan_value value = result->value;
    if (result->layout == LAYOUT_COLUMNS)
      TITAN_TRY(collective(p, TITAN_OP_gather_columns, false, value, &value));
    TITAN_TRY(titan_graph_output_add(p->to, output->name, value));
  }
  return TITAN_OK;
}

static titan_status rewrite(pass *p) {
  TITAN_TRY(inputs(p));
  for (int i = 0; i < titan_graph_node_count(p->from); i++) {
    const titan_node *node = titan_graph_node(p->from, i);
    if (rules[node->call.kind] == NULL)
      return no_rule(p, node);
    TITAN_TRY(rules[node->call.kind](p, node));
  }
  return outputs(p);
}

titan_status titan_tensor_parallel_apply(const titan_graph *logical, const titan_tensor_options *options,
                                         titan_graph **out) {
  pass p = {.from = logical, .options = *options};
  *out = NULL;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, (size_t)titan_graph_value_count(logical) + 1,
                                         sizeof *p.images, &p.images));
  titan_status status = titan_graph_create(titan_graph_name(logical), &p.to);
  if (status == TITAN_OK)
    status = rewrite(&p);
  titan_memory_free(p.images);
  if (status != TITAN_OK)
    titan_graph_destroy(&p.to);
  *out = p.to;
  return status;
}

// --- after differentiation ---

static titan_status sum_whole_gradients(titan_graph *graph, const titan_tensor_options *options) {
  titan_op_attributes attributes = {.collective = {TITAN_PLACEMENT_TP, options->ranks, options->rank, false}};
  for (int i = 0; i < titan_graph_output_count(graph); i++) {
    const titan_graph_output *output = titan_graph_output_at(graph, i);
    if (output->kind != TITAN_OUTPUT_PARAMETER_GRADIENT ||
        titan_graph_value(graph, output->of)->placement[TITAN_PLACEMENT_TP].kind == TITAN_SHARD)
      continue;
    titan_value sum;
    TITAN_TRY(titan_graph_apply(graph, TITAN_OP_all_reduce, &attributes, 1, &output->value, &sum));
    titan_graph_output_set_value(graph, i, sum);
  }
  return TITAN_OK;
}

// Uses of node `index`'s output by backward nodes before `end` become uses of `value`; whether there were any.
static bool replace_in_backward(titan_graph *graph, titan_value old, titan_value value, int end) {
  bool any = false;
  for (int n = 0; n < end; n++) {
    const titan_node *node = titan_graph_node(graph, n);
    for (int i = 0; node->phase == TITAN_BACKWARD && i < node->call.input_count; i++)
      if (node->inputs[i] == old) {
        any = true;
        if (value != TITAN_NO_VALUE)
          titan_graph_node_set_input(graph, n, i, value);
      }
  }
  return any;
}

static titan_status gather_again(titan_graph *graph) {
  int count = titan_graph_node_count(graph);
  for (int n = 0; n < count; n++) {
    const titan_node *node = titan_graph_node(graph, n);
    if (node->call.kind != TITAN_OP_all_gather || node->phase != TITAN_FORWARD ||
        !replace_in_backward(graph, node->outputs[0], TITAN_NO_VALUE, count))
      continue;
    titan_value again;
    TITAN_TRY(titan_graph_apply(graph, TITAN_OP_all_gather, &node->call.attributes, 1, node->inputs, &again));
    replace_in_backward(graph, node->outputs[0], again, count);
  }
  return TITAN_OK;
}

titan_status titan_tensor_parallel_finish(titan_graph *graph, const titan_tensor_options *options, bool merged) {
  titan_graph_set_phase(graph, TITAN_BACKWARD);
  TITAN_TRY(sum_whole_gradients(graph, options));
  return merged ? TITAN_OK : gather_again(graph);
}
