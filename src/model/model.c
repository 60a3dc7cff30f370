// SPDX-License-Identifier: Apache-2.0
#include "model/model.h"

#include <stdio.h>
#include <string.h>

static const struct {
  const char *name;
  const titan_model_definition *definition;
} registry[] = {
#define TITAN_MODEL(name, definition) {name, &definition},
#include "model/models.def"
#undef TITAN_MODEL
};

const titan_model_definition *titan_model_find(const char *name) {
  for (size_t i = 0; i < sizeof registry / sizeof *registry; i++)
    if (strcmp(registry[i].name, name) == 0)
      return registry[i].definition;
  return NULL;
}

const char *titan_model_names(void) {
#define TITAN_MODEL(name, definition) ", " name
  static const char names[] =
#include "model/models.def"
      ;
#undef TITAN_MODEL
  return names + 2;
}

int64_t titan_model_unit_count(const titan_model_definition *model, const titan_model_arguments *arguments) {
  return model->unit_count(arguments);
}

const titan_model_kind *titan_model_unit_kind(const titan_model_definition *model,
                                              const titan_model_arguments *arguments, int64_t unit) {
  return &model->kinds[model->kind_of(arguments, unit)];
}

const titan_model_tie *titan_model_tie_of(const titan_model_definition *model, const titan_model_arguments *arguments) {
  return arguments->tied ? model->tie : NULL;
}

bool titan_model_is_copy(const titan_model_definition *model, const titan_model_arguments *arguments, int kind,
                         const char *parameter) {
  const titan_model_tie *tie = titan_model_tie_of(model, arguments);
  return tie != NULL && tie->kinds[1] == kind && strcmp(tie->parameters[1], parameter) == 0;
}

static const char number_place[] = "%lld";

bool titan_model_kind_is_numbered(const titan_model_kind *kind) {
  return strstr(kind->prefix, number_place) != NULL;
}

int64_t titan_model_unit_number(const titan_model_definition *model, const titan_model_arguments *arguments,
                                int64_t unit) {
  const titan_model_kind *kind = titan_model_unit_kind(model, arguments, unit);
  int64_t number = 0;
  if (!titan_model_kind_is_numbered(kind))
    return 0;
  for (int64_t i = 0; i < unit; i++) {
    const titan_model_kind *other = titan_model_unit_kind(model, arguments, i);
    number += other == kind || strcmp(other->prefix, kind->prefix) == 0;
  }
  return number;
}

void titan_model_unit_prefix(const titan_model_definition *model, const titan_model_arguments *arguments, int64_t unit,
                             char *text, size_t size) {
  const char *prefix = titan_model_unit_kind(model, arguments, unit)->prefix;
  const char *place = strstr(prefix, number_place);
  if (place == NULL)
    snprintf(text, size, "%s", prefix);
  else
    snprintf(text, size, "%.*s%lld%s", (int)(place - prefix), prefix,
             (long long)titan_model_unit_number(model, arguments, unit), place + sizeof number_place - 1);
}

void titan_model_unit_name(const titan_model_definition *model, const titan_model_arguments *arguments, int64_t unit,
                           char *text, size_t size) {
  const titan_model_kind *kind = titan_model_unit_kind(model, arguments, unit);
  if (!titan_model_kind_is_numbered(kind)) {
    snprintf(text, size, "%s", kind->name);
    return;
  }
  titan_model_unit_prefix(model, arguments, unit, text, size);
  size_t length = strlen(text);
  if (length > 0 && text[length - 1] == '.')
    text[length - 1] = '\0';
}

int64_t titan_model_ffn_hidden(const titan_model_arguments *arguments) {
  int64_t hidden = 2 * (4 * arguments->dim) / 3;
  hidden = (int64_t)(arguments->ffn_dim_multiplier * (double)hidden);
  return (hidden + arguments->multiple_of - 1) / arguments->multiple_of * arguments->multiple_of;
}

typedef struct parameter_counts {
  int64_t total, looked_up, copied;
} parameter_counts;

// Adds up the elements of a graph's parameters, of those that an embedding looks up, and of those that are a copy.
static void count_elements(const titan_model_definition *model, const titan_model_arguments *arguments, int kind,
                           const titan_graph *graph, parameter_counts *counts) {
  int64_t units = 0;
  for (int64_t unit = 0; unit < titan_model_unit_count(model, arguments); unit++)
    units += model->kind_of(arguments, unit) == kind;
  for (titan_value v = 0; v < titan_graph_value_count(graph); v++) {
    const titan_value_info *value = titan_graph_value(graph, v);
    if (value->role == TITAN_ROLE_PARAMETER && titan_model_is_copy(model, arguments, kind, value->name))
      counts->copied += units * titan_tensor_elements(&value->type);
    else if (value->role == TITAN_ROLE_PARAMETER)
      counts->total += units * titan_tensor_elements(&value->type);
  }
  for (int n = 0; n < titan_graph_node_count(graph); n++) {
    const titan_node *node = titan_graph_node(graph, n);
    if (node->call.kind == TITAN_OP_embedding)
      counts->looked_up += units * titan_tensor_elements(&node->call.inputs[1]);
  }
}

titan_status titan_model_count_parameters(const titan_model_definition *model, const titan_model_arguments *arguments,
                                          int64_t *total, int64_t *embedding) {
  // Any batch will do: parameters do not depend on it.
  titan_model_shape shape = {.batch = 1, .length = 1, .dtype = TITAN_FLOAT32};
  parameter_counts counts = {0};
  *total = 0;
  for (int kind = 0; kind < model->kind_count; kind++) {
    titan_graph *graph;
    TITAN_TRY(titan_graph_create("count", &graph));
    titan_status status = model->kinds[kind].build(arguments, &shape, graph);
    if (status == TITAN_OK)
      count_elements(model, arguments, kind, graph, &counts);
    titan_graph_destroy(&graph);
    TITAN_TRY(status);
  }
  *total = counts.total;
  if (embedding != NULL)
    *embedding = counts.looked_up - counts.copied;
  return TITAN_OK;
}

double titan_model_flops_per_token(const titan_model_arguments *arguments, int64_t parameters, int64_t embedding,
                                   int64_t length) {
  return 6.0 * (double)(parameters - embedding) +
         12.0 * (double)arguments->layers * (double)arguments->dim * (double)length;
}

bool titan_model_same_scaling(const titan_rope_scaling *a, const titan_rope_scaling *b) {
  return a->factor == b->factor &&
         (a->factor == 0 || (a->low == b->low && a->high == b->high && a->original_length == b->original_length));
}
