// SPDX-License-Identifier: Apache-2.0
#include "graph/plan_report.h"

#include <inttypes.h>
#include <stdio.h>

titan_plan_peak titan_plan_peak_of(const titan_plan *plan, titan_phase phase) {
  const titan_plan_phase *list = &plan->phases[phase];
  titan_plan_peak peak = {.instruction = list->count > 0 ? 0 : -1};
  for (int i = 0; i < list->count; i++) {
    size_t alive = 0;
    for (int b = 0; b < list->block_count; b++)
      alive += list->blocks[b].first <= i && i <= list->blocks[b].last ? list->blocks[b].bytes : 0;
    if (alive > peak.bytes)
      peak = (titan_plan_peak){i, alive};
  }
  return peak;
}

static bool lies_in(const titan_operand *operand, const titan_plan_block *block) {
  return operand->base == TITAN_BASE_SCRATCH && operand->offset >= block->offset &&
         operand->offset < block->offset + block->bytes;
}

void titan_plan_value_text(const titan_plan *plan, titan_value value, char *text, size_t size) {
  const titan_graph *graph = plan->graph;
  const titan_value_info *info = titan_graph_value(graph, value);
  const char *operation = info->name[0] == '%' && info->producer >= 0
                              ? titan_op_name(titan_graph_node(graph, info->producer)->call.kind)
                              : "";
  int length = snprintf(text, size, "%s%s%s[", info->name, operation[0] != '\0' ? " " : "", operation);
  for (int i = 0; i < info->type.rank && length > 0 && (size_t)length < size; i++)
    length += snprintf(text + length, size - (size_t)length, "%s%lld", i > 0 ? "," : "", (long long)info->type.dims[i]);
  if (length > 0 && (size_t)length < size)
    snprintf(text + length, size - (size_t)length, "]");
}

void titan_plan_block_text(const titan_plan *plan, titan_phase phase, const titan_plan_block *block, int instruction,
                           char *text, size_t size) {
  const titan_plan_phase *list = &plan->phases[phase];
  if (block->value == TITAN_NO_VALUE) {
    snprintf(text, size, "workspace");
    return;
  }
  for (int i = instruction; i >= block->first; i--) {
    const titan_instruction *each = &list->instructions[i];
    for (int k = 0; k < each->node->call.output_count; k++)
      if (lies_in(&each->outputs[k], block)) {
        titan_plan_value_text(plan, each->node->outputs[k], text, size);
        return;
      }
  }
  titan_plan_value_text(plan, block->value, text, size);
}

double titan_plan_packing(const titan_plan *plan) {
  const titan_plan_phase *largest = NULL;
  for (int phase = 0; phase < TITAN_PHASES; phase++)
    if (plan->phases[phase].scratch_bound > 0 &&
        (largest == NULL || plan->phases[phase].scratch_bytes > largest->scratch_bytes))
      largest = &plan->phases[phase];
  return largest == NULL ? 1 : (double)largest->scratch_bytes / (double)largest->scratch_bound;
}

// --- text ---

static titan_status print_type(const titan_tensor_type *type, titan_text *text) {
  TITAN_TRY(titan_text_printf(text, "%s[", titan_dtype_name(type->dtype)));
  for (int i = 0; i < type->rank; i++)
    TITAN_TRY(titan_text_printf(text, "%s%lld", i ? "," : "", (long long)type->dims[i]));
  return titan_text_printf(text, "]");
}

static titan_status print_place(const titan_plan *plan, const titan_operand *operand, titan_text *text) {
  static const char *const arenas[] = {"scratch", "saved", "kept", "passed", "parameters", "gradients"};
  if (operand->base >= TITAN_BASE_EXTERNAL)
    return titan_text_printf(text, " @%s+%zu", plan->externals[operand->base - TITAN_BASE_EXTERNAL].name,
                             operand->offset);
  return titan_text_printf(text, " @%s+%zu", arenas[operand->base], operand->offset);
}

