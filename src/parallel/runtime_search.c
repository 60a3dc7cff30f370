// SPDX-License-Identifier: Apache-2.0
// Looking at a step while it runs: which of its operations is the first to give a value that is not finite. What a RUN
// reads of other units and ranks is looked at before it, and each operation's outputs after it; so all that an
// operation reads has been looked at, on whatever rank it was made, if nothing was found before.
#include "parallel/runtime_private.h"

#include <math.h>

// --- describing ---

// "[0,5,3]", of the element `index`.
static titan_status add_place(int64_t index, int rank, const int64_t *dims, titan_text *text) {
  int64_t stride = 1;
  for (int i = 1; i < rank; i++)
    stride *= dims[i];
  for (int i = 0; i < rank; i++) {
    TITAN_TRY(titan_text_printf(text, "%s%lld", i > 0 ? "," : "[", (long long)(index / stride)));
    index %= stride;
    stride /= i + 1 < rank ? dims[i + 1] : 1;
  }
  return titan_text_printf(text, "]");
}

titan_status titan_runtime_search_describe(int64_t count, const titan_nonfinite *found, int rank, const int64_t *dims,
                                           titan_text *text) {
  int64_t elements = 1;
  const char *value = isnan(found->value) ? "nan" : found->value > 0 ? "inf" : "-inf";
  for (int i = 0; i < rank; i++)
    elements *= dims[i];
  TITAN_TRY(count == 1 ? titan_text_printf(text, "1 of %lld values is not finite, %s at ", (long long)elements, value)
                       : titan_text_printf(text, "%lld of %lld values are not finite, the first is %s at ",
                                           (long long)count, (long long)elements, value));
  return add_place(found->first, rank, dims, text);
}

// Whether an output is the value, also seen through views.
static bool is_seen_as(const titan_graph *graph, titan_value value, titan_value output) {
  while (output != value) {
    int producer = titan_graph_value(graph, output)->producer;
    const titan_node *node = producer >= 0 ? titan_graph_node(graph, producer) : NULL;
    if (node == NULL || !titan_op_is_view(node->call.kind) || node->call.input_count != 1)
      return false;
    output = node->inputs[0];
  }
  return true;
}

// The graph's outputs that the value is, "d(attention.wq.weight)+d(attention.wk.weight)"; else the value's own name.
static titan_status add_name(const titan_graph *graph, titan_value value, titan_text *text) {
  const char *plus = "";
  for (int i = 0; i < titan_graph_output_count(graph); i++) {
    const titan_graph_output *output = titan_graph_output_at(graph, i);
    if (!is_seen_as(graph, value, output->value))
      continue;
    TITAN_TRY(titan_text_printf(text, "%s%s", plus, output->name));
    plus = "+";
  }
  return plus[0] != '\0' ? TITAN_OK : titan_text_printf(text, "%s", titan_graph_value(graph, value)->name);
}

// "forward of layers.3, microbatch 0, on rank 2"
static titan_status add_run(const titan_runtime *runtime, titan_text *text) {
  const runtime_search *search = runtime->search;
  const titan_action *run = &search->step->list.actions[search->place];
  return titan_text_printf(text, "%s of %s, microbatch %d, on rank %d", titan_runtime_action_name(run),
                           search->step->names[run->unit], run->microbatch,
                           titan_comm_rank(titan_mesh_comm(runtime->mesh, TITAN_MESH_WORLD)));
}

static titan_status add_values(const titan_tensor_type *type, const titan_nonfinite *found, titan_text *text) {
  titan_value_info info = {.type = *type};
  TITAN_TRY(titan_text_printf(text, " "));
  TITAN_TRY(titan_graph_print_type(&info, text));
  TITAN_TRY(titan_text_printf(text, ", "));
  return titan_runtime_search_describe(found->count, found, type->rank, type->dims, text);
}

static bool is_sum(const titan_op_call *call) {
  titan_plan_traffic traffic = titan_op_traffic_of(call);
  return traffic.reduce_scatter + traffic.all_reduce > 0;
}

static titan_status describe_output(const titan_runtime *runtime, const titan_graph *graph, const titan_node *node,
                                    int output, const titan_nonfinite *found, titan_text *text) {
  const titan_op_call *call = &node->call;
  TITAN_TRY(titan_text_printf(text, "run again, the first operation with a result that is not finite is "));
  TITAN_TRY(titan_graph_print_call(graph, node, text));
  if (is_sum(call)) {
    titan_comm *group = runtime->groups[call->attributes.collective.dimension];
    TITAN_TRY(
        titan_text_printf(text, ", a sum over the %d ranks of %s,", titan_comm_size(group), titan_comm_name(group)));
  }
  TITAN_TRY(titan_text_printf(text, " in "));
  TITAN_TRY(add_run(runtime, text));
  TITAN_TRY(titan_text_printf(text, ": of "));
  TITAN_TRY(add_name(graph, node->outputs[output], text));
  TITAN_TRY(add_values(&call->outputs[output], found, text));
  return titan_text_printf(text, "; all that it reads is finite");
}

