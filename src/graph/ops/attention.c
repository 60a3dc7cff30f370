// SPDX-License-Identifier: Apache-2.0
#include "graph/rules.h"

static bool shapes_fit(const titan_tensor_type *q, const titan_tensor_type *k, const titan_tensor_type *v) {
  return titan_type_is_compute(q) && q->rank == 4 && titan_types_equal(k, v) && k->rank == 4 && k->dtype == q->dtype &&
         k->dims[0] == q->dims[0] && k->dims[1] == q->dims[1] && k->dims[3] == q->dims[3] &&
         q->dims[2] % k->dims[2] == 0;
}

titan_status titan_op_shape_attention(titan_op_call *call) {
  const titan_tensor_type *q = &call->inputs[0];
  if (!shapes_fit(q, &call->inputs[1], &call->inputs[2]))
    return titan_op_mismatch(call, "q[B,L,N,H], k[B,L,K,H], v[B,L,K,H] with K dividing N");
  call->outputs[0] = *q;
  call->outputs[1] = (titan_tensor_type){TITAN_FLOAT32, 3, {q->dims[0], q->dims[2], q->dims[1]}};
  return TITAN_OK;
}

// One product of the lower triangle: B N L(L+1)/2 pairs, each a dot product of length H.
static double triangle_flops(const titan_tensor_type *q) {
  double length = (double)q->dims[1];
  return 2.0 * (double)(q->dims[0] * q->dims[2] * q->dims[3]) * length * (length + 1) / 2;
}

titan_op_cost titan_op_cost_attention(const titan_op_call *call) {
  return (titan_op_cost){2 * triangle_flops(&call->inputs[0]), titan_op_operand_bytes(call)};
}

titan_status titan_op_gradient_attention(titan_graph *graph, const titan_node *node, const titan_value *dy,
                                         titan_value *dx) {
  titan_value inputs[] = {node->inputs[0], node->inputs[1], node->inputs[2], node->outputs[0], node->outputs[1], dy[0]};
  return titan_graph_apply(graph, TITAN_OP_attention_backward, NULL, 6, inputs, dx);
}

titan_status titan_op_shape_attention_backward(titan_op_call *call) {
  const titan_tensor_type *q = &call->inputs[0];
  if (!shapes_fit(q, &call->inputs[1], &call->inputs[2]) || !titan_types_equal(q, &call->inputs[3]) ||
      !titan_types_equal(q, &call->inputs[5]) ||
      !titan_type_is_statistics(&call->inputs[4], q->dims[0] * q->dims[1] * q->dims[2]))
    return titan_op_mismatch(call, "q, k, v, o, lse, do");
  for (int i = 0; i < 3; i++)
    call->outputs[i] = call->inputs[i];
  return TITAN_OK;
}

// Four products; the recomputed scores are overhead, not work.
titan_op_cost titan_op_cost_attention_backward(const titan_op_call *call) {
  return (titan_op_cost){4 * triangle_flops(&call->inputs[0]), titan_op_operand_bytes(call)};
}
