// SPDX-License-Identifier: Apache-2.0
// add, mul, silu, copy: one element of the output from the same element of each input.
#include "graph/rules.h"

static titan_status binary_shape(titan_op_call *call) {
  if (!titan_types_equal(&call->inputs[0], &call->inputs[1]) || !titan_type_is_compute(&call->inputs[0]))
    return titan_op_mismatch(call, "two inputs of one type");
  call->outputs[0] = call->inputs[0];
  call->reusable_inputs = 3;
  return TITAN_OK;
}

titan_status titan_op_shape_add(titan_op_call *call) {
  return binary_shape(call);
}

titan_op_cost titan_op_cost_add(const titan_op_call *call) {
  return titan_op_elementwise_cost(call, 1);
}

titan_status titan_op_gradient_add(titan_graph *graph, const titan_node *node, const titan_value *dy, titan_value *dx) {
  for (int i = 0; i < 2; i++)
    if (titan_graph_wants_gradient(graph, node->inputs[i]))
      dx[i] = dy[0];
  return TITAN_OK;
}

titan_status titan_op_shape_mul(titan_op_call *call) {
  return binary_shape(call);
}

titan_op_cost titan_op_cost_mul(const titan_op_call *call) {
  return titan_op_elementwise_cost(call, 1);
}

titan_status titan_op_gradient_mul(titan_graph *graph, const titan_node *node, const titan_value *dy, titan_value *dx) {
  for (int i = 0; i < 2; i++)
    if (titan_graph_wants_gradient(graph, node->inputs[i]))
      TITAN_TRY(titan_graph_binary(graph, TITAN_OP_mul, dy[0], node->inputs[1 - i], &dx[i]));
  return TITAN_OK;
}

titan_status titan_op_shape_copy(titan_op_call *call) {
  call->outputs[0] = call->inputs[0];
  return TITAN_OK;
}

titan_op_cost titan_op_cost_copy(const titan_op_call *call) {
  return titan_op_elementwise_cost(call, 0);
}

titan_status titan_op_shape_silu(titan_op_call *call) {
  if (!titan_type_is_compute(&call->inputs[0]))
    return titan_op_mismatch(call, "a compute type");
  call->outputs[0] = call->inputs[0];
  call->reusable_inputs = 1;
  return TITAN_OK;
}

titan_op_cost titan_op_cost_silu(const titan_op_call *call) {
  return titan_op_elementwise_cost(call, 5);
}

titan_status titan_op_gradient_silu(titan_graph *graph, const titan_node *node, const titan_value *dy,
                                    titan_value *dx) {
  return titan_graph_binary(graph, TITAN_OP_silu_backward, dy[0], node->inputs[0], &dx[0]);
}

titan_status titan_op_shape_silu_backward(titan_op_call *call) {
  return binary_shape(call);
}

titan_op_cost titan_op_cost_silu_backward(const titan_op_call *call) {
  return titan_op_elementwise_cost(call, 9);
}
