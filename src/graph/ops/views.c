// SPDX-License-Identifier: Apache-2.0
// reshape, slice, concat: other names for memory; nothing runs. The gradients of slices are put together by the
// differentiation itself, which sees all slices of a value at once.
#include "graph/rules.h"

static titan_op_cost nothing(void) {
  return (titan_op_cost){0, 0};
}

titan_status titan_op_shape_reshape(titan_op_call *call) {
  const titan_tensor_type *type = &call->attributes.reshape.type;
  if (type->rank < 1 || type->rank > TITAN_MAX_RANK || type->dtype != call->inputs[0].dtype ||
      titan_tensor_elements(type) != titan_tensor_elements(&call->inputs[0]))
    return titan_op_mismatch(call, "as many elements of the same type");
  call->outputs[0] = *type;
  return TITAN_OK;
}

titan_op_cost titan_op_cost_reshape(const titan_op_call *call) {
  (void)call;
  return nothing();
}

titan_status titan_op_gradient_reshape(titan_graph *graph, const titan_node *node, const titan_value *dy,
                                       titan_value *dx) {
  return titan_graph_reshape(graph, dy[0], node->call.inputs[0].rank, node->call.inputs[0].dims, &dx[0]);
}

titan_status titan_op_shape_slice(titan_op_call *call) {
  int64_t begin = call->attributes.slice.begin, count = call->attributes.slice.count;
  if (begin < 0 || count < 1 || count > call->inputs[0].dims[0] - begin)
    return titan_op_mismatch(call, "a range within the first dimension");
  call->outputs[0] = call->inputs[0];
  call->outputs[0].dims[0] = count;
  return TITAN_OK;
}

titan_op_cost titan_op_cost_slice(const titan_op_call *call) {
  (void)call;
  return nothing();
}

titan_status titan_op_gradient_slice(titan_graph *graph, const titan_node *node, const titan_value *dy,
                                     titan_value *dx) {
  (void)graph, (void)node;
  dx[0] = dy[0];
  return TITAN_OK;
}

titan_status titan_op_shape_concat(titan_op_call *call) {
  call->outputs[0] = call->inputs[0];
  for (int i = 1; i < call->input_count; i++) {
    titan_tensor_type type = call->inputs[i];
    type.dims[0] = call->inputs[0].dims[0];
    if (!titan_types_equal(&type, &call->inputs[0]))
      return titan_op_mismatch(call, "inputs that differ in the first dimension only");
    call->outputs[0].dims[0] += call->inputs[i].dims[0];
  }
  return TITAN_OK;
}

titan_op_cost titan_op_cost_concat(const titan_op_call *call) {
  (void)call;
  return nothing();
}

titan_status titan_op_gradient_concat(titan_graph *graph, const titan_node *node, const titan_value *dy,
                                      titan_value *dx) {
  int64_t begin = 0;
  for (int i = 0; i < node->call.input_count; i++) {
    int64_t count = node->call.inputs[i].dims[0];
    if (titan_graph_wants_gradient(graph, node->inputs[i]))
      TITAN_TRY(titan_graph_slice(graph, dy[0], begin, count, &dx[i]));
    begin += count;
  }
  return TITAN_OK;
}
