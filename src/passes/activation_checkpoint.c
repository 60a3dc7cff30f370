// SPDX-License-Identifier: Apache-2.0
#include "passes/activation_checkpoint.h"

#include "base/memory.h"
#include "graph/query.h"

#include <string.h>

bool titan_activation_is_expensive(titan_op_kind kind) {
  switch (kind) {
  case TITAN_OP_matmul:
  case TITAN_OP_attention:
  case TITAN_OP_all_gather:
  case TITAN_OP_reduce_scatter:
  case TITAN_OP_all_reduce:
  case TITAN_OP_gather_columns:
    return true;
  default:
    return false;
  }
}

// The forward node that computes the value, past views; -1 for inputs and parameters.
static int origin_of(const titan_graph *graph, titan_value value) {
  int producer = titan_graph_value(graph, value)->producer;
  while (producer >= 0 && titan_op_is_view(titan_graph_node(graph, producer)->call.kind))
    producer = titan_graph_value(graph, titan_graph_node(graph, producer)->inputs[0])->producer;
  return producer;
}

static bool is_read_by_backward(const titan_graph *graph, int origin) {
  for (int n = 0; n < titan_graph_node_count(graph); n++) {
    const titan_node *node = titan_graph_node(graph, n);
    for (int i = 0; node->phase == TITAN_BACKWARD && i < node->call.input_count; i++)
      if (origin_of(graph, node->inputs[i]) == origin)
        return true;
  }
  return false;
}

// Whether one pass over memory gives the node's outputs again from what is kept anyway.
static bool is_cheap(const titan_graph *graph, int index, const bool *keep) {
  const titan_node *node = titan_graph_node(graph, index);
  if (titan_activation_is_expensive(node->call.kind) || node->call.input_count == 0)
    return false;
  for (int i = 0; i < node->call.input_count; i++) {
    int origin = origin_of(graph, node->inputs[i]);
    if (origin >= 0 && keep[origin] && !is_read_by_backward(graph, origin))
      return false;
  }
  return true;
}

// Weights that a product multiplies by at once: products that the compile pass has joined count one each.
static int width_of(const titan_graph *graph, const titan_node *node) {
  const titan_node *weights = titan_graph_producer(graph, node->inputs[1]);
  return weights != NULL && weights->call.kind == TITAN_OP_concat ? weights->call.input_count : 1;
}

// Whether most of the products from `first` on, counted from 0, are kept when every second is.
static bool keeps_most(int first, int width) {
  int kept = (width + (first % 2 == 0)) / 2;
  return 2 * kept > width;
}

void titan_activation_keep(const titan_graph *graph, titan_keep policy, bool *keep) {
  int products = 0;
  for (int n = 0; n < titan_graph_node_count(graph); n++) {
    const titan_node *node = titan_graph_node(graph, n);
    titan_op_kind kind = node->call.kind;
    bool product = kind == TITAN_OP_matmul && node->phase == TITAN_FORWARD;
    int width = product ? width_of(graph, node) : 0, first = products;
    products += width;
    keep[n] = false;
    if (kind == TITAN_OP_all_gather)
      continue;
    if (policy == TITAN_KEEP_ALL)
      keep[n] = true;
    else if (policy == TITAN_KEEP_ALL_BUT_STREAMING)
      keep[n] = !is_cheap(graph, n, keep);
    else if (policy == TITAN_KEEP_OPERATIONS)
      keep[n] = kind == TITAN_OP_attention || kind == TITAN_OP_reduce_scatter || (product && keeps_most(first, width));
  }
}

typedef struct pass {
  titan_graph *graph;
  const bool *keep;
  titan_value *again; // by value: what the backward reads in its place; TITAN_NO_VALUE: not decided
} pass;

static titan_status in_backward(pass *p, titan_value value, titan_value *out);

