// SPDX-License-Identifier: Apache-2.0
#include "passes/compile.h"

#include "base/memory.h"
#include "graph/plan.h"
#include "graph/query.h"

#include <string.h>

typedef struct pass {
  const titan_graph *from;
  titan_graph *to;
  titan_value *images; // by value of `from`; TITAN_NO_VALUE: not there yet
  bool *wanted;        // by node of `from`
  bool fuse;
  titan_compile_report report;
} pass;

// --- looking at `from` ---

static const titan_node *producer_of(const pass *p, titan_value value, titan_op_kind kind) {
  const titan_node *node = titan_graph_producer(p->from, value);
  return node != NULL && node->call.kind == kind ? node : NULL;
}

static int uses_of(const pass *p, titan_value value) {
  return titan_graph_uses(p->from, value, p->wanted);
}

// x w^T of a parameter w, read by nobody else: all of the weight's gradient then comes from the joined product.
static const titan_node *projection(const pass *p, titan_value value) {
  const titan_node *node = producer_of(p, value, TITAN_OP_matmul);
  if (node == NULL || uses_of(p, value) != 1 || node->call.input_count != 2 ||
      node->call.attributes.matmul.transpose_a || !node->call.attributes.matmul.transpose_b ||
      titan_graph_value(p->from, node->inputs[1])->role != TITAN_ROLE_PARAMETER)
    return NULL;
  return node;
}

// Whether b follows a in the flat buffer without a gap, and is laid over the mesh alike.
static bool follows(const pass *p, titan_value a, titan_value b) {
  const titan_value_info *first = titan_graph_value(p->from, a), *second = titan_graph_value(p->from, b);
  for (titan_value v = a + 1; v <= b; v++)
    if (titan_graph_value(p->from, v)->role == TITAN_ROLE_PARAMETER && v != b)
      return false;
  return a < b && first->type.dtype == second->type.dtype && first->type.rank == 2 && second->type.rank == 2 &&
         first->type.dims[1] == second->type.dims[1] &&
         titan_tensor_elements(&first->type) % TITAN_PARAMETER_ALIGNMENT == 0 &&
         memcmp(first->placement, second->placement, sizeof first->placement) == 0;
}

// Projections of one x by parameters that lie one after another, as one product.
static titan_status join_projections(pass *p, int count, const titan_node *const *projections, titan_value *out) {
  titan_value weights[TITAN_MAX_INPUTS], joined;
  for (int i = 0; i < count; i++)
    weights[i] = p->images[projections[i]->inputs[1]];
  TITAN_TRY(titan_graph_apply(p->to, TITAN_OP_concat, NULL, count, weights, &joined));
  titan_graph_place_like(p->to, joined, titan_graph_value(p->from, projections[0]->inputs[1]));
  titan_value inputs[2] = {p->images[projections[0]->inputs[0]], joined};
  TITAN_TRY(titan_graph_apply(p->to, TITAN_OP_matmul, &projections[0]->call.attributes, 2, inputs, out));
  titan_graph_place_like(p->to, *out, titan_graph_value(p->from, projections[0]->outputs[0]));
  return TITAN_OK;
}

static bool can_join(const pass *p, int count, const titan_node *const *projections) {
  for (int i = 0; i < count; i++)
    if (projections[i] == NULL || projections[i]->inputs[0] != projections[0]->inputs[0] ||
        (i > 0 && !follows(p, projections[i - 1]->inputs[1], projections[i]->inputs[1])))
      return false;
  return true;
}

// The node's operation on the images of its inputs.
static void set_images(pass *p, const titan_node *node, const titan_value *outputs) {
  for (int i = 0; i < node->call.output_count; i++) {
    titan_graph_place_like(p->to, outputs[i], titan_graph_value(p->from, node->outputs[i]));
    p->images[node->outputs[i]] = outputs[i];
  }
}

// --- rows: each is tried on the nodes of its kind; *applied tells whether it made their images ---

typedef titan_status (*rewrite)(pass *p, const titan_node *node, bool *applied);

static titan_status fuse_heads(pass *p, const titan_node *node, bool *applied) {
  const titan_node *projections[3] = {NULL};
  titan_value table = TITAN_NO_VALUE, outputs[TITAN_MAX_OUTPUTS], qkv;
  for (int i = 0; i < 3; i++) {
    titan_value heads = node->inputs[i];
    if (i < 2) {
      const titan_node *rope = producer_of(p, heads, TITAN_OP_rope);
      if (rope == NULL || uses_of(p, heads) != 1 || rope->call.attributes.rope.inverse ||
          (i == 1 && rope->inputs[1] != table))
        return TITAN_OK;
      heads = rope->inputs[0];
      table = rope->inputs[1];
    }
    const titan_node *reshape = producer_of(p, heads, TITAN_OP_reshape);
    projections[i] = reshape == NULL || uses_of(p, heads) != 1 ? NULL : projection(p, reshape->inputs[0]);
    if (projections[i] == NULL)
      return TITAN_OK;
  }
  if (!can_join(p, 3, projections))
    return TITAN_OK;
  const int64_t *q = node->call.inputs[0].dims, *k = node->call.inputs[1].dims;
  titan_op_attributes attributes = {
      .heads = {.batch = q[0], .length = q[1], .heads = q[2], .kv_heads = k[2], .head_size = q[3]}};
  TITAN_TRY(join_projections(p, 3, projections, &qkv));
  titan_value inputs[3] = {qkv, p->images[table]};
  TITAN_TRY(titan_graph_apply(p->to, TITAN_OP_split_heads, &attributes, 2, inputs, outputs));
  for (int i = 0; i < 3; i++) {
    inputs[i] = outputs[i];
    titan_graph_place_like(p->to, outputs[i], titan_graph_value(p->from, node->inputs[i]));
  }
  TITAN_TRY(titan_graph_apply(p->to, TITAN_OP_attention, &node->call.attributes, 3, inputs, outputs));
  set_images(p, node, outputs);
  *applied = true;
  return TITAN_OK;
}

