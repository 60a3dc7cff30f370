// SPDX-License-Identifier: Apache-2.0
#include "graph/rules.h"

titan_status titan_op_shape_rope_table(titan_op_call *call) {
  int64_t length = call->attributes.rope.length, head_size = call->attributes.rope.head_size;
  const titan_rope_scaling *scaling = &call->attributes.rope.scaling;
  if (scaling->factor != 0 && !(scaling->factor > 0 && scaling->high > scaling->low && scaling->original_length > 0))
    return titan_op_mismatch(call, "a scaling with factor > 0, high > low and an original length");
  if (length < 1 || head_size < 2 || head_size % 2 != 0)
    return titan_op_mismatch(call, "a length and an even head size");
  call->outputs[0] = (titan_tensor_type){TITAN_FLOAT32, 3, {length, head_size / 2, 2}};
  return TITAN_OK;
}

titan_op_cost titan_op_cost_rope_table(const titan_op_call *call) {
  return titan_op_elementwise_cost(call, 20);
}

titan_status titan_op_shape_rope(titan_op_call *call) {
  const titan_tensor_type *x = &call->inputs[0], *table = &call->inputs[1];
  if (!titan_type_is_compute(x) || x->rank != 4 || table->dtype != TITAN_FLOAT32 || table->rank != 3 ||
      table->dims[2] != 2 || table->dims[0] != x->dims[1] || table->dims[1] * 2 != x->dims[3])
    return titan_op_mismatch(call, "x[B,L,N,H], table[L,H/2,2] float32");
  call->outputs[0] = *x;
  call->reusable_inputs = 1;
  return TITAN_OK;
}

titan_op_cost titan_op_cost_rope(const titan_op_call *call) {
  return titan_op_elementwise_cost(call, 3);
}

// A rotation's transpose is the rotation back.
titan_status titan_op_gradient_rope(titan_graph *graph, const titan_node *node, const titan_value *dy,
                                    titan_value *dx) {
  titan_op_attributes attributes = node->call.attributes;
  attributes.rope.inverse = !attributes.rope.inverse;
  return titan_graph_apply(graph, TITAN_OP_rope, &attributes, 2, (titan_value[]){dy[0], node->inputs[1]}, &dx[0]);
}
