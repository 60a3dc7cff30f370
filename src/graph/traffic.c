// SPDX-License-Identifier: Apache-2.0
// What a plan's collectives move.
#include "graph/plan.h"

static bool is_collective(titan_op_kind kind) {
  return kind == TITAN_OP_all_gather || kind == TITAN_OP_gather_columns || kind == TITAN_OP_reduce_scatter ||
         kind == TITAN_OP_all_reduce || kind == TITAN_OP_gather_matmul || kind == TITAN_OP_matmul_scatter;
}

titan_plan_traffic titan_op_traffic_of(const titan_op_call *call) {
  if (!is_collective(call->kind))
    return (titan_plan_traffic){0};
  titan_plan_traffic traffic = {.operations = 1};
  uint64_t others = (uint64_t)call->attributes.collective.ranks - 1;
  switch (call->kind) {
  case TITAN_OP_all_gather:
  case TITAN_OP_gather_columns:
  case TITAN_OP_gather_matmul:
    traffic.all_gather = others * titan_tensor_bytes(&call->inputs[0]);
    break;
  case TITAN_OP_reduce_scatter:
  case TITAN_OP_matmul_scatter:
    traffic.reduce_scatter = others * titan_tensor_bytes(&call->outputs[0]);
    break;
  default:
    traffic.all_reduce = others > 0 ? titan_tensor_bytes(&call->inputs[0]) : 0;
  }
  return traffic;
}

titan_plan_traffic titan_plan_traffic_of(const titan_plan *plan, titan_phase phase, int dimension) {
  titan_plan_traffic sum = {0};
  for (int i = 0; i < plan->phases[phase].count; i++) {
    const titan_op_call *call = &plan->phases[phase].instructions[i].node->call;
    if (call->attributes.collective.dimension != dimension)
      continue;
    titan_plan_traffic traffic = titan_op_traffic_of(call);
    sum.all_gather += traffic.all_gather;
    sum.reduce_scatter += traffic.reduce_scatter;
    sum.all_reduce += traffic.all_reduce;
    sum.operations += traffic.operations;
  }
  return sum;
}

size_t titan_plan_largest_transfer(const titan_plan *plan, int dimension) {
  size_t most = 0;
  for (int phase = 0; phase < TITAN_PHASES; phase++)
    for (int i = 0; i < plan->phases[phase].count; i++) {
      const titan_op_call *call = &plan->phases[phase].instructions[i].node->call;
      size_t bytes = titan_tensor_bytes(&call->inputs[0]);
      if (call->kind == TITAN_OP_matmul_scatter)
        bytes = titan_tensor_bytes(&call->outputs[0]) * (size_t)call->attributes.collective.ranks;
      if (is_collective(call->kind) && call->attributes.collective.dimension == dimension && bytes > most)
        most = bytes;
    }
  return most;
}
