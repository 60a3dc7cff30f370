// SPDX-License-Identifier: Apache-2.0
#include "graph/rules.h"

titan_status titan_op_shape_rms_norm(titan_op_call *call) {
  const titan_tensor_type *x = &call->inputs[0], *w = &call->inputs[1];
  if (!titan_type_is_compute(x) || w->dtype != x->dtype || w->rank != 1 || w->dims[0] != titan_tensor_columns(x))
    return titan_op_mismatch(call, "x[..,D], w[D] of one compute type");
  call->outputs[0] = *x;
  call->outputs[1] = (titan_tensor_type){TITAN_FLOAT32, 1, {titan_tensor_rows(x)}};
  return TITAN_OK;
}

titan_op_cost titan_op_cost_rms_norm(const titan_op_call *call) {
  return titan_op_elementwise_cost(call, 4);
}

titan_status titan_op_gradient_rms_norm(titan_graph *graph, const titan_node *node, const titan_value *dy,
                                        titan_value *dx) {
  return titan_graph_apply(graph, TITAN_OP_rms_norm_backward, &node->call.attributes, 4,
                           (titan_value[]){dy[0], node->inputs[0], node->inputs[1], node->outputs[1]}, dx);
}

titan_status titan_op_shape_rms_norm_backward(titan_op_call *call) {
  const titan_tensor_type *dy = &call->inputs[0], *x = &call->inputs[1], *w = &call->inputs[2];
  bool fits = call->input_count == 4 || titan_types_equal(&call->inputs[4], x);
  if (!fits || !titan_type_is_compute(x) || !titan_types_equal(dy, x) || w->dtype != x->dtype || w->rank != 1 ||
      w->dims[0] != titan_tensor_columns(x) || !titan_type_is_statistics(&call->inputs[3], titan_tensor_rows(x)))
    return titan_op_mismatch(call, "dy[R,D], x[R,D], w[D], rstd[R] and perhaps c[R,D]");
  call->outputs[0] = *x;
  call->outputs[1] = (titan_tensor_type){TITAN_FLOAT32, 1, {w->dims[0]}};
  call->reusable_inputs = call->input_count == 5 ? 1 | 2 | 16 : 1 | 2;
  return TITAN_OK;
}

titan_op_cost titan_op_cost_rms_norm_backward(const titan_op_call *call) {
  return titan_op_elementwise_cost(call, call->input_count == 5 ? 11 : 10);
}

titan_status titan_op_shape_add_rms_norm(titan_op_call *call) {
  const titan_tensor_type *x = &call->inputs[0], *r = &call->inputs[1], *w = &call->inputs[2];
  if (!titan_type_is_compute(x) || !titan_types_equal(x, r) || w->dtype != x->dtype || w->rank != 1 ||
      w->dims[0] != titan_tensor_columns(x))
    return titan_op_mismatch(call, "x[..,D], r[..,D], w[D] of one compute type");
  call->outputs[0] = call->outputs[2] = *x;
  call->outputs[1] = (titan_tensor_type){TITAN_FLOAT32, 1, {titan_tensor_rows(x)}};
  call->reusable_inputs = 3;
  return TITAN_OK;
}

titan_op_cost titan_op_cost_add_rms_norm(const titan_op_call *call) {
  return titan_op_elementwise_cost(call, 5);
}

// The sum hands both of its terms the same gradient.
titan_status titan_op_gradient_add_rms_norm(titan_graph *graph, const titan_node *node, const titan_value *dy,
                                            titan_value *dx) {
  titan_value inputs[] = {dy[0], node->outputs[2], node->inputs[2], node->outputs[1], dy[2]}, gradients[2];
  TITAN_TRY(titan_graph_apply(graph, TITAN_OP_rms_norm_backward, &node->call.attributes,
                              dy[2] == TITAN_NO_VALUE ? 4 : 5, inputs, gradients));
  dx[0] = dx[1] = gradients[0];
  dx[2] = gradients[1];
  return TITAN_OK;
}
