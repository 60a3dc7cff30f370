// SPDX-License-Identifier: Apache-2.0
// What a runtime tells about its plans.
#include "parallel/runtime_private.h"

#include "base/size.h"

#include <string.h>

titan_runtime_work titan_runtime_work_of(const titan_runtime *runtime) {
  titan_runtime_work work = {0};
  double microbatches = (double)runtime->options.microbatches;
  for (int unit = 0; unit < runtime->unit_count; unit++)
    for (int phase = 0; phase < TITAN_PHASES && runtime->holds[unit]; phase++) {
      const titan_plan_phase *p = &titan_runtime_program_of(&runtime->steps[STEP_TRAINING], unit)->plan->phases[phase];
      work.flops += p->cost.flops * microbatches;
      work.recomputed += p->recomputed.flops * microbatches;
    }
  return work;
}

// --- recomputation ---

// "attention.wq" for attention.wq.weight.
static titan_status add_parameter(const char *name, titan_text *text) {
  size_t length = strlen(name), ending = sizeof ".weight" - 1;
  if (length > ending && strcmp(name + length - ending, ".weight") == 0)
    length -= ending;
  return titan_text_append(text, name, length);
}

// The weights that an operation reads, joined ones too, else its kind.
static titan_status add_operation(const titan_graph *graph, const titan_node *node, titan_text *text) {
  size_t before = text->length;
  for (int i = 0; i < node->call.input_count; i++) {
    const titan_value_info *input = titan_graph_value(graph, node->inputs[i]);
    const titan_node *joined = input->producer < 0 ? NULL : titan_graph_node(graph, input->producer);
    if (input->role == TITAN_ROLE_PARAMETER)
      TITAN_TRY(add_parameter(input->name, text));
    for (int k = 0; joined != NULL && joined->call.kind == TITAN_OP_concat && k < joined->call.input_count; k++) {
      const titan_value_info *part = titan_graph_value(graph, joined->inputs[k]);
      if (part->role != TITAN_ROLE_PARAMETER)
        continue;
      TITAN_TRY(titan_text_append(text, "+", k > 0 ? 1 : 0));
      TITAN_TRY(add_parameter(part->name, text));
    }
  }
  return text->length > before ? TITAN_OK : titan_text_printf(text, "%s", titan_op_name(node->call.kind));
}

static titan_status add_recomputed(const runtime_program *block, titan_text *text) {
  const titan_plan_phase *backward = &block->plan->phases[TITAN_BACKWARD];
  const char *comma = "";
  for (int i = 0; i < backward->count; i++) {
    const titan_node *node = backward->instructions[i].node;
    if (!node->recomputed)
      continue;
    TITAN_TRY(titan_text_printf(text, "%s", comma));
    TITAN_TRY(add_operation(block->graph, node, text));
    comma = ", ";
  }
  return comma[0] == '\0' ? titan_text_printf(text, "nothing") : TITAN_OK;
}

// Units of this rank whose program it is.
static long long units_of(const titan_runtime *runtime, int program) {
  long long count = 0;
  for (int unit = 0; unit < runtime->unit_count; unit++)
    count += runtime->holds[unit] && runtime->steps[STEP_TRAINING].program_of_unit[unit] == program;
  return count;
}

titan_status titan_runtime_describe_activations(const titan_runtime *runtime, titan_text *text) {
  const runtime_step *step = &runtime->steps[STEP_TRAINING];
  titan_runtime_work work = titan_runtime_work_of(runtime);
  long long blocks = 0;
  size_t saved = 0;
  for (int unit = 0; unit < runtime->unit_count; unit++) {
    if (!runtime->holds[unit])
      continue;
    blocks += titan_runtime_is_checkpointed(runtime, titan_runtime_program_of(step, unit)->kind);
    saved += step->unit_sizes[unit].saved + step->unit_sizes[unit].input;
  }
  TITAN_TRY(titan_text_printf(text, "Activations kept: %.3f GiB; recomputed a step: ", (double)saved / TITAN_GIB));
  bool nothing = true;
  for (int i = 0; i < step->program_count; i++)
    if (titan_runtime_uses(runtime, step, i))
      nothing &= step->programs[i].plan->phases[TITAN_BACKWARD].recomputed.bytes == 0;
  if (nothing)
    return titan_text_printf(text, "nothing");
  TITAN_TRY(titan_text_printf(text, "%.3g GFLOP (%.1f %% more)", work.recomputed / 1e9,
                              100 * work.recomputed / (work.flops - work.recomputed)));
  bool first = true;
  for (int i = 0; i < step->program_count; i++) {
    if (!titan_runtime_is_checkpointed(runtime, step->programs[i].kind) || !titan_runtime_uses(runtime, step, i))
      continue;
    TITAN_TRY(first ? titan_text_printf(text, ": in %lld of %lld blocks ", units_of(runtime, i), blocks)
                    : titan_text_printf(text, "; in %lld ", units_of(runtime, i)));
    TITAN_TRY(add_recomputed(&step->programs[i], text));
    first = false;
  }
  return TITAN_OK;
}

// --- fusing ---

titan_status titan_runtime_describe_compile(const titan_runtime *runtime, titan_text *text) {
  const runtime_step *step = &runtime->steps[STEP_TRAINING];
  const char *comma = "Compiled: ";
  if (!runtime->options.compile)
    return TITAN_OK;
  const titan_compile_report *first = &step->programs[0].compiled;
  for (int row = 0; row < first->rows; row++) {
    int applied = 0;
    for (int i = 0; i < step->program_count; i++)
      applied += (int)units_of(runtime, i) * step->programs[i].compiled.applied[row];
    if (applied > 0)
      TITAN_TRY(titan_text_printf(text, "%s%s (%d x)", comma, first->names[row], applied));
    comma = applied > 0 ? ", " : comma;
  }
  return TITAN_OK;
}
