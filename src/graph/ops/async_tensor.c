// SPDX-License-Identifier: Apache-2.0
// Products and the transfer before or after them as one operation, cut in the group's chunks. They are made after
// differentiation, so they have no gradient rules.
#include "graph/rules.h"

bool titan_gather_product_keeps_rows(const titan_gather_product *product) {
  return !product->gathered_is_b && !product->transpose_a;
}

static bool sums_rows(const titan_gather_product *product) {
  return product->gathered_is_b ? !product->transpose_b : product->transpose_a;
}

static titan_tensor_type with_rows(const titan_tensor_type *type, int64_t rows) {
  return (titan_tensor_type){type->dtype, 2, {rows, titan_tensor_columns(type)}};
}

// The matmul of y[rows,K] with an operand; what it gives is found by titan_op_infer.
static titan_op_call product_call(const titan_gather_product *product, titan_tensor_type y, titan_tensor_type other) {
  titan_op_call call = {.kind = TITAN_OP_matmul, .input_count = 2};
  call.attributes.matmul.transpose_a = product->transpose_a;
  call.attributes.matmul.transpose_b = product->transpose_b;
  call.attributes.matmul.output = product->output;
  call.inputs[0] = product->gathered_is_b ? other : y;
  call.inputs[1] = product->gathered_is_b ? y : other;
  return call;
}

titan_op_call titan_gather_matmul_part(const titan_op_call *call, int product, int64_t rows, bool adds) {
  const titan_gather_product *p = &call->attributes.products[product];
  const titan_tensor_type *other = &call->inputs[product + 1];
  titan_op_call part = product_call(p, with_rows(&call->inputs[0], rows),
                                    titan_gather_product_keeps_rows(p) ? *other : with_rows(other, rows));
  (void)titan_op_infer(&part); // the whole was accepted
  if (adds) {
    part.inputs[part.input_count++] = part.outputs[0];
    (void)titan_op_infer(&part);
  }
  return part;
}

titan_status titan_op_shape_gather_matmul(titan_op_call *call) {
  int64_t ranks = call->attributes.collective.ranks;
  if (ranks < 2)
    return titan_op_mismatch(call, "at least two ranks");
  titan_tensor_type y = with_rows(&call->inputs[0], titan_tensor_rows(&call->inputs[0]) * ranks);
  call->output_count = call->input_count - 1;
  for (int i = 0; i < call->output_count; i++) {
    const titan_gather_product *product = &call->attributes.products[i];
    if (!titan_gather_product_keeps_rows(product) && !sums_rows(product))
      return titan_op_mismatch(call, "products that keep the gathered rows or sum over them");
    titan_op_call whole = product_call(product, y, call->inputs[i + 1]);
    if (titan_op_infer(&whole) != TITAN_OK)
      return titan_op_mismatch(call, "operands that fit each product with the gathered rows");
    // Sums are added up in the output, which has to hold them unrounded.
    if (sums_rows(product) && whole.outputs[0].dtype != TITAN_FLOAT32)
      return titan_op_mismatch(call, "sums over rows in float32");
    call->outputs[i] = whole.outputs[0];
  }
  return TITAN_OK;
}

titan_op_cost titan_op_cost_gather_matmul(const titan_op_call *call) {
  titan_op_cost cost = {0, titan_op_operand_bytes(call)};
  int64_t rows = titan_tensor_rows(&call->inputs[0]);
  for (int i = 0; i < call->output_count; i++) {
    titan_op_call part = titan_gather_matmul_part(call, i, rows, false);
    cost.flops += titan_op_cost_of(&part).flops * call->attributes.collective.ranks;
  }
  return cost;
}

titan_op_call titan_matmul_scatter_part(const titan_op_call *call, int64_t rows) {
  titan_op_call part = {.kind = TITAN_OP_matmul, .input_count = call->input_count};
  part.attributes.matmul = call->attributes.matmul;
  part.inputs[0] = with_rows(&call->inputs[0], rows);
  part.inputs[1] = call->inputs[1];
  if (call->input_count == 3)
    part.inputs[2] = with_rows(&call->inputs[2], rows);
  (void)titan_op_infer(&part);
  return part;
}

titan_status titan_op_shape_matmul_scatter(titan_op_call *call) {
  int64_t ranks = call->attributes.collective.ranks, rows = titan_tensor_rows(&call->inputs[0]);
  if (ranks < 2 || call->attributes.matmul.transpose_a || rows % ranks != 0)
    return titan_op_mismatch(call, "at least two ranks that divide the rows of a, not transposed");
  titan_op_call whole = *call;
  whole.kind = TITAN_OP_matmul;
  if (titan_op_infer(&whole) != TITAN_OK)
    return titan_op_mismatch(call, "operands of a product");
  call->outputs[0] = with_rows(&whole.outputs[0], rows / ranks);
  return TITAN_OK;
}

titan_op_cost titan_op_cost_matmul_scatter(const titan_op_call *call) {
  titan_op_call whole = titan_matmul_scatter_part(call, titan_tensor_rows(&call->inputs[0]));
  return (titan_op_cost){titan_op_cost_of(&whole).flops, titan_op_operand_bytes(call)};
}