static titan_status print_operand(const titan_plan *plan, const char *direction, titan_value value,
                                  const titan_operand *operand, titan_text *text) {
  const titan_value_info *info = titan_graph_value(plan->graph, value);
  TITAN_TRY(titan_text_printf(text, "        %-3s %s: ", direction, info->name));
  TITAN_TRY(print_type(&info->type, text));
  TITAN_TRY(print_place(plan, operand, text));
  return titan_text_printf(text, "\n");
}

static titan_status print_transfer(const titan_op_call *call, titan_text *text) {
  titan_plan_traffic traffic = titan_op_traffic_of(call);
  if (traffic.operations == 0)
    return TITAN_OK;
  return titan_text_printf(text, "  transfers %" PRIu64 " bytes over %s",
                           traffic.all_gather + traffic.reduce_scatter + traffic.all_reduce,
                           titan_graph_dimension_name(call->attributes.collective.dimension));
}

static titan_status print_instruction(const titan_plan *plan, int index, const titan_instruction *instruction,
                                      titan_text *text) {
  const titan_node *node = instruction->node;
  titan_op_cost cost = titan_op_cost_of(&node->call);
  TITAN_TRY(titan_text_printf(text, "  %4d  %s  flops %.4g  bytes %.4g", index, titan_op_name(node->call.kind),
                              cost.flops, cost.bytes));
  if (instruction->workspace_bytes > 0) {
    TITAN_TRY(titan_text_printf(text, "  workspace %zu", instruction->workspace_bytes));
    TITAN_TRY(print_place(plan, &instruction->workspace, text));
  }
  TITAN_TRY(print_transfer(&node->call, text));
  TITAN_TRY(titan_text_printf(text, node->recomputed ? "  recomputed\n" : "\n"));
  for (int k = 0; k < node->call.input_count; k++)
    TITAN_TRY(print_operand(plan, "in", node->inputs[k], &instruction->inputs[k], text));
  for (int k = 0; k < node->call.output_count; k++)
    TITAN_TRY(print_operand(plan, "out", node->outputs[k], &instruction->outputs[k], text));
  return TITAN_OK;
}

// The values that a block holds one after another.
static titan_status print_tenants(const titan_plan *plan, const titan_plan_phase *list, const titan_plan_block *block,
                                  titan_text *text) {
  const char *comma = "";
  if (block->value == TITAN_NO_VALUE)
    return titan_text_printf(text, "workspace of %s", titan_op_name(list->instructions[block->first].node->call.kind));
  for (int i = block->first; i <= block->last; i++) {
    const titan_instruction *each = &list->instructions[i];
    for (int k = 0; k < each->node->call.output_count; k++)
      if (lies_in(&each->outputs[k], block)) {
        TITAN_TRY(titan_text_printf(text, "%s%s", comma, titan_graph_value(plan->graph, each->node->outputs[k])->name));
        comma = ", ";
      }
  }
  return TITAN_OK;
}

// What of the phase's work was done before, and what goes to other ranks; nothing where there is none.
static titan_status print_recomputation_and_traffic(const titan_plan *plan, titan_phase phase, titan_text *text) {
  const titan_op_cost *again = &plan->phases[phase].recomputed;
  if (again->bytes > 0)
    TITAN_TRY(
        titan_text_printf(text, "recomputed of these: flops %.6g, bytes moved %.6g\n", again->flops, again->bytes));
  for (int d = 0; d < TITAN_PLACEMENT_DIMENSIONS; d++) {
    titan_plan_traffic traffic = titan_plan_traffic_of(plan, phase, d);
    if (traffic.operations > 0)
      TITAN_TRY(titan_text_printf(text,
                                  "transfers over %s: all-gather %" PRIu64 ", reduce-scatter %" PRIu64
                                  ", all-reduce %" PRIu64 " bytes in %" PRIu64 " operation%s\n",
                                  titan_graph_dimension_name(d), traffic.all_gather, traffic.reduce_scatter,
                                  traffic.all_reduce, traffic.operations, traffic.operations == 1 ? "" : "s"));
  }
  return TITAN_OK;
}