static titan_status compute_again(pass *p, int index) {
  const titan_node *node = titan_graph_node(p->graph, index);
  titan_value inputs[TITAN_MAX_INPUTS], outputs[TITAN_MAX_OUTPUTS];
  bool changed = false;
  for (int i = 0; i < node->call.input_count; i++) {
    TITAN_TRY(in_backward(p, node->inputs[i], &inputs[i]));
    changed |= inputs[i] != node->inputs[i];
  }
  if (titan_op_is_view(node->call.kind) && !changed)
    outputs[0] = node->outputs[0]; // of something that is there
  else
    TITAN_TRY(titan_graph_recompute(p->graph, index, inputs, outputs));
  for (int i = 0; i < node->call.output_count; i++)
    p->again[node->outputs[i]] = outputs[i];
  return TITAN_OK;
}

// The norm of a kept sum, from the sum.
static titan_status norm_again(pass *p, const titan_node *node) {
  titan_value outputs[TITAN_MAX_OUTPUTS];
  TITAN_TRY(titan_graph_apply(p->graph, TITAN_OP_rms_norm, &node->call.attributes, 2,
                              (titan_value[]){node->outputs[2], node->inputs[2]}, outputs));
  titan_graph_mark_recomputed(p->graph, outputs[0]);
  for (int i = 0; i < 2; i++) {
    titan_graph_place_like(p->graph, outputs[i], titan_graph_value(p->graph, node->outputs[i]));
    p->again[node->outputs[i]] = outputs[i];
  }
  return TITAN_OK;
}

static titan_status in_backward(pass *p, titan_value value, titan_value *out) {
  int producer = titan_graph_value(p->graph, value)->producer;
  *out = value;
  if (producer < 0)
    return TITAN_OK;
  const titan_node *node = titan_graph_node(p->graph, producer);
  if (node->phase == TITAN_BACKWARD)
    return TITAN_OK;
  if (p->keep[producer] && node->call.kind == TITAN_OP_add_rms_norm && value != node->outputs[2]) {
    if (p->again[value] == TITAN_NO_VALUE)
      TITAN_TRY(norm_again(p, node));
  } else if (p->keep[producer] && !titan_op_is_view(node->call.kind)) {
    return TITAN_OK;
  } else if (p->again[value] == TITAN_NO_VALUE) {
    TITAN_TRY(compute_again(p, producer));
  }
  *out = p->again[value];
  return TITAN_OK;
}

static bool same_computation(const titan_node *a, const titan_node *b) {
  return titan_graph_computes_same(&a->call, &b->call) &&
         memcmp(a->inputs, b->inputs, (size_t)a->call.input_count * sizeof *a->inputs) == 0;
}

// What an earlier pass computes again in the backward (gathered rows) serves the clones too.
static void find_recomputations(pass *p, int count) {
  for (int b = 0; b < count; b++) {
    const titan_node *again = titan_graph_node(p->graph, b);
    if (again->phase != TITAN_BACKWARD || again->call.kind != TITAN_OP_all_gather)
      continue;
    for (int f = 0; f < count; f++) {
      const titan_node *node = titan_graph_node(p->graph, f);
      if (node->phase == TITAN_FORWARD && same_computation(node, again))
        p->again[node->outputs[0]] = again->outputs[0];
    }
  }
}

static titan_status rewire(pass *p, int node_count) {
  for (int n = 0; n < node_count; n++) {
    const titan_node *node = titan_graph_node(p->graph, n);
    for (int i = 0; node->phase == TITAN_BACKWARD && i < node->call.input_count; i++) {
      titan_value value;
      TITAN_TRY(in_backward(p, node->inputs[i], &value));
      titan_graph_node_set_input(p->graph, n, i, value);
    }
  }
  return TITAN_OK;
}

titan_status titan_activation_checkpoint_apply(titan_graph *graph, const bool *keep) {
  pass p = {.graph = graph, .keep = keep};
  int values = titan_graph_value_count(graph), nodes = titan_graph_node_count(graph);
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_GRAPH, (size_t)values * sizeof *p.again, &p.again));
  for (int v = 0; v < values; v++)
    p.again[v] = TITAN_NO_VALUE;
  titan_graph_set_phase(graph, TITAN_BACKWARD);
  find_recomputations(&p, nodes);
  titan_status status = rewire(&p, nodes);
  titan_memory_free(p.again);
  return status;
}
