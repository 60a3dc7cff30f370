#include "model/model.h"

#include "model/llama.h"

#include <stdio.h>
#include <string.h>

static const struct {
  const char *name;
  const titan_model_definition *definition;
} registry[] = {
    {"llama", &titan_model_llama3},
    {"llama2", &titan_model_llama2},
    {"llama3", &titan_model_llama3},
};

const titan_model_definition *titan_model_find(const char *name) {
  for (size_t i = 0; i < sizeof registry / sizeof *registry; i++)
    if (strcmp(registry[i].name, name) == 0)
      return registry[i].definition;
  return NULL;
}

const char *titan_model_names(void) {
  return "llama, llama2, llama3";
}

titan_part titan_model_unit_part(const titan_model_arguments *arguments, int64_t unit) {
  return unit == 0 ? TITAN_PART_EMBEDDING : unit <= arguments->layers ? TITAN_PART_BLOCK : TITAN_PART_HEAD;
}

void titan_model_unit_prefix(const titan_model_arguments *arguments, int64_t unit, char *text, size_t size) {
  if (titan_model_unit_part(arguments, unit) == TITAN_PART_BLOCK)
    snprintf(text, size, "layers.%lld.", (long long)unit - 1);
  else
    snprintf(text, size, "%s", "");
}

int64_t titan_model_ffn_hidden(const titan_model_arguments *arguments) {
  int64_t hidden = 2 * (4 * arguments->dim) / 3;
  hidden = (int64_t)(arguments->ffn_dim_multiplier * (double)hidden);
  return (hidden + arguments->multiple_of - 1) / arguments->multiple_of * arguments->multiple_of;
}

titan_status titan_model_count_parameters(const titan_model_definition *model, const titan_model_arguments *arguments,
                                          int64_t *total, int64_t *embedding) {
  // Any batch will do: parameters do not depend on it.
  titan_model_shape shape = {.batch = 1, .length = 1, .global_tokens = 1, .dtype = TITAN_FLOAT32};
  *total = 0;
  for (titan_part part = TITAN_PART_EMBEDDING; part <= TITAN_PART_HEAD; part++) {
    titan_graph *graph;
    TITAN_TRY(titan_graph_create("count", &graph));
    titan_status status = model->build(arguments, &shape, part, graph);
    int64_t count = 0;
    for (titan_value v = 0; v < titan_graph_value_count(graph); v++)
      if (titan_graph_value(graph, v)->role == TITAN_ROLE_PARAMETER)
        count += titan_tensor_elements(&titan_graph_value(graph, v)->type);
    titan_graph_destroy(&graph);
    TITAN_TRY(status);
    if (part == TITAN_PART_EMBEDDING && embedding != NULL)
      *embedding = count;
    *total += count * (part == TITAN_PART_BLOCK ? arguments->layers : 1);
  }
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
