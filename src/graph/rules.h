// SPDX-License-Identifier: Apache-2.0
// What an operation's author includes: the rules of each row of ops.def, and helpers to write them.
#ifndef TITAN_GRAPH_RULES_H
#define TITAN_GRAPH_RULES_H

#include "graph/graph.h"
#include "graph/op.h"

// Shape rule: checks call->inputs and attributes, fills call->outputs and reusable_inputs (output_count is preset to
// the row's minimum). Cost rule: flops and bytes of a call whose outputs are known. Gradient rule: appends to the graph
// what computes the gradients of the node's inputs from those of its outputs.
//   dy[i]: gradient of output i, or TITAN_NO_VALUE. dx[i]: to be set for each input i whose gradient is wanted
//   (titan_graph_wants_gradient); comes in as TITAN_NO_VALUE. Gradients of parameters are float32, others have the
//   value's type.
#define TITAN_OP(name, inputs_min, inputs_max, outputs_min, outputs_max, view, differentiable)                         \
  titan_status titan_op_shape_##name(titan_op_call *call);                                                             \
  titan_op_cost titan_op_cost_##name(const titan_op_call *call);                                                       \
  titan_status titan_op_gradient_##name(titan_graph *graph, const titan_node *node, const titan_value *dy,             \
                                        titan_value *dx);
#include "graph/ops.def"
#undef TITAN_OP

// TITAN_ERROR_INTERNAL that names the operation and prints its inputs' types, with what was expected.
titan_status titan_op_mismatch(const titan_op_call *call, const char *expected);

bool titan_types_equal(const titan_tensor_type *a, const titan_tensor_type *b);
bool titan_type_is_compute(const titan_tensor_type *type); // float32 or bfloat16
// float32, with so many elements in any dimensions: what a forward kept for its backward.
bool titan_type_is_statistics(const titan_tensor_type *type, int64_t elements);
// Whether the logits (input 0) have the columns that attributes.cross_entropy counts.
bool titan_columns_fit(const titan_op_call *call);
// Bytes of all operands, each touched once.
double titan_op_operand_bytes(const titan_op_call *call);
// Cost of an elementwise operation with so many floating-point operations for each element of its first output.
titan_op_cost titan_op_elementwise_cost(const titan_op_call *call, double flops_per_element);

#endif