static titan_status fuse_swiglu(pass *p, const titan_node *node, bool *applied) {
  for (int gate = 0; gate < 2 && !*applied; gate++) {
    const titan_node *silu = producer_of(p, node->inputs[gate], TITAN_OP_silu);
    bool gated = silu != NULL && uses_of(p, node->inputs[gate]) == 1;
    const titan_node *projections[2] = {gated ? projection(p, silu->inputs[0]) : NULL,
                                        projection(p, node->inputs[1 - gate])};
    titan_value joined, out;
    if (!can_join(p, 2, projections))
      continue;
    TITAN_TRY(join_projections(p, 2, projections, &joined));
    TITAN_TRY(titan_graph_unary(p->to, TITAN_OP_swiglu, joined, &out));
    set_images(p, node, &out);
    *applied = true;
  }
  return TITAN_OK;
}

static titan_status fuse_residual(pass *p, const titan_node *node, bool *applied) {
  const titan_node *sum = producer_of(p, node->inputs[0], TITAN_OP_add);
  titan_value outputs[TITAN_MAX_OUTPUTS];
  if (sum == NULL || sum->inputs[0] == sum->inputs[1])
    return TITAN_OK;
  titan_value inputs[3] = {p->images[sum->inputs[0]], p->images[sum->inputs[1]], p->images[node->inputs[1]]};
  TITAN_TRY(titan_graph_apply(p->to, TITAN_OP_add_rms_norm, &node->call.attributes, 3, inputs, outputs));
  set_images(p, node, outputs);
  set_images(p, sum, &outputs[2]);
  *applied = true;
  return TITAN_OK;
}

static bool is_normed(const pass *p, titan_value value) {
  for (int n = 0; n < titan_graph_node_count(p->from); n++) {
    const titan_node *node = titan_graph_node(p->from, n);
    if (p->wanted[n] && node->call.kind == TITAN_OP_rms_norm && node->inputs[0] == value)
      return true;
  }
  return false;
}

static titan_status fuse_sum(pass *p, const titan_node *node, bool *applied) {
  for (int i = 0; i < 2 && !*applied; i++) {
    const titan_node *product = projection(p, node->inputs[i]);
    titan_value other = node->inputs[1 - i], out;
    if (product == NULL || other == node->inputs[i] || is_normed(p, node->outputs[0]))
      continue;
    titan_value inputs[3] = {p->images[product->inputs[0]], p->images[product->inputs[1]], p->images[other]};
    TITAN_TRY(titan_graph_apply(p->to, TITAN_OP_matmul, &product->call.attributes, 3, inputs, &out));
    set_images(p, node, &out);
    *applied = true;
  }
  return TITAN_OK;
}

static titan_status remove_duplicate(pass *p, const titan_node *node, bool *applied) {
  for (int n = 0; n < titan_graph_node_count(p->to) && !*applied; n++) {
    const titan_node *earlier = titan_graph_node(p->to, n);
    bool same = titan_graph_computes_same(&earlier->call, &node->call);
    for (int i = 0; same && i < node->call.input_count; i++)
      same = earlier->inputs[i] == p->images[node->inputs[i]];
    if (!same)
      continue;
    for (int i = 0; i < node->call.output_count; i++)
      p->images[node->outputs[i]] = earlier->outputs[i];
    *applied = true;
  }
  return TITAN_OK;
}

static const struct {
  const char *name;
  titan_op_kind kind; // of the node where the pattern ends; TITAN_OP_COUNT: any
  rewrite apply;
} rows[] = {
    {"one product for q, k and v", TITAN_OP_attention, fuse_heads},
    {"SwiGLU", TITAN_OP_mul, fuse_swiglu},
    {"residual and norm", TITAN_OP_rms_norm, fuse_residual},
    {"sum as epilogue", TITAN_OP_add, fuse_sum},
    {"duplicates", TITAN_OP_COUNT, remove_duplicate},
};
enum { ROWS = sizeof rows / sizeof *rows };

// --- the graph as a whole ---

static void mark_wanted(const titan_graph *graph, titan_value value, bool *wanted) {
  int producer = titan_graph_value(graph, value)->producer;
  if (producer < 0 || wanted[producer])
    return;
  wanted[producer] = true;
  for (int i = 0; i < titan_graph_node(graph, producer)->call.input_count; i++)
    mark_wanted(graph, titan_graph_node(graph, producer)->inputs[i], wanted);
}

