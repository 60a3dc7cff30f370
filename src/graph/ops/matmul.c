// SPDX-License-Identifier: Apache-2.0
#include "graph/rules.h"

// Rows and columns of an operand after its transposition.
static void logical_size(const titan_tensor_type *type, bool transpose, int64_t *rows, int64_t *columns) {
  *rows = transpose ? titan_tensor_columns(type) : titan_tensor_rows(type);
  *columns = transpose ? titan_tensor_rows(type) : titan_tensor_columns(type);
}

titan_status titan_op_shape_matmul(titan_op_call *call) {
  const titan_tensor_type *a = &call->inputs[0], *b = &call->inputs[1];
  bool transpose_a = call->attributes.matmul.transpose_a, transpose_b = call->attributes.matmul.transpose_b;
  int64_t m, k, k_b, n;
  logical_size(a, transpose_a, &m, &k);
  logical_size(b, transpose_b, &k_b, &n);
  if (!titan_type_is_compute(a) || a->dtype != b->dtype || k != k_b)
    return titan_op_mismatch(call, "two matrices of one compute type with equal inner dimensions");
  titan_tensor_type *out = &call->outputs[0];
  *out = *a;
  out->dtype = call->attributes.matmul.output;
  if (transpose_a) {
    out->rank = 2;
    out->dims[0] = m;
  }
  out->dims[out->rank - 1] = n;
  if (!titan_type_is_compute(out))
    return titan_op_mismatch(call, "a compute type as output");
  if (call->input_count == 3) {
    const titan_tensor_type *c = &call->inputs[2];
    if (c->dtype != out->dtype || titan_tensor_elements(c) != titan_tensor_elements(out) ||
        titan_tensor_columns(c) != titan_tensor_columns(out))
      return titan_op_mismatch(call, "a third input of the output's type");
    call->reusable_inputs = 1u << 2;
  }
  return TITAN_OK;
}

titan_op_cost titan_op_cost_matmul(const titan_op_call *call) {
  int64_t m, k;
  logical_size(&call->inputs[0], call->attributes.matmul.transpose_a, &m, &k);
  return (titan_op_cost){2.0 * (double)k * (double)titan_tensor_elements(&call->outputs[0]),
                         titan_op_operand_bytes(call)};
}

// A gradient as the product gives it, in the dimensions of its value, which the product may have seen flattened.
static titan_status shape_like(titan_graph *graph, titan_value value, titan_value *gradient) {
  titan_tensor_type type = titan_graph_value(graph, value)->type;
  type.dtype = titan_graph_value(graph, *gradient)->type.dtype;
  if (titan_types_equal(&type, &titan_graph_value(graph, *gradient)->type))
    return TITAN_OK;
  return titan_graph_reshape(graph, *gradient, type.rank, type.dims, gradient);
}

titan_status titan_op_gradient_matmul(titan_graph *graph, const titan_node *node, const titan_value *dy,
                                      titan_value *dx) {
  titan_value a = node->inputs[0], b = node->inputs[1], d = dy[0];
  bool ta = node->call.attributes.matmul.transpose_a, tb = node->call.attributes.matmul.transpose_b;
  if (node->call.input_count == 3 && titan_graph_wants_gradient(graph, node->inputs[2])) {
    dx[2] = d;
    TITAN_TRY(shape_like(graph, node->inputs[2], &dx[2]));
  }
  if (titan_graph_wants_gradient(graph, a)) {
    titan_dtype dtype = titan_graph_gradient_dtype(graph, a);
    TITAN_TRY(ta ? titan_graph_matmul(graph, b, tb, d, true, dtype, &dx[0])
                 : titan_graph_matmul(graph, d, false, b, !tb, dtype, &dx[0]));
    TITAN_TRY(shape_like(graph, a, &dx[0]));
  }
  if (titan_graph_wants_gradient(graph, b)) {
    titan_dtype dtype = titan_graph_gradient_dtype(graph, b);
    TITAN_TRY(tb ? titan_graph_matmul(graph, d, true, a, ta, dtype, &dx[1])
                 : titan_graph_matmul(graph, a, !ta, d, false, dtype, &dx[1]));
    TITAN_TRY(shape_like(graph, b, &dx[1]));
  }
  return TITAN_OK;
}
