// SPDX-License-Identifier: Apache-2.0
// Which units recompute what: one program for a kind, or two where some units recompute more than others.
#include "base/memory.h"
#include "parallel/runtime_private.h"

titan_status titan_runtime_block_create(titan_runtime *runtime, int kind, const titan_activation_choices *choices,
                                        int choice, titan_keep policy, runtime_program *out) {
  const titan_model_kind *row = &runtime->options.model->kinds[kind];
  titan_graph *graph;
  bool *keep = NULL;
  TITAN_TRY(
      titan_runtime_graph_create(runtime, row, &runtime->steps[STEP_TRAINING].shape, true, &out->compiled, &graph));
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
  status = titan_runtime_program_create(runtime, row, kind, graph, keep, true, out);
  titan_memory_free(keep);
  return status;
}

static titan_status add_block(titan_runtime *runtime, int kind, titan_keep policy, int *index) {
  runtime_program *program = NULL;
  TITAN_TRY(titan_runtime_program_add(&runtime->steps[STEP_TRAINING], index, &program));
  return titan_runtime_block_create(runtime, kind, NULL, 0, policy, program);
}

// Of the units of a kind, number `count` from 1: whether this one keeps nothing.
static bool keeps_nothing(const titan_activation_options *options, int64_t count) {
  switch (options->mode) {
  case TITAN_ACTIVATIONS_FULL:
  case TITAN_ACTIVATIONS_BUDGET: // until there is a choice
    return true;
  case TITAN_ACTIVATIONS_EVERY:
    return count % options->every == 0;
  case TITAN_ACTIVATIONS_KEPT:
  case TITAN_ACTIVATIONS_OPERATIONS:
    break;
  }
  return false;
}

titan_status titan_runtime_blocks_create(titan_runtime *runtime) {
  const titan_model_definition *model = runtime->options.model;
  const titan_activation_options *options = &runtime->options.activations;
  titan_keep usual = options->mode == TITAN_ACTIVATIONS_OPERATIONS ? TITAN_KEEP_OPERATIONS
                     : runtime->options.compile                    ? TITAN_KEEP_ALL_BUT_STREAMING
                                                                   : TITAN_KEEP_ALL;
  int64_t count = 0; // over all kinds, in the order of the units
  int programs[2 * KINDS_MOST];
  for (int i = 0; i < 2 * KINDS_MOST; i++)
    programs[i] = -1;
  for (int unit = 0; unit < runtime->unit_count; unit++) {
    int kind = model->kind_of(&runtime->options.arguments, unit);
    if (!titan_runtime_is_checkpointed(runtime, kind))
      continue;
    bool nothing = keeps_nothing(options, ++count);
    int *program = &programs[2 * kind + nothing];
    if (*program < 0)
      TITAN_TRY(add_block(runtime, kind, nothing ? TITAN_KEEP_NOTHING : usual, program));
    runtime->steps[STEP_TRAINING].program_of_unit[unit] = *program;
  }
  return TITAN_OK;
}
