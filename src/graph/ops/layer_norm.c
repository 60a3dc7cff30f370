// SPDX-License-Identifier: Apache-2.0
#include "graph/rules.h"

titan_status titan_op_shape_layer_norm(titan_op_call *call) {
  const titan_tensor_type *x = &call->inputs[0], *w = &call->inputs[1];
  if (!titan_type_is_compute(x) ||
      (call->input_count == 2 && (w->dtype != x->dtype || w->rank != 1 || w->dims[0] != titan_tensor_columns(x))))
    return titan_op_mismatch(call, "x[..,D] and perhaps w[D] of one compute type");
  call->outputs[0] = *x;
  call->outputs[1] = call->outputs[2] = (titan_tensor_type){TITAN_FLOAT32, 1, {titan_tensor_rows(x)}};
  return TITAN_OK;
}

titan_op_cost titan_op_cost_layer_norm(const titan_op_call *call) {
  return titan_op_elementwise_cost(call, 7);
}

titan_status titan_op_gradient_layer_norm(titan_graph *graph, const titan_node *node, const titan_value *dy,
                                          titan_value *dx) {
  titan_value inputs[5] = {dy[0], node->inputs[0], node->outputs[1], node->outputs[2], node->inputs[1]};
  return titan_graph_apply(graph, TITAN_OP_layer_norm_backward, &node->call.attributes, 3 + node->call.input_count,
                           inputs, dx);
}

titan_status titan_op_shape_layer_norm_backward(titan_op_call *call) {
  const titan_tensor_type *dy = &call->inputs[0], *x = &call->inputs[1], *w = &call->inputs[4];
  int64_t rows = titan_tensor_rows(x);
  if (!titan_type_is_compute(x) || !titan_types_equal(dy, x) || !titan_type_is_statistics(&call->inputs[2], rows) ||
      !titan_type_is_statistics(&call->inputs[3], rows) ||
      (call->input_count == 5 && (w->dtype != x->dtype || w->rank != 1 || w->dims[0] != titan_tensor_columns(x))))
    return titan_op_mismatch(call, "dy[R,D], x[R,D], mean[R], rstd[R] and perhaps w[D]");
  call->outputs[0] = *x;
  if (call->input_count == 5) {
    call->outputs[1] = (titan_tensor_type){TITAN_FLOAT32, 1, {w->dims[0]}};
    call->output_count = 2;
  }
  return TITAN_OK;
}

titan_op_cost titan_op_cost_layer_norm_backward(const titan_op_call *call) {
  return titan_op_elementwise_cost(call, 13);
}
