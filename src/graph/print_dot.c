// SPDX-License-Identifier: Apache-2.0
// A graph as a drawing, in the language of Graphviz.
#include "graph/graph.h"

#include <string.h>

// Text between quotes: names have none of their own, but they may one day.
static titan_status print_quoted(titan_text *text, const char *name) {
  for (; *name != '\0'; name++)
    TITAN_TRY(titan_text_printf(text, strchr("\"\\", *name) != NULL ? "\\%c" : "%c", *name));
  return TITAN_OK;
}

static titan_status print_label(const titan_value_info *info, titan_text *text) {
  TITAN_TRY(print_quoted(text, info->name));
  TITAN_TRY(titan_text_printf(text, "\\n"));
  return titan_graph_print_type(info, text);
}

// Inputs and parameters.
static titan_status print_source(const titan_graph *graph, titan_value value, titan_text *text) {
  const titan_value_info *info = titan_graph_value(graph, value);
  TITAN_TRY(titan_text_printf(text, "  v%d [shape=%s, fillcolor=\"%s\", label=\"", value,
                              info->role == TITAN_ROLE_PARAMETER ? "cylinder" : "ellipse",
                              info->role == TITAN_ROLE_PARAMETER ? "#ece2f0" : "#f7f7f7"));
  TITAN_TRY(print_label(info, text));
  return titan_text_printf(text, "\"];\n");
}

static titan_status print_operation(const titan_graph *graph, int index, titan_text *text) {
  const titan_node *node = titan_graph_node(graph, index);
  TITAN_TRY(titan_text_printf(text, "  n%d [shape=box, fillcolor=\"%s\", label=\"%s", index,
                              node->phase == TITAN_FORWARD ? "#c6dbef" : "#fdd0a2", titan_op_name(node->call.kind)));
  for (int i = 0; i < node->call.output_count; i++) {
    TITAN_TRY(titan_text_printf(text, "\\n"));
    TITAN_TRY(print_label(titan_graph_value(graph, node->outputs[i]), text));
  }
  return titan_text_printf(text, "\"];\n");
}

// The statement that makes a value: its node, or itself.
static titan_status print_end(const titan_graph *graph, titan_value value, titan_text *text) {
  int producer = titan_graph_value(graph, value)->producer;
  return producer >= 0 ? titan_text_printf(text, "  n%d", producer) : titan_text_printf(text, "  v%d", value);
}

static titan_status print_edges(const titan_graph *graph, int index, titan_text *text) {
  const titan_node *node = titan_graph_node(graph, index);
  for (int i = 0; i < node->call.input_count; i++) {
    TITAN_TRY(print_end(graph, node->inputs[i], text));
    TITAN_TRY(titan_text_printf(text, " -> n%d [tooltip=\"", index));
    TITAN_TRY(print_label(titan_graph_value(graph, node->inputs[i]), text));
    TITAN_TRY(titan_text_printf(text, "\"];\n"));
  }
  return TITAN_OK;
}

static titan_status print_output(const titan_graph *graph, int index, titan_text *text) {
  const titan_graph_output *output = titan_graph_output_at(graph, index);
  TITAN_TRY(titan_text_printf(text, "  o%d [shape=ellipse, fillcolor=\"#c7e9c0\", label=\"", index));
  TITAN_TRY(print_quoted(text, output->name));
  TITAN_TRY(titan_text_printf(text, "\"];\n"));
  TITAN_TRY(print_end(graph, output->value, text));
  return titan_text_printf(text, " -> o%d;\n", index);
}

titan_status titan_graph_print_dot(const titan_graph *graph, titan_text *text) {
  TITAN_TRY(titan_text_printf(text, "digraph \""));
  TITAN_TRY(print_quoted(text, titan_graph_name(graph)));
  TITAN_TRY(titan_text_printf(text, "\" {\n  node [style=filled, fontname=\"monospace\", fontsize=10];\n"));
  for (titan_value v = 0; v < titan_graph_value_count(graph); v++)
    if (titan_graph_value(graph, v)->role != TITAN_ROLE_INTERMEDIATE)
      TITAN_TRY(print_source(graph, v, text));
  for (int i = 0; i < titan_graph_node_count(graph); i++)
    TITAN_TRY(print_operation(graph, i, text));
  for (int i = 0; i < titan_graph_node_count(graph); i++)
    TITAN_TRY(print_edges(graph, i, text));
  for (int i = 0; i < titan_graph_output_count(graph); i++)
    TITAN_TRY(print_output(graph, i, text));
  return titan_text_printf(text, "}\n");
}
