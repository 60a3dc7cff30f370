// Which blocks recompute what: one part for all, or two where some blocks recompute more than others.
#include "parallel/runtime_private.h"

#include "base/memory.h"

titan_status titan_runtime_block_create(titan_runtime *runtime, const titan_activation_choices *choices, int choice,
                                        titan_keep policy, runtime_part *out) {
  titan_graph *graph;
  bool *keep = NULL;
  TITAN_TRY(titan_runtime_graph_create(runtime, TITAN_PART_BLOCK, &graph));
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
  status = titan_runtime_part_create(runtime, TITAN_PART_BLOCK, graph, keep, out);
  titan_memory_free(keep);
  return status;
}

static titan_status create(titan_runtime *runtime) {
  const titan_activation_options *options = &runtime->options.activations;
  runtime_part *block = &runtime->parts[TITAN_PART_BLOCK];
  titan_keep usual = runtime->options.compile ? TITAN_KEEP_ALL_BUT_STREAMING : TITAN_KEEP_ALL;
  switch (options->mode) {
  case TITAN_ACTIVATIONS_KEPT:
    return titan_runtime_block_create(runtime, NULL, 0, usual, block);
  case TITAN_ACTIVATIONS_FULL:
    return titan_runtime_block_create(runtime, NULL, 0, TITAN_KEEP_NOTHING, block);
  case TITAN_ACTIVATIONS_OPERATIONS:
    return titan_runtime_block_create(runtime, NULL, 0, TITAN_KEEP_OPERATIONS, block);
  case TITAN_ACTIVATIONS_BUDGET:
    return titan_runtime_budget_create(runtime);
  case TITAN_ACTIVATIONS_EVERY:
    break;
  }
  int64_t layers = runtime->options.arguments.layers;
  TITAN_TRY(titan_runtime_block_create(runtime, NULL, 0, options->every == 1 ? TITAN_KEEP_NOTHING : usual, block));
  if (options->every == 1 || options->every > layers)
    return TITAN_OK;
  for (int64_t layer = options->every; layer <= layers; layer += options->every)
    runtime->is_other[layer] = true; // unit 0 is the embedding
  return titan_runtime_block_create(runtime, NULL, 0, TITAN_KEEP_NOTHING, &runtime->other_block);
}

titan_status titan_runtime_blocks_create(titan_runtime *runtime) {
  TITAN_TRY(create(runtime));
  titan_runtime_lay_out(runtime);
  return TITAN_OK;
}