static titan_status print_phase(const titan_plan *plan, titan_phase phase, titan_text *text) {
  const titan_plan_phase *list = &plan->phases[phase];
  titan_plan_peak peak = titan_plan_peak_of(plan, phase);
  TITAN_TRY(titan_text_printf(text, "\n%s: %d instructions, flops %.6g, bytes moved %.6g\n", titan_phase_name(phase),
                              list->count, list->cost.flops, list->cost.bytes));
  TITAN_TRY(print_recomputation_and_traffic(plan, phase, text));
  if (list->scratch_bound > 0)
    TITAN_TRY(titan_text_printf(
        text, "scratch: %zu bytes, %.3f of the lower bound %zu (the most alive at once, at instruction %d)\n",
        list->scratch_bytes, (double)list->scratch_bytes / (double)list->scratch_bound, list->scratch_bound,
        peak.instruction));
  for (int i = 0; i < list->count; i++)
    TITAN_TRY(print_instruction(plan, i, &list->instructions[i], text));
  TITAN_TRY(titan_text_printf(text, "  scratch blocks: offset, bytes, first and last instruction, values in turn\n"));
  for (int i = 0; i < list->block_count; i++) {
    const titan_plan_block *block = &list->blocks[i];
    TITAN_TRY(
        titan_text_printf(text, "  %12zu %12zu  %4d %4d  ", block->offset, block->bytes, block->first, block->last));
    TITAN_TRY(print_tenants(plan, list, block, text));
    TITAN_TRY(titan_text_printf(text, "\n"));
  }
  return TITAN_OK;
}

static titan_status print_lists(const titan_plan *plan, titan_text *text) {
  TITAN_TRY(titan_text_printf(text, "\nsaved from forward to backward: offset, bytes, value\n"));
  for (int i = 0; i < plan->saved_count; i++)
    TITAN_TRY(titan_text_printf(text, "  %12zu %12zu  %s\n", plan->saved[i].offset, plan->saved[i].bytes,
                                titan_graph_value(plan->graph, plan->saved[i].value)->name));
  TITAN_TRY(titan_text_printf(text, "\nparameters: first element of the unit's flat vector, elements, tensor\n"));
  for (int i = 0; i < plan->parameter_count; i++) {
    const titan_plan_parameter *parameter = &plan->parameters[i];
    TITAN_TRY(titan_text_printf(text, "  %12lld %12lld  %s: ", (long long)parameter->first,
                                (long long)parameter->elements, parameter->name));
    TITAN_TRY(print_type(&parameter->type, text));
    TITAN_TRY(titan_text_printf(text, "\n"));
  }
  TITAN_TRY(titan_text_printf(text, "\nfrom and for other parts: name, type, direction\n"));
  for (int i = 0; i < plan->external_count; i++) {
    TITAN_TRY(titan_text_printf(text, "  %s: ", plan->externals[i].name));
    TITAN_TRY(print_type(&plan->externals[i].type, text));
    TITAN_TRY(titan_text_printf(text, "%s\n", plan->externals[i].written ? "  written" : "  read"));
  }
  return TITAN_OK;
}

titan_status titan_plan_print(const titan_plan *plan, titan_text *text) {
  TITAN_TRY(titan_text_printf(text, "plan %s: saved %zu bytes, %lld elements of parameters\n",
                              titan_graph_name(plan->graph), plan->saved_bytes + plan->kept_bytes,
                              (long long)plan->flat_elements));
  if (plan->kept_bytes + plan->passed_bytes > 0)
    TITAN_TRY(titan_text_printf(text, "weight gradients read %zu bytes of the saved, and %zu bytes of the backward\n",
                                plan->kept_bytes, plan->passed_bytes));
  for (int phase = 0; phase < TITAN_PHASES; phase++)
    if (plan->phases[phase].count > 0)
      TITAN_TRY(print_phase(plan, (titan_phase)phase, text));
  return print_lists(plan, text);
}
