// SPDX-License-Identifier: Apache-2.0
#include "passes/async_tensor.h"

#include "base/memory.h"
#include "graph/query.h"
#include "passes/tensor.h"

static bool is_transfer(const titan_node *node, titan_op_kind kind) {
  return node->call.kind == kind && node->call.attributes.collective.dimension == TITAN_PLACEMENT_TP &&
         node->call.attributes.collective.ranks > 1;
}

// A reshape that only groups the rows in another way.
static bool keeps_columns(const titan_node *node) {
  return node->call.kind == TITAN_OP_reshape &&
         titan_tensor_columns(&node->call.inputs[0]) == titan_tensor_columns(&node->call.outputs[0]);
}

// --- matmul, then reduce_scatter ---

static titan_status join_scatter(titan_graph *graph, int index) {
  const titan_node *scatter = titan_graph_node(graph, index);
  titan_value sum = scatter->inputs[0];
  const titan_node *product = titan_graph_producer(graph, sum);
  while (product != NULL && keeps_columns(product) && titan_graph_uses(graph, sum, NULL) == 1) {
    sum = product->inputs[0];
    product = titan_graph_producer(graph, sum);
  }
  if (product == NULL || product->call.kind != TITAN_OP_matmul || product->call.attributes.matmul.transpose_a ||
      product->phase != scatter->phase || titan_graph_uses(graph, sum, NULL) != 1)
    return TITAN_OK;
  titan_op_attributes attributes = {.matmul = product->call.attributes.matmul,
                                    .collective = scatter->call.attributes.collective};
  titan_value output = scatter->outputs[0];
  return titan_graph_node_replace(graph, index, TITAN_OP_matmul_scatter, &attributes, product->call.input_count,
                                  product->inputs, &output);
}

// --- all_gather, then products ---

// The products that read a gathered value, directly or through views.
typedef struct readers {
  int count, nodes[TITAN_MAX_OUTPUTS];
  titan_gather_product products[TITAN_MAX_OUTPUTS];
  titan_value others[TITAN_MAX_OUTPUTS];
} readers;

static bool add_product(const titan_graph *graph, int index, titan_value gathered, titan_phase phase, readers *r) {
  const titan_node *node = titan_graph_node(graph, index);
  bool is_b = node->inputs[1] == gathered;
  if (node->call.kind != TITAN_OP_matmul || node->call.input_count != 2 || node->phase != phase ||
      node->inputs[0] == node->inputs[1] || r->count == TITAN_MAX_OUTPUTS)
    return false;
  titan_gather_product product = {is_b, node->call.attributes.matmul.transpose_a,
                                  node->call.attributes.matmul.transpose_b, node->call.outputs[0].dtype};
  bool sums = is_b ? !product.transpose_b : product.transpose_a;
  if (sums ? product.output != TITAN_FLOAT32 : !titan_gather_product_keeps_rows(&product))
    return false;
  r->nodes[r->count] = index;
  r->products[r->count] = product;
  r->others[r->count++] = node->inputs[is_b ? 0 : 1];
  return true;
}

// False when something else than such products reads it.
static bool find_readers(const titan_graph *graph, titan_value gathered, titan_phase phase, readers *r) {
  if (titan_graph_is_output(graph, gathered))
    return false;
  for (int n = 0; n < titan_graph_node_count(graph); n++) {
    const titan_node *node = titan_graph_node(graph, n);
    bool reads = false;
    for (int i = 0; i < node->call.input_count; i++)
      reads |= node->inputs[i] == gathered;
    if (!reads)
      continue;
    bool fits = keeps_columns(node) ? find_readers(graph, node->outputs[0], phase, r)
                                    : add_product(graph, n, gathered, phase, r);
    if (!fits)
      return false;
  }
  return true;
}

// Whether a value depends on a node among `nodes`. seen: by node.
static bool depends(const titan_graph *graph, titan_value value, const readers *r, bool *seen) {
  int producer = titan_graph_value(graph, value)->producer;
  if (producer < 0 || seen[producer])
    return false;
  seen[producer] = true;
  for (int i = 0; i < r->count; i++)
    if (r->nodes[i] == producer)
      return true;
  const titan_node *node = titan_graph_node(graph, producer);
  for (int i = 0; i < node->call.input_count; i++)
    if (depends(graph, node->inputs[i], r, seen))
      return true;
  return false;
}

// Products that wait for each other cannot be one operation.
static titan_status are_independent(const titan_graph *graph, const readers *r, bool *independent) {
  bool *seen = NULL;
  TITAN_TRY(
      titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, (size_t)titan_graph_node_count(graph) + 1, sizeof *seen, &seen));
  *independent = true;
  for (int i = 0; i < r->count && *independent; i++)
    *independent = !depends(graph, r->others[i], r, seen);
  titan_memory_free(seen);
  return TITAN_OK;
}

static titan_status join_gather(titan_graph *graph, int index) {
  const titan_node *gather = titan_graph_node(graph, index);
  readers r = {0};
  bool independent = false;
  if (!find_readers(graph, gather->outputs[0], gather->phase, &r) || r.count == 0)
    return TITAN_OK;
  TITAN_TRY(are_independent(graph, &r, &independent));
  if (!independent)
    return TITAN_OK;
  titan_op_attributes attributes = {.collective = gather->call.attributes.collective};
  titan_value inputs[TITAN_MAX_OUTPUTS + 1] = {gather->inputs[0]}, outputs[TITAN_MAX_OUTPUTS];
  for (int i = 0; i < r.count; i++) {
    attributes.products[i] = r.products[i];
    inputs[i + 1] = r.others[i];
    outputs[i] = titan_graph_node(graph, r.nodes[i])->outputs[0];
  }
  return titan_graph_node_replace(graph, r.nodes[0], TITAN_OP_gather_matmul, &attributes, r.count + 1, inputs, outputs);
}

titan_status titan_async_tensor_apply(titan_graph *graph) {
  TITAN_TRY(titan_graph_remove_unused(graph)); // so that whoever reads a value is there
  for (int n = 0; n < titan_graph_node_count(graph); n++)
    if (is_transfer(titan_graph_node(graph, n), TITAN_OP_reduce_scatter))
      TITAN_TRY(join_scatter(graph, n));
  TITAN_TRY(titan_graph_remove_unused(graph));
  for (int n = 0; n < titan_graph_node_count(graph); n++)
    if (is_transfer(titan_graph_node(graph, n), TITAN_OP_all_gather))
      TITAN_TRY(join_gather(graph, n));
  return titan_graph_remove_unused(graph);
}
