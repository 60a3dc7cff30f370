// SPDX-License-Identifier: Apache-2.0
// Programs: a kind of unit with its passes, as an executable, and what its external values are bound to.
#include "parallel/runtime_private.h"
#include "passes/async_tensor.h"
#include "passes/tensor.h"

#include <string.h>

// The passes over one kind, in order: tensor parallelism, fusing, differentiation, and what tensor parallelism does
// after it.
titan_status titan_runtime_graph_create(titan_runtime *runtime, const titan_model_kind *kind,
                                        const titan_model_shape *shape, bool backward, titan_compile_report *compiled,
                                        titan_graph **out) {
  const titan_runtime_options *options = &runtime->options;
  titan_comm *tp = titan_mesh_comm(runtime->mesh, TITAN_MESH_TP);
  titan_tensor_options tensor = {titan_comm_size(tp), titan_comm_rank(tp), options->loss_parallel};
  titan_model_shape sized = *shape;
  titan_graph *graph = NULL;
  sized.logits_bytes = runtime->device->logits_bytes;
  titan_status status = titan_graph_create(kind->name, &graph);
  TITAN_TRY_CLEANUP(status);
  TITAN_TRY_CLEANUP(kind->build(&options->arguments, &sized, graph));
  if (tensor.ranks > 1) {
    titan_graph *logical = graph;
    graph = NULL;
    status = titan_tensor_parallel_apply(logical, &tensor, &graph);
    titan_graph_destroy(&logical);
    TITAN_TRY_CLEANUP(status);
  }
  if (options->compile) {
    titan_graph *plain = graph;
    graph = NULL;
    status = titan_compile_apply(plain, &graph, compiled);
    titan_graph_destroy(&plain);
    TITAN_TRY_CLEANUP(status);
  }
  if (backward && kind->differentiate != NULL) {
    TITAN_TRY_CLEANUP(titan_graph_differentiate(graph, titan_graph_find(graph, kind->differentiate)));
    if (options->compile)
      TITAN_TRY_CLEANUP(titan_compile_backward(graph));
    if (tensor.ranks > 1)
      TITAN_TRY_CLEANUP(titan_tensor_parallel_finish(graph, &tensor, kind->merged));
  }
cleanup:
  if (status != TITAN_OK)
    titan_graph_destroy(&graph);
  *out = graph;
  return status;
}

static const struct {
  const char *name;
  runtime_wire wire;
} wire_rows[] = {
    {"tokens", WIRE_TOKENS},
    {"labels", WIRE_LABELS},
    {"x", WIRE_INPUT},
    {"y", WIRE_OUTPUT},
    {"loss", WIRE_LOSS},
    {"logits", WIRE_LOGITS},
    {"d(x)", WIRE_INPUT_GRADIENT},
    {"d(y)", WIRE_OUTPUT_GRADIENT},
    {"d(loss)", WIRE_LOSS_GRADIENT},
};

// Any other name is that of a constant; -1: there is none of this name (titan_runtime_wires_check tells).
static int find_wire(const titan_runtime *runtime, const titan_plan *plan, int external) {
  const char *name = plan->externals[external].name;
  const titan_plan *constants = runtime->constants.plan != NULL ? runtime->constants.plan : plan;
  for (size_t i = 0; i < sizeof wire_rows / sizeof *wire_rows; i++)
    if (strcmp(wire_rows[i].name, name) == 0)
      return (int)wire_rows[i].wire;
  int index = titan_plan_external_find(constants, name);
  return index >= 0 && index <= TITAN_MAX_OUTPUTS ? WIRE_CONSTANT + index : -1;
}

titan_status titan_runtime_program_create(titan_runtime *runtime, const titan_model_kind *row, int kind,
                                          titan_graph *graph, const bool *keep, bool backward, runtime_program *out) {
  out->kind = kind;
  out->graph = graph;
  if (keep != NULL)
    TITAN_TRY(titan_activation_checkpoint_apply(graph, keep));
  if (runtime->options.async_tensor)
    TITAN_TRY(titan_async_tensor_apply(graph));
  if (backward && runtime->splits_backward && !row->merged)
    TITAN_TRY(titan_graph_split_backward(graph));
  TITAN_TRY(titan_executable_create(runtime->device, graph, row->merged && backward, &out->executable));
  out->plan = titan_executable_plan(out->executable);
  size_t count = (size_t)out->plan->external_count + 1;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, count, sizeof(void *), &out->externals));
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, count, sizeof(int), &out->wires));
  for (int i = 0; i < out->plan->external_count; i++)
    out->wires[i] = find_wire(runtime, out->plan, i);
  return TITAN_OK;
}

void titan_runtime_program_destroy(runtime_program *program) {
  titan_memory_free(program->externals);
  titan_memory_free(program->wires);
  titan_executable_destroy(&program->executable);
  titan_graph_destroy(&program->graph);
  *program = (runtime_program){0};
}

titan_status titan_runtime_program_add(runtime_step *step, int *index, runtime_program **out) {
  TITAN_TRY(titan_memory_resize(TITAN_MEMORY_GRAPH, ((size_t)step->program_count + 1) * sizeof *step->programs,
                                &step->programs));
  *index = step->program_count++;
  *out = &step->programs[*index];
  **out = (runtime_program){.kind = -1};
  return TITAN_OK;
}

bool titan_runtime_is_checkpointed(const titan_runtime *runtime, int kind) {
  const titan_model_kind *row = &runtime->options.model->kinds[kind];
  return row->differentiate != NULL && !row->merged && titan_model_kind_is_numbered(row);
}

static titan_status create_program(titan_runtime *runtime, runtime_step *step, int kind, bool backward, int *index) {
  const titan_model_kind *row = &runtime->options.model->kinds[kind];
  runtime_program *program = NULL;
  titan_graph *graph;
  TITAN_TRY(titan_runtime_program_add(step, index, &program));
  TITAN_TRY(titan_runtime_graph_create(runtime, row, &step->shape, backward, &program->compiled, &graph));
  return titan_runtime_program_create(runtime, row, kind, graph, NULL, backward, program);
}

titan_status titan_runtime_programs_create(titan_runtime *runtime, runtime_step_kind kind) {
  runtime_step *step = &runtime->steps[kind];
  const titan_model_definition *model = runtime->options.model;
  bool backward = kind == STEP_TRAINING;
  for (int row = 0; row < model->kind_count; row++) {
    int index = -1;
    if (backward && titan_runtime_is_checkpointed(runtime, row)) // later: a budget is for what the rest leaves
      continue;
    for (int unit = 0; unit < runtime->unit_count; unit++) {
      if (model->kind_of(&runtime->options.arguments, unit) != row)
        continue;
      if (index < 0)
        TITAN_TRY(create_program(runtime, step, row, backward, &index));
      step->program_of_unit[unit] = index;
    }
  }
  return TITAN_OK;
}
