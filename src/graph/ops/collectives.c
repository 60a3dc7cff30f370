// SPDX-License-Identifier: Apache-2.0
// Collectives over the ranks of one dimension that shards the graph. The gradients of gathering and scattering are each
// other, so the backward of a sharded graph is right by construction.
#include "graph/rules.h"

static titan_op_cost transfer_cost(const titan_op_call *call) {
  return (titan_op_cost){0, titan_op_operand_bytes(call)};
}

static titan_status check(titan_op_call *call, bool compute) {
  if (call->attributes.collective.ranks < 1 || (compute && !titan_type_is_compute(&call->inputs[0])))
    return titan_op_mismatch(call, "a compute type and at least one rank");
  call->outputs[0] = call->inputs[0];
  return TITAN_OK;
}

titan_status titan_op_shape_all_gather(titan_op_call *call) {
  TITAN_TRY(check(call, true));
  call->outputs[0].dims[0] *= call->attributes.collective.ranks;
  return TITAN_OK;
}

titan_op_cost titan_op_cost_all_gather(const titan_op_call *call) {
  return transfer_cost(call);
}

static titan_status apply(titan_graph *graph, titan_op_kind kind, const titan_node *node, titan_value dy,
                          titan_value *dx) {
  return titan_graph_apply(graph, kind, &node->call.attributes, 1, &dy, dx);
}

titan_status titan_op_gradient_all_gather(titan_graph *graph, const titan_node *node, const titan_value *dy,
                                          titan_value *dx) {
  return apply(graph, TITAN_OP_reduce_scatter, node, dy[0], dx);
}

titan_status titan_op_shape_reduce_scatter(titan_op_call *call) {
  TITAN_TRY(check(call, true));
  int64_t ranks = call->attributes.collective.ranks;
  if (call->inputs[0].dims[0] % ranks != 0)
    return titan_op_mismatch(call, "rows that the ranks divide");
  call->outputs[0].dims[0] /= ranks;
  return TITAN_OK;
}

titan_op_cost titan_op_cost_reduce_scatter(const titan_op_call *call) {
  return transfer_cost(call);
}

titan_status titan_op_gradient_reduce_scatter(titan_graph *graph, const titan_node *node, const titan_value *dy,
                                              titan_value *dx) {
  return apply(graph, TITAN_OP_all_gather, node, dy[0], dx);
}

titan_status titan_op_shape_all_reduce(titan_op_call *call) {
  TITAN_TRY(check(call, true));
  call->reusable_inputs = 1;
  return TITAN_OK;
}

titan_op_cost titan_op_cost_all_reduce(const titan_op_call *call) {
  return transfer_cost(call);
}

titan_status titan_op_shape_gather_columns(titan_op_call *call) {
  TITAN_TRY(check(call, true));
  call->outputs[0].dims[call->outputs[0].rank - 1] *= call->attributes.collective.ranks;
  return TITAN_OK;
}

titan_op_cost titan_op_cost_gather_columns(const titan_op_call *call) {
  return transfer_cost(call);
}

titan_status titan_op_gradient_gather_columns(titan_graph *graph, const titan_node *node, const titan_value *dy,
                                              titan_value *dx) {
  return apply(graph, TITAN_OP_take_columns, node, dy[0], dx);
}

titan_status titan_op_shape_take_columns(titan_op_call *call) {
  TITAN_TRY(check(call, true));
  int64_t *columns = &call->outputs[0].dims[call->outputs[0].rank - 1];
  int64_t ranks = call->attributes.collective.ranks;
  if (*columns % ranks != 0 || call->attributes.collective.rank < 0 || call->attributes.collective.rank >= ranks)
    return titan_op_mismatch(call, "columns that the ranks divide, and a rank of them");
  *columns /= ranks;
  return TITAN_OK;
}

titan_op_cost titan_op_cost_take_columns(const titan_op_call *call) {
  return (titan_op_cost){0, 2.0 * (double)titan_tensor_bytes(&call->outputs[0])};
}
