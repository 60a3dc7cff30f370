// SPDX-License-Identifier: Apache-2.0
// swiglu: the gate of a feed-forward whose two first products are one. Shazeer, "GLU Variants Improve Transformer",
// 2020.
#include "graph/rules.h"

titan_status titan_op_shape_swiglu(titan_op_call *call) {
  const titan_tensor_type *gate_up = &call->inputs[0];
  if (!titan_type_is_compute(gate_up) || titan_tensor_columns(gate_up) % 2 != 0)
    return titan_op_mismatch(call, "gate_up[..,2F] of a compute type");
  call->outputs[0] = *gate_up;
  call->outputs[0].dims[gate_up->rank - 1] /= 2;
  return TITAN_OK;
}

titan_op_cost titan_op_cost_swiglu(const titan_op_call *call) {
  return titan_op_elementwise_cost(call, 6);
}

titan_status titan_op_gradient_swiglu(titan_graph *graph, const titan_node *node, const titan_value *dy,
                                      titan_value *dx) {
  return titan_graph_binary(graph, TITAN_OP_swiglu_backward, dy[0], node->inputs[0], &dx[0]);
}

titan_status titan_op_shape_swiglu_backward(titan_op_call *call) {
  titan_tensor_type doubled = call->inputs[0];
  doubled.dims[doubled.rank - 1] *= 2;
  if (!titan_type_is_compute(&doubled) || !titan_types_equal(&doubled, &call->inputs[1]))
    return titan_op_mismatch(call, "dy[..,F], gate_up[..,2F] of one compute type");
  call->outputs[0] = call->inputs[1];
  call->reusable_inputs = 2;
  return TITAN_OK;
}

// 12 operations for each pair of elements of the output.
titan_op_cost titan_op_cost_swiglu_backward(const titan_op_call *call) {
  return titan_op_elementwise_cost(call, 6);
}
