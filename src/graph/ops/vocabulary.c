// SPDX-License-Identifier: Apache-2.0
// Cross-entropy over a vocabulary that is cut over ranks: a maximum, sums, and the loss from their reductions.
#include "graph/rules.h"

static bool logits_fit(const titan_op_call *call) {
  const titan_tensor_type *logits = &call->inputs[0];
  return logits->dtype == TITAN_FLOAT32 && logits->rank == 2 && titan_columns_fit(call);
}

static bool labels_and_max_fit(const titan_op_call *call) {
  const titan_tensor_type *labels = &call->inputs[1];
  int64_t rows = call->inputs[0].dims[0];
  return labels->dtype == TITAN_INT32 && labels->rank == 1 && labels->dims[0] == rows &&
         titan_type_is_statistics(&call->inputs[2], rows);
}

titan_status titan_op_shape_vocabulary_max(titan_op_call *call) {
  if (!logits_fit(call))
    return titan_op_mismatch(call, "logits[R,C] float32, at most C columns that count");
  call->outputs[0] = (titan_tensor_type){TITAN_FLOAT32, 1, {call->inputs[0].dims[0]}};
  return TITAN_OK;
}

titan_op_cost titan_op_cost_vocabulary_max(const titan_op_call *call) {
  return (titan_op_cost){(double)titan_tensor_elements(&call->inputs[0]), titan_op_operand_bytes(call)};
}

titan_status titan_op_shape_vocabulary_sums(titan_op_call *call) {
  if (!logits_fit(call) || !labels_and_max_fit(call))
    return titan_op_mismatch(call, "logits[R,C], labels[R], max[R], at most C columns that count");
  call->outputs[0] = (titan_tensor_type){TITAN_FLOAT32, 2, {2, call->inputs[0].dims[0]}};
  return TITAN_OK;
}

titan_op_cost titan_op_cost_vocabulary_sums(const titan_op_call *call) {
  return (titan_op_cost){2 * (double)titan_tensor_elements(&call->inputs[0]), titan_op_operand_bytes(call)};
}

titan_status titan_op_shape_vocabulary_loss(titan_op_call *call) {
  int64_t rows = call->inputs[0].dims[0];
  if (!logits_fit(call) || !labels_and_max_fit(call) || !titan_type_is_statistics(&call->inputs[3], 2 * rows))
    return titan_op_mismatch(call, "logits[R,C], labels[R], max[R], sums[2,R], at most C columns that count");
  call->outputs[0] = (titan_tensor_type){TITAN_FLOAT32, 1, {1}};
  call->outputs[1] = (titan_tensor_type){TITAN_FLOAT32, 1, {rows}};
  return TITAN_OK;
}

// The logits are named for the gradient's sake; the kernel reads max and sums.
titan_op_cost titan_op_cost_vocabulary_loss(const titan_op_call *call) {
  double rows = (double)call->inputs[0].dims[0];
  return (titan_op_cost){3 * rows, 16 * rows};
}

titan_status titan_op_gradient_vocabulary_loss(titan_graph *graph, const titan_node *node, const titan_value *dy,
                                               titan_value *dx) {
  titan_value inputs[] = {node->inputs[0], node->outputs[1], node->inputs[1], dy[0]};
  return titan_graph_apply(graph, TITAN_OP_cross_entropy_backward, &node->call.attributes, 4, inputs, &dx[0]);
}
