// SPDX-License-Identifier: Apache-2.0
// split_heads, join_heads: one product for q, k and v, taken apart into heads and rotated on the way.
#include "graph/rules.h"

static titan_tensor_type part_of(const titan_op_call *call, titan_dtype dtype, int64_t heads) {
  return (titan_tensor_type){
      dtype, 4, {call->attributes.heads.batch, call->attributes.heads.length, heads, call->attributes.heads.head_size}};
}

static bool qkv_fits(const titan_op_call *call, const titan_tensor_type *qkv) {
  int64_t batch = call->attributes.heads.batch, length = call->attributes.heads.length;
  int64_t heads = call->attributes.heads.heads, kv_heads = call->attributes.heads.kv_heads;
  int64_t size = call->attributes.heads.head_size;
  return batch > 0 && length > 0 && heads > 0 && kv_heads > 0 && size > 0 && size % 2 == 0 &&
         titan_type_is_compute(qkv) && qkv->rank >= 1 && qkv->rank <= TITAN_MAX_RANK &&
         titan_tensor_columns(qkv) == (heads + 2 * kv_heads) * size && titan_tensor_rows(qkv) == batch * length;
}

static bool table_fits(const titan_op_call *call, const titan_tensor_type *table) {
  return table->dtype == TITAN_FLOAT32 && table->rank == 3 && table->dims[0] == call->attributes.heads.length &&
         table->dims[1] * 2 == call->attributes.heads.head_size && table->dims[2] == 2;
}

titan_status titan_op_shape_split_heads(titan_op_call *call) {
  const titan_tensor_type *qkv = &call->inputs[0];
  if (!qkv_fits(call, qkv) || !table_fits(call, &call->inputs[1]))
    return titan_op_mismatch(call, "qkv[..,(N+2K)H] of B*L rows, table[L,H/2,2] float32");
  call->outputs[0] = part_of(call, qkv->dtype, call->attributes.heads.heads);
  call->outputs[1] = call->outputs[2] = part_of(call, qkv->dtype, call->attributes.heads.kv_heads);
  return TITAN_OK;
}

// A rotation takes three operations for each element; v is copied.
static titan_op_cost rotation_cost(const titan_op_call *call, const titan_tensor_type *q, const titan_tensor_type *k) {
  return (titan_op_cost){3.0 * (double)(titan_tensor_elements(q) + titan_tensor_elements(k)),
                         titan_op_operand_bytes(call)};
}

titan_op_cost titan_op_cost_split_heads(const titan_op_call *call) {
  return rotation_cost(call, &call->outputs[0], &call->outputs[1]);
}

titan_status titan_op_gradient_split_heads(titan_graph *graph, const titan_node *node, const titan_value *dy,
                                           titan_value *dx) {
  if (dy[1] == TITAN_NO_VALUE || dy[2] == TITAN_NO_VALUE)
    return titan_error(TITAN_ERROR_INTERNAL, "split_heads: the result depends on q and not on both of k and v");
  titan_op_attributes attributes = node->call.attributes;
  attributes.heads.qkv = node->call.inputs[0];
  return titan_graph_apply(graph, TITAN_OP_join_heads, &attributes, 4,
                           (titan_value[]){dy[0], dy[1], dy[2], node->inputs[1]}, &dx[0]);
}

titan_status titan_op_shape_join_heads(titan_op_call *call) {
  const titan_tensor_type *qkv = &call->attributes.heads.qkv;
  bool fits = qkv_fits(call, qkv) && table_fits(call, &call->inputs[3]);
  for (int i = 0; i < 3 && fits; i++) {
    int64_t heads = i == 0 ? call->attributes.heads.heads : call->attributes.heads.kv_heads;
    titan_tensor_type part = part_of(call, qkv->dtype, heads);
    fits = titan_types_equal(&call->inputs[i], &part);
  }
  if (!fits)
    return titan_op_mismatch(call, "dq[B,L,N,H], dk[B,L,K,H], dv[B,L,K,H], table[L,H/2,2] float32, and their qkv");
  call->outputs[0] = *qkv;
  return TITAN_OK;
}

titan_op_cost titan_op_cost_join_heads(const titan_op_call *call) {
  return rotation_cost(call, &call->inputs[0], &call->inputs[1]);
}