static titan_status copy_sources(pass *p) {
  for (titan_value v = 0; v < titan_graph_value_count(p->from); v++) {
    const titan_value_info *info = titan_graph_value(p->from, v);
    p->images[v] = TITAN_NO_VALUE;
    if (info->role == TITAN_ROLE_INPUT)
      TITAN_TRY(titan_graph_input(p->to, info->name, info->type, info->differentiable, &p->images[v]));
    else if (info->role == TITAN_ROLE_PARAMETER)
      TITAN_TRY(titan_graph_parameter_block(p->to, info->name, info->type, &info->place, &p->images[v]));
    else
      continue;
    titan_graph_place_like(p->to, p->images[v], info);
  }
  return TITAN_OK;
}

static titan_status copy_node(pass *p, const titan_node *node) {
  titan_value inputs[TITAN_MAX_INPUTS], outputs[TITAN_MAX_OUTPUTS];
  bool applied = false;
  for (int row = 0; row < ROWS && p->fuse && !applied; row++)
    if (rows[row].kind == node->call.kind || rows[row].kind == TITAN_OP_COUNT) {
      TITAN_TRY(rows[row].apply(p, node, &applied));
      p->report.applied[row] += applied;
    }
  if (applied)
    return TITAN_OK;
  for (int i = 0; i < node->call.input_count; i++)
    inputs[i] = p->images[node->inputs[i]];
  TITAN_TRY(titan_graph_apply(p->to, node->call.kind, &node->call.attributes, node->call.input_count, inputs, outputs));
  set_images(p, node, outputs);
  return TITAN_OK;
}

static titan_status copy(pass *p) {
  for (int i = 0; i < titan_graph_output_count(p->from); i++)
    mark_wanted(p->from, titan_graph_output_at(p->from, i)->value, p->wanted);
  TITAN_TRY(copy_sources(p));
  for (int n = 0; n < titan_graph_node_count(p->from); n++)
    if (p->wanted[n])
      TITAN_TRY(copy_node(p, titan_graph_node(p->from, n)));
  for (int i = 0; i < titan_graph_output_count(p->from); i++) {
    const titan_graph_output *output = titan_graph_output_at(p->from, i);
    TITAN_TRY(titan_graph_output_add(p->to, output->name, p->images[output->value]));
  }
  return TITAN_OK;
}

static titan_status copy_graph(const titan_graph *from, bool fuse, titan_graph **out, titan_compile_report *report) {
  titan_status status = TITAN_OK;
  pass p = {.from = from, .fuse = fuse, .report = {.rows = ROWS}};
  for (int row = 0; row < ROWS; row++)
    p.report.names[row] = rows[row].name;
  TITAN_TRY_CLEANUP(titan_memory_allocate(TITAN_MEMORY_GRAPH,
                                          ((size_t)titan_graph_value_count(from) + 1) * sizeof *p.images, &p.images));
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, (size_t)titan_graph_node_count(from) + 1,
                                                 sizeof *p.wanted, &p.wanted));
  TITAN_TRY_CLEANUP(titan_graph_create(titan_graph_name(from), &p.to));
  TITAN_TRY_CLEANUP(copy(&p));
  if (report != NULL)
    *report = p.report;
cleanup:
  titan_memory_free(p.images);
  titan_memory_free(p.wanted);
  if (status != TITAN_OK)
    titan_graph_destroy(&p.to);
  *out = p.to;
  return status;
}

titan_status titan_compile_apply(const titan_graph *from, titan_graph **out, titan_compile_report *report) {
  titan_graph *fused;
  *out = NULL;
  TITAN_TRY(copy_graph(from, true, &fused, report));
  // The second copy leaves out what the fused operations have replaced.
  titan_status status = copy_graph(fused, false, out, NULL);
  titan_graph_destroy(&fused);
  return status;
}

// --- after differentiation ---

// The norm's gradient takes the gradient that passes it by, where that is there before it.
titan_status titan_compile_backward(titan_graph *graph) {
  for (int n = 0; n < titan_graph_node_count(graph); n++) {
    const titan_node *sum = titan_graph_node(graph, n);
    for (int i = 0; i < 2 && sum->call.kind == TITAN_OP_add && sum->phase == TITAN_BACKWARD; i++) {
      int producer = titan_graph_value(graph, sum->inputs[i])->producer;
      const titan_node *norm = producer < 0 ? NULL : titan_graph_node(graph, producer);
      if (norm == NULL || norm->call.kind != TITAN_OP_rms_norm_backward || norm->call.input_count != 4 ||
          titan_graph_value(graph, sum->inputs[1 - i])->producer >= producer ||
          titan_graph_uses(graph, sum->inputs[i], NULL) != 1)
        continue;
      TITAN_TRY(titan_graph_node_add_input(graph, producer, sum->inputs[1 - i]));
      titan_graph_replace_uses(graph, sum->outputs[0], norm->outputs[0]);
      break;
    }
  }
  return TITAN_OK;
}
