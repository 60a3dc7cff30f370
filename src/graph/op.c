// SPDX-License-Identifier: Apache-2.0
#include "graph/op.h"

#include "graph/rules.h"

#include <stdio.h>

typedef struct op_row {
  const char *name;
  int inputs_min, inputs_max, outputs_min, outputs_max;
  bool view;
  titan_status (*shape)(titan_op_call *call);
  titan_op_cost (*cost)(const titan_op_call *call);
} op_row;

static const op_row rows[] = {
#define TITAN_OP(name, inputs_min, inputs_max, outputs_min, outputs_max, view, differentiable)                         \
  {#name, inputs_min, inputs_max, outputs_min, outputs_max, view, titan_op_shape_##name, titan_op_cost_##name},
#include "graph/ops.def"
#undef TITAN_OP
};

const char *titan_op_name(titan_op_kind kind) {
  return rows[kind].name;
}

bool titan_op_is_view(titan_op_kind kind) {
  return rows[kind].view;
}

static bool has_elements(const titan_tensor_type *type) {
  if (type->rank < 1 || type->rank > TITAN_MAX_RANK)
    return false;
  for (int i = 0; i < type->rank; i++)
    if (type->dims[i] < 1)
      return false;
  return true;
}

titan_status titan_op_infer(titan_op_call *call) {
  const op_row *row = &rows[call->kind];
  if (call->input_count < row->inputs_min || call->input_count > row->inputs_max)
    return titan_error(TITAN_ERROR_INTERNAL, "%s takes %d to %d inputs, not %d", row->name, row->inputs_min,
                       row->inputs_max, call->input_count);
  for (int i = 0; i < call->input_count; i++)
    if (!has_elements(&call->inputs[i]))
      return titan_op_mismatch(call, "inputs of 1 to 4 dimensions of at least 1");
  call->output_count = row->outputs_min;
  call->reusable_inputs = 0;
  TITAN_TRY(row->shape(call));
  for (int i = 0; i < call->output_count; i++)
    if (!has_elements(&call->outputs[i]))
      return titan_op_mismatch(call, "what gives outputs of 1 to 4 dimensions of at least 1");
  return TITAN_OK;
}

titan_op_cost titan_op_cost_of(const titan_op_call *call) {
  return rows[call->kind].cost(call);
}

titan_status titan_op_mismatch(const titan_op_call *call, const char *expected) {
  char text[1024] = "";
  size_t used = 0;
  for (int i = 0; i < call->input_count && used < sizeof text - 100; i++) {
    const titan_tensor_type *type = &call->inputs[i];
    used += (size_t)snprintf(text + used, sizeof text - used, "%s%s[", i ? ", " : "", titan_dtype_name(type->dtype));
    for (int d = 0; d < type->rank && d < TITAN_MAX_RANK; d++)
      used += (size_t)snprintf(text + used, sizeof text - used, "%s%lld", d ? "," : "", (long long)type->dims[d]);
    used += (size_t)snprintf(text + used, sizeof text - used, "]");
  }
  return titan_error(TITAN_ERROR_INTERNAL, "%s(%s): expected %s", titan_op_name(call->kind), text, expected);
}

bool titan_types_equal(const titan_tensor_type *a, const titan_tensor_type *b) {
  if (a->dtype != b->dtype || a->rank != b->rank)
    return false;
  for (int i = 0; i < a->rank; i++)
    if (a->dims[i] != b->dims[i])
      return false;
  return true;
}

bool titan_type_is_statistics(const titan_tensor_type *type, int64_t elements) {
  return type->dtype == TITAN_FLOAT32 && titan_tensor_elements(type) == elements;
}

bool titan_type_is_compute(const titan_tensor_type *type) {
  return type->dtype == TITAN_FLOAT32 || type->dtype == TITAN_BFLOAT16;
}

bool titan_columns_fit(const titan_op_call *call) {
  int64_t columns = call->attributes.cross_entropy.columns;
  return columns >= 0 && columns <= titan_tensor_columns(&call->inputs[0]);
}

double titan_op_operand_bytes(const titan_op_call *call) {
  double bytes = 0;
  for (int i = 0; i < call->input_count; i++)
    bytes += (double)titan_tensor_bytes(&call->inputs[i]);
  for (int i = 0; i < call->output_count; i++)
    bytes += (double)titan_tensor_bytes(&call->outputs[i]);
  return bytes;
}

titan_op_cost titan_op_elementwise_cost(const titan_op_call *call, double flops_per_element) {
  return (titan_op_cost){flops_per_element * (double)titan_tensor_elements(&call->outputs[0]),
                         titan_op_operand_bytes(call)};
}
