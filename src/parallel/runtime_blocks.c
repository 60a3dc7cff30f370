// Which layers recompute what: one part a kind, or two where some layers recompute more than others.
#include "parallel/runtime_private.h"

#include "base/memory.h"

titan_status titan_runtime_layer_create(titan_runtime *runtime, int kind, const titan_activation_choices *choices,
                                        int choice, titan_keep policy, runtime_part *out) {
  const titan_model_kind *row = &runtime->options.model->kinds[kind];
  titan_graph *graph;
  bool *keep = NULL;
  TITAN_TRY(titan_runtime_graph_create(runtime, row, &runtime->compiled[kind], &graph));
  titan_status status =
      titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, (size_t)titan_graph_node_count(graph) + 1, sizeof *keep, &keep);
  if (status != TITAN_OK) {
    titan_graph_destroy(&graph);
    return status;
  }
  if (choices != NULL)
    titan_activation_choice_keep(choices, choice, graph, keep);
  else
    titan_activation_keep(graph, policy, keep);
  status = titan_runtime_part_create(runtime, row, graph, keep, out);
  titan_memory_free(keep);
  return status;
}

// Every layer alike.
static titan_status create_all(titan_runtime *runtime, titan_keep policy) {
  const titan_model_definition *model = runtime->options.model;
  for (int kind = 0; kind < model->kind_count; kind++)
    if (titan_model_kind_is_numbered(&model->kinds[kind]))
      TITAN_TRY(titan_runtime_layer_create(runtime, kind, NULL, 0, policy, &runtime->parts[kind]));
  return TITAN_OK;
}

// Every n-th layer keeps its input only.
static titan_status create_every(titan_runtime *runtime, int64_t every, titan_keep usual) {
  TITAN_TRY(create_all(runtime, every == 1 ? TITAN_KEEP_NOTHING : usual));
  if (every == 1)
    return TITAN_OK;
  int64_t layer = 0;
  for (int unit = 0; unit < runtime->unit_count; unit++) {
    if (!titan_runtime_is_layer(runtime, unit) || ++layer % every != 0)
      continue;
    int kind = titan_runtime_kind_of(runtime, unit);
    runtime->is_other[unit] = true;
    if (runtime->others[kind].graph == NULL)
      TITAN_TRY(titan_runtime_layer_create(runtime, kind, NULL, 0, TITAN_KEEP_NOTHING, &runtime->others[kind]));
  }
  return TITAN_OK;
}

static titan_status create(titan_runtime *runtime) {
  const titan_activation_options *options = &runtime->options.activations;
  titan_keep usual = runtime->options.compile ? TITAN_KEEP_ALL_BUT_STREAMING : TITAN_KEEP_ALL;
  switch (options->mode) {
  case TITAN_ACTIVATIONS_KEPT:
    return create_all(runtime, usual);
  case TITAN_ACTIVATIONS_FULL:
    return create_all(runtime, TITAN_KEEP_NOTHING);
  case TITAN_ACTIVATIONS_OPERATIONS:
    return create_all(runtime, TITAN_KEEP_OPERATIONS);
  case TITAN_ACTIVATIONS_BUDGET:
    return titan_runtime_budget_create(runtime);
  case TITAN_ACTIVATIONS_EVERY:
    break;
  }
  return create_every(runtime, options->every, usual);
}

titan_status titan_runtime_blocks_create(titan_runtime *runtime) {
  TITAN_TRY(create(runtime));
  return titan_runtime_lay_out(runtime);
}