static titan_status describe_input(const titan_runtime *runtime, const titan_plan_external *input,
                                   const titan_nonfinite *found, titan_text *text) {
  TITAN_TRY(titan_text_printf(text, "run again, the first to read values that are not finite is "));
  TITAN_TRY(add_run(runtime, text));
  TITAN_TRY(titan_text_printf(text, ", and no operation gave them: of %s", input->name));
  return add_values(&input->type, found, text);
}

// --- looking ---

// When the cell of the RUN under way begins, in a simulation of the pipeline.
static double cell_begins(const titan_runtime *runtime) {
  const runtime_search *search = runtime->search;
  const runtime_step *step = search->step;
  const titan_action *run = &step->list.actions[search->place];
  int rank = titan_comm_rank(titan_runtime_pipeline_group(runtime));
  int stage = titan_step_stage_of(&step->lowering, run->unit);
  for (int i = 0; search->prediction.ranks != NULL && i < step->order.counts[rank]; i++) {
    const titan_cell *cell = &step->order.cells[rank][i];
    if (cell->stage == stage && cell->microbatch == run->microbatch && cell->compute == run->compute)
      return search->prediction.ranks[rank].spans[i].begin;
  }
  return 0; // there is one pipeline rank
}

static void set_keys(titan_runtime *runtime, double instruction, double output) {
  runtime_search *search = runtime->search;
  const double keys[SEARCH_KEYS] = {cell_begins(runtime), search->place, instruction, output};
  memcpy(search->keys, keys, sizeof keys);
}

static bool has_found(const runtime_search *search) {
  return !isinf(search->keys[0]);
}

// What has been found stays found without its description.
static void describe_or_not(runtime_search *search, titan_status status) {
  if (status != TITAN_OK)
    titan_text_destroy(&search->text);
}

titan_status titan_runtime_search_inputs(titan_runtime *runtime, const runtime_step *step, int place) {
  runtime_search *search = runtime->search;
  const runtime_program *program = titan_runtime_program_of(step, step->list.actions[place].unit);
  search->step = step;
  search->place = place;
  for (int i = 0; i < program->plan->external_count; i++) {
    const titan_plan_external *input = &program->plan->externals[i];
    titan_nonfinite found;
    if (input->written || program->externals[i] == NULL)
      continue;
    TITAN_TRY(titan_nonfinite_scan(&search->scanner, input->type.dtype, titan_tensor_elements(&input->type),
                                   program->externals[i], &found));
    if (found.count == 0 || has_found(search))
      continue;
    set_keys(runtime, -1, i);
    describe_or_not(search, describe_input(runtime, input, &found, &search->text));
  }
  return TITAN_OK;
}

// After the first finding the host waits as before, so that all ranks wait at the same places.
static titan_status look_at_outputs(void *context, const titan_node *node, titan_phase phase, int index,
                                    void *const *outputs) {
  titan_runtime *runtime = context;
  runtime_search *search = runtime->search;
  const titan_op_call *call = &node->call;
  const titan_action *run = &search->step->list.actions[search->place];
  for (int k = 0; k < call->output_count; k++) {
    titan_nonfinite found;
    TITAN_TRY(titan_nonfinite_scan(&search->scanner, call->outputs[k].dtype, titan_tensor_elements(&call->outputs[k]),
                                   outputs[k], &found));
    // Of a rank whose columns are all padding the largest logit is -inf by definition.
    if (found.count == 0 || has_found(search) || call->kind == TITAN_OP_vocabulary_max)
      continue;
    set_keys(runtime, (double)phase * INT32_MAX + index, k);
    const titan_graph *graph = titan_runtime_program_of(search->step, run->unit)->graph;
    describe_or_not(search, describe_output(runtime, graph, node, k, &found, &search->text));
  }
  return TITAN_OK;
}

titan_status titan_runtime_search_phase(titan_runtime *runtime, const runtime_program *program, titan_phase phase,
                                        const titan_bindings *bindings) {
  const titan_inspector inspector = {.inspect = look_at_outputs, .context = runtime};
  return titan_executable_run_inspected(program->executable, phase, bindings, titan_comm_progress, &inspector);
}
