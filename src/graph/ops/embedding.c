// SPDX-License-Identifier: Apache-2.0
#include "graph/rules.h"

titan_status titan_op_shape_embedding(titan_op_call *call) {
  const titan_tensor_type *tokens = &call->inputs[0], *table = &call->inputs[1];
  if (tokens->dtype != TITAN_INT32 || tokens->rank != 2 || !titan_type_is_compute(table) || table->rank != 2)
    return titan_op_mismatch(call, "tokens[B,L] int32, table[V,D]");
  call->outputs[0] = (titan_tensor_type){table->dtype, 3, {tokens->dims[0], tokens->dims[1], table->dims[1]}};
  return TITAN_OK;
}

titan_op_cost titan_op_cost_embedding(const titan_op_call *call) {
  return (titan_op_cost){0, 2.0 * (double)titan_tensor_bytes(&call->outputs[0]) +
                                (double)titan_tensor_bytes(&call->inputs[0])};
}

titan_status titan_op_gradient_embedding(titan_graph *graph, const titan_node *node, const titan_value *dy,
                                         titan_value *dx) {
  titan_op_attributes attributes = node->call.attributes;
  attributes.embedding.vocabulary = node->call.inputs[1].dims[0];
  return titan_graph_apply(graph, TITAN_OP_embedding_backward, &attributes, 2, (titan_value[]){node->inputs[0], dy[0]},
                           &dx[1]);
}

titan_status titan_op_shape_embedding_backward(titan_op_call *call) {
  const titan_tensor_type *tokens = &call->inputs[0], *dy = &call->inputs[1];
  int64_t vocabulary = call->attributes.embedding.vocabulary;
  if (tokens->dtype != TITAN_INT32 || tokens->rank != 2 || !titan_type_is_compute(dy) || dy->rank != 3 ||
      dy->dims[0] != tokens->dims[0] || dy->dims[1] != tokens->dims[1] || vocabulary < 1)
    return titan_op_mismatch(call, "tokens[B,L] int32, dy[B,L,D] and a vocabulary");
  call->outputs[0] = (titan_tensor_type){TITAN_FLOAT32, 2, {vocabulary, dy->dims[2]}};
  return TITAN_OK;
}

titan_op_cost titan_op_cost_embedding_backward(const titan_op_call *call) {
  return (titan_op_cost){(double)titan_tensor_elements(&call->inputs[1]), titan_op_operand_bytes(call)};
}
