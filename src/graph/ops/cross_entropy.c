// SPDX-License-Identifier: Apache-2.0
#include "graph/rules.h"

static bool logits_fit(const titan_tensor_type *logits, const titan_tensor_type *labels) {
  return logits->dtype == TITAN_FLOAT32 && logits->rank == 2 && labels->dtype == TITAN_INT32 && labels->rank == 1 &&
         labels->dims[0] == logits->dims[0];
}

titan_status titan_op_shape_cross_entropy(titan_op_call *call) {
  if (!logits_fit(&call->inputs[0], &call->inputs[1]) || !titan_columns_fit(call))
    return titan_op_mismatch(call, "logits[R,V] float32, labels[R] int32, at most V columns that count");
  call->outputs[0] = (titan_tensor_type){TITAN_FLOAT32, 1, {1}};
  call->outputs[1] = (titan_tensor_type){TITAN_FLOAT32, 1, {call->inputs[0].dims[0]}};
  return TITAN_OK;
}

titan_op_cost titan_op_cost_cross_entropy(const titan_op_call *call) {
  return (titan_op_cost){3 * (double)titan_tensor_elements(&call->inputs[0]), titan_op_operand_bytes(call)};
}

titan_status titan_op_gradient_cross_entropy(titan_graph *graph, const titan_node *node, const titan_value *dy,
                                             titan_value *dx) {
  titan_value inputs[] = {node->inputs[0], node->outputs[1], node->inputs[1], dy[0]};
  return titan_graph_apply(graph, TITAN_OP_cross_entropy_backward, &node->call.attributes, 4, inputs, &dx[0]);
}

titan_status titan_op_shape_cross_entropy_backward(titan_op_call *call) {
  call->outputs[0] = call->inputs[0];
  call->outputs[0].dtype = call->attributes.cross_entropy.output;
  if (!logits_fit(&call->inputs[0], &call->inputs[2]) || !titan_type_is_compute(&call->outputs[0]) ||
      !titan_type_is_statistics(&call->inputs[1], call->inputs[0].dims[0]) ||
      !titan_type_is_statistics(&call->inputs[3], 1) || !titan_columns_fit(call))
    return titan_op_mismatch(call, "logits[R,V], lse[R], labels[R], dloss[1], a compute type as output, and at most V "
                                   "columns that count");
  if (call->outputs[0].dtype == TITAN_FLOAT32)
    call->reusable_inputs = 1;
  return TITAN_OK;
}

titan_op_cost titan_op_cost_cross_entropy_backward(const titan_op_call *call) {
  return titan_op_elementwise_cost(call, 3);
}
