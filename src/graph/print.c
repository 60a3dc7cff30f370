// SPDX-License-Identifier: Apache-2.0
#include "graph/graph.h"

const char *titan_graph_dimension_name(int dimension) {
  static const char *const names[TITAN_PLACEMENT_DIMENSIONS] = {"cp", "tp"};
  return names[dimension];
}

titan_status titan_graph_print_type(const titan_value_info *info, titan_text *text) {
  TITAN_TRY(titan_text_printf(text, "%s[", titan_dtype_name(info->type.dtype)));
  for (int i = 0; i < info->type.rank; i++)
    TITAN_TRY(titan_text_printf(text, "%s%lld", i ? "," : "", (long long)info->type.dims[i]));
  TITAN_TRY(titan_text_printf(text, "]"));
  for (int i = 0; i < TITAN_PLACEMENT_DIMENSIONS; i++) {
    const titan_placement *placement = &info->placement[i];
    if (placement->kind == TITAN_SHARD)
      TITAN_TRY(titan_text_printf(text, " %s:shard(%d)", titan_graph_dimension_name(i), placement->dim));
    else if (placement->kind == TITAN_PARTIAL)
      TITAN_TRY(titan_text_printf(text, " %s:partial", titan_graph_dimension_name(i)));
  }
  return TITAN_OK;
}

titan_status titan_graph_print_call(const titan_graph *graph, const titan_node *node, titan_text *text) {
  TITAN_TRY(titan_text_printf(text, "%s(", titan_op_name(node->call.kind)));
  for (int i = 0; i < node->call.input_count; i++)
    TITAN_TRY(titan_text_printf(text, "%s%s", i ? ", " : "", titan_graph_value(graph, node->inputs[i])->name));
  if (node->call.kind == TITAN_OP_matmul)
    TITAN_TRY(titan_text_printf(text, "%s%s", node->call.attributes.matmul.transpose_a ? ", a transposed" : "",
                                node->call.attributes.matmul.transpose_b ? ", b transposed" : ""));
  return titan_text_printf(text, ")");
}

static titan_status print_node(const titan_graph *graph, const titan_node *node, titan_text *text) {
  TITAN_TRY(titan_text_printf(text, "  %s ",
                              node->phase == TITAN_FORWARD    ? "fwd"
                              : node->phase == TITAN_BACKWARD ? "bwd"
                                                              : "wgt"));
  for (int i = 0; i < node->call.output_count; i++) {
    const titan_value_info *info = titan_graph_value(graph, node->outputs[i]);
    TITAN_TRY(titan_text_printf(text, "%s%s: ", i ? ", " : "", info->name));
    TITAN_TRY(titan_graph_print_type(info, text));
  }
  TITAN_TRY(titan_text_printf(text, " = "));
  TITAN_TRY(titan_graph_print_call(graph, node, text));
  return titan_text_printf(text, "\n");
}

titan_status titan_graph_print(const titan_graph *graph, titan_text *text) {
  TITAN_TRY(titan_text_printf(text, "graph %s\n", titan_graph_name(graph)));
  for (titan_value v = 0; v < titan_graph_value_count(graph); v++) {
    const titan_value_info *info = titan_graph_value(graph, v);
    if (info->role == TITAN_ROLE_INTERMEDIATE)
      continue;
    TITAN_TRY(titan_text_printf(text, "  %s %s: ", info->role == TITAN_ROLE_INPUT ? "input" : "parameter", info->name));
    TITAN_TRY(titan_graph_print_type(info, text));
    TITAN_TRY(titan_text_printf(text, "\n"));
  }
  for (int i = 0; i < titan_graph_node_count(graph); i++)
    TITAN_TRY(print_node(graph, titan_graph_node(graph, i), text));
  for (int i = 0; i < titan_graph_output_count(graph); i++) {
    const titan_graph_output *output = titan_graph_output_at(graph, i);
    TITAN_TRY(
        titan_text_printf(text, "  output %s = %s\n", output->name, titan_graph_value(graph, output->value)->name));
  }
  return TITAN_OK;
}
