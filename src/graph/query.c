// SPDX-License-Identifier: Apache-2.0
#include "graph/query.h"

#include "graph/rules.h"

const titan_node *titan_graph_producer(const titan_graph *graph, titan_value value) {
  int producer = titan_graph_value(graph, value)->producer;
  return producer >= 0 ? titan_graph_node(graph, producer) : NULL;
}

bool titan_graph_is_output(const titan_graph *graph, titan_value value) {
  for (int i = 0; i < titan_graph_output_count(graph); i++)
    if (titan_graph_output_at(graph, i)->value == value)
      return true;
  return false;
}

int titan_graph_uses(const titan_graph *graph, titan_value value, const bool *counted) {
  int uses = 0;
  for (int n = 0; n < titan_graph_node_count(graph); n++) {
    const titan_node *node = titan_graph_node(graph, n);
    for (int i = 0; (counted == NULL || counted[n]) && i < node->call.input_count; i++)
      uses += node->inputs[i] == value;
  }
  for (int i = 0; i < titan_graph_output_count(graph); i++)
    uses += titan_graph_output_at(graph, i)->value == value;
  return uses;
}

// Attributes are compared member by member: bytes between members have no defined value.
#define SAME(member) (a->member == b->member)

static bool same_rope(const titan_op_attributes *a, const titan_op_attributes *b) {
  return SAME(rope.theta) && SAME(rope.length) && SAME(rope.head_size) && SAME(rope.first_position) &&
         SAME(rope.scaling.factor) && SAME(rope.scaling.low) && SAME(rope.scaling.high) &&
         SAME(rope.scaling.original_length) && SAME(rope.inverse);
}

static bool same_heads(const titan_op_attributes *a, const titan_op_attributes *b) {
  return SAME(heads.batch) && SAME(heads.length) && SAME(heads.heads) && SAME(heads.kv_heads) &&
         SAME(heads.head_size) && titan_types_equal(&a->heads.qkv, &b->heads.qkv);
}

static bool same_collective(const titan_op_attributes *a, const titan_op_attributes *b) {
  for (int i = 0; i < TITAN_MAX_OUTPUTS; i++)
    if (!SAME(products[i].gathered_is_b) || !SAME(products[i].transpose_a) || !SAME(products[i].transpose_b) ||
        !SAME(products[i].output))
      return false;
  return SAME(collective.dimension) && SAME(collective.ranks) && SAME(collective.rank) && SAME(collective.maximum);
}

static bool same_attributes(const titan_op_attributes *a, const titan_op_attributes *b) {
  return SAME(matmul.transpose_a) && SAME(matmul.transpose_b) && SAME(matmul.output) && SAME(norm.epsilon) &&
         SAME(norm.fused) && same_rope(a, b) && same_heads(a, b) && SAME(cross_entropy.output) &&
         SAME(cross_entropy.first) && SAME(cross_entropy.columns) && SAME(embedding.vocabulary) &&
         SAME(embedding.first) && SAME(embedding.shard) && same_collective(a, b) &&
         titan_types_equal(&a->reshape.type, &b->reshape.type) && SAME(slice.begin) && SAME(slice.count);
}

bool titan_graph_computes_same(const titan_op_call *a, const titan_op_call *b) {
  return a->kind == b->kind && a->input_count == b->input_count && same_attributes(&a->attributes, &b->attributes);
}
