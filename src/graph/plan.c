// SPDX-License-Identifier: Apache-2.0
#include "graph/plan.h"

#include "base/memory.h"
#include "graph/plan_private.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

// Where a value lies. A value that is part of another (a view, or an operation's output written over its input) points
// to it; the last of such a chain is the root, which owns memory.
typedef struct place {
  titan_value parent; // TITAN_NO_VALUE: a root
  size_t offset;      // in the parent
  bool used;
  bool fixed;     // home is decided from outside: parameters, gradients, external values
  size_t covered; // bytes of its parts that are outputs
  titan_operand home;
  int first[TITAN_PHASES],
      last[TITAN_PHASES]; // of roots: positions at which it is alive; first > last: not in the phase
} place;

typedef struct planner {
  const titan_graph *graph;
  const titan_plan_options *options;
  titan_plan *plan;
  titan_schedule schedule;
  place *places; // by value
} planner;

static titan_value root_of(const planner *p, titan_value value, size_t *offset) {
  size_t total = 0;
  while (p->places[value].parent != TITAN_NO_VALUE) {
    total += p->places[value].offset;
    value = p->places[value].parent;
  }
  if (offset != NULL)
    *offset = total;
  return value;
}

static size_t bytes_of(const planner *p, titan_value value) {
  return titan_tensor_bytes(&titan_graph_value(p->graph, value)->type);
}

static const titan_node *scheduled(const planner *p, int phase, int position) {
  return titan_graph_node(p->graph, p->schedule.nodes[phase][position]);
}

// --- places ---

static titan_status link_views(planner *p) {
  for (int phase = 0; phase < TITAN_PHASES; phase++)
    for (int i = 0; i < p->schedule.counts[phase]; i++) {
      const titan_node *node = scheduled(p, phase, i);
      if (!titan_op_is_view(node->call.kind))
        continue;
      titan_value out = node->outputs[0];
      if (node->call.kind != TITAN_OP_concat) {
        size_t row_bytes = titan_tensor_bytes(&node->call.inputs[0]) / (size_t)node->call.inputs[0].dims[0];
        p->places[out].parent = node->inputs[0];
        if (node->call.kind == TITAN_OP_slice)
          p->places[out].offset = (size_t)node->call.attributes.slice.begin * row_bytes;
        continue;
      }
      size_t offset = 0;
      if (titan_graph_value(p->graph, node->inputs[0])->role == TITAN_ROLE_PARAMETER) {
        p->places[out].parent = node->inputs[0]; // check_parameters_put_together
        continue;
      }
      for (int k = 0; k < node->call.input_count; k++) {
        titan_value root = root_of(p, node->inputs[k], NULL);
        if (titan_graph_value(p->graph, root)->role != TITAN_ROLE_INTERMEDIATE || root == out ||
            bytes_of(p, root) != bytes_of(p, node->inputs[k]))
          return titan_error(TITAN_ERROR_INTERNAL, "graph %s: an input of concat is part of another value",
                             titan_graph_name(p->graph));
        p->places[root].parent = out;
        p->places[root].offset = offset;
        offset += bytes_of(p, node->inputs[k]);
      }
    }
  return TITAN_OK;
}

// A gradient that is a part of another value: the whole lies where this part then lies as it must.
static titan_status fix_part(planner *p, titan_value value, titan_operand home) {
  size_t offset;
  titan_value root = root_of(p, value, &offset);
  place *whole = &p->places[root];
  bool fits = home.base == TITAN_BASE_GRADIENTS && home.offset >= offset;
  if (fits && !whole->fixed) {
    whole->fixed = true;
    whole->home = (titan_operand){home.base, home.offset - offset};
  }
  if (!fits || whole->home.base != home.base || whole->home.offset + offset != home.offset)
    return titan_error(TITAN_ERROR_INTERNAL, "graph %s: output %s is part of a value that is elsewhere",
                       titan_graph_name(p->graph), titan_graph_value(p->graph, value)->name);
  whole->covered += bytes_of(p, value);
  return TITAN_OK;
}

static titan_status fix(planner *p, titan_value value, titan_operand home) {
  titan_value root = root_of(p, value, NULL);
  if (p->places[root].fixed || bytes_of(p, root) != bytes_of(p, value))
    return titan_error(TITAN_ERROR_INTERNAL, "graph %s: output %s shares memory with another input or output",
                       titan_graph_name(p->graph), titan_graph_value(p->graph, value)->name);
  p->places[root].fixed = true;
  p->places[root].home = home;
  return TITAN_OK;
}

static void add_external(titan_plan *plan, const char *name, const titan_tensor_type *type, bool written) {
  titan_plan_external *external = &plan->externals[plan->external_count++];
  external->type = *type;
  external->written = written;
  snprintf(external->name, sizeof external->name, "%s", name);
}

static void add_parameter(titan_plan *plan, const titan_value_info *info) {
  titan_plan_parameter *parameter = &plan->parameters[plan->parameter_count++];
  snprintf(parameter->name, sizeof parameter->name, "%s", info->name);
  parameter->type = info->type;
  parameter->place = info->place;
  for (int i = 0; i < TITAN_PLACEMENT_DIMENSIONS; i++)
    parameter->sharded |= info->placement[i].kind == TITAN_SHARD;
  parameter->first = plan->flat_elements;
  parameter->elements = titan_tensor_elements(&info->type);
  plan->flat_elements +=
      (parameter->elements + TITAN_PARAMETER_ALIGNMENT - 1) / TITAN_PARAMETER_ALIGNMENT * TITAN_PARAMETER_ALIGNMENT;
}

static titan_status fix_inputs_and_parameters(planner *p) {
  titan_plan *plan = p->plan;
  int values = titan_graph_value_count(p->graph);
  size_t externals = (size_t)(values + titan_graph_output_count(p->graph));
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, externals, sizeof *plan->externals, &plan->externals));
  TITAN_TRY(
      titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, (size_t)values, sizeof *plan->parameters, &plan->parameters));
  for (titan_value v = 0; v < values; v++) {
    const titan_value_info *info = titan_graph_value(p->graph, v);
    if (info->role == TITAN_ROLE_INPUT) {
      TITAN_TRY(fix(p, v, (titan_operand){TITAN_BASE_EXTERNAL + plan->external_count, 0}));
      add_external(plan, info->name, &info->type, false);
    } else if (info->role == TITAN_ROLE_PARAMETER) {
      size_t offset = (size_t)plan->flat_elements * titan_dtype_bytes(info->type.dtype);
      TITAN_TRY(fix(p, v, (titan_operand){TITAN_BASE_PARAMETERS, offset}));
      add_parameter(plan, info);
    }
  }
  return TITAN_OK;
}

// Parameters that a concat puts together must lie so already.
static titan_status check_parameters_put_together(planner *p) {
  for (int phase = 0; phase < TITAN_PHASES; phase++)
    for (int i = 0; i < p->schedule.counts[phase]; i++) {
      const titan_node *node = scheduled(p, phase, i);
      if (node->call.kind != TITAN_OP_concat ||
          titan_graph_value(p->graph, node->inputs[0])->role != TITAN_ROLE_PARAMETER)
        continue;
      size_t end = p->places[node->inputs[0]].home.offset;
      for (int k = 0; k < node->call.input_count; k++) {
        if (titan_graph_value(p->graph, node->inputs[k])->role != TITAN_ROLE_PARAMETER ||
            p->places[node->inputs[k]].home.offset != end)
          return titan_error(TITAN_ERROR_INTERNAL, "graph %s: %s is not where a concat needs it",
                             titan_graph_name(p->graph), titan_graph_value(p->graph, node->inputs[k])->name);
        end += bytes_of(p, node->inputs[k]);
      }
    }
  return TITAN_OK;
}

static const titan_plan_parameter *parameter_of(const planner *p, titan_value value) {
  const char *name = titan_graph_value(p->graph, value)->name;
  for (int i = 0; i < p->plan->parameter_count; i++)
    if (strcmp(p->plan->parameters[i].name, name) == 0)
      return &p->plan->parameters[i];
  return NULL;
}

static titan_status fix_outputs(planner *p) {
  for (int i = 0; i < titan_graph_output_count(p->graph); i++) {
    const titan_graph_output *output = titan_graph_output_at(p->graph, i);
    titan_operand home = {TITAN_BASE_EXTERNAL + p->plan->external_count, 0};
    if (output->kind == TITAN_OUTPUT_PARAMETER_GRADIENT)
      home = (titan_operand){TITAN_BASE_GRADIENTS, (size_t)parameter_of(p, output->of)->first * sizeof(float)};
    else
      add_external(p->plan, output->name, &titan_graph_value(p->graph, output->value)->type, true);
    bool is_part = output->kind == TITAN_OUTPUT_PARAMETER_GRADIENT &&
                   bytes_of(p, root_of(p, output->value, NULL)) != bytes_of(p, output->value);
    TITAN_TRY(is_part ? fix_part(p, output->value, home) : fix(p, output->value, home));
  }
  for (titan_value v = 0; v < titan_graph_value_count(p->graph); v++)
    if (p->places[v].covered > 0 && p->places[v].covered != bytes_of(p, v))
      return titan_error(TITAN_ERROR_INTERNAL, "graph %s: the outputs in %s are not all of it",
                         titan_graph_name(p->graph), titan_graph_value(p->graph, v)->name);
  return TITAN_OK;
}

static void touch(planner *p, titan_value value, int phase, int position) {
  place *root = &p->places[root_of(p, value, NULL)];
  root->used = true;
  if (position < root->first[phase])
    root->first[phase] = position;
  if (position > root->last[phase])
    root->last[phase] = position;
}

static void find_lives(planner *p) {
  for (int v = 0; v < titan_graph_value_count(p->graph); v++)
    for (int phase = 0; phase < TITAN_PHASES; phase++)
      p->places[v].first[phase] = INT_MAX, p->places[v].last[phase] = -1;
  for (int phase = 0; phase < TITAN_PHASES; phase++)
    for (int i = 0; i < p->schedule.counts[phase]; i++) {
      const titan_node *node = scheduled(p, phase, i);
      for (int k = 0; k < node->call.input_count; k++)
        touch(p, node->inputs[k], phase, i);
      for (int k = 0; k < node->call.output_count; k++)
        touch(p, node->outputs[k], phase, i);
    }
}

// The arena of what is alive in several phases; TITAN_BASE_SCRATCH: it is alive in one.
static titan_base arena_of(const place *root) {
  bool forward = root->last[TITAN_FORWARD] >= 0, backward = root->last[TITAN_BACKWARD] >= 0,
       weights = root->last[TITAN_WEIGHT_GRADIENTS] >= 0;
  if (forward + backward + weights < 2)
    return TITAN_BASE_SCRATCH;
  return !weights ? TITAN_BASE_SAVED : forward ? TITAN_BASE_KEPT : TITAN_BASE_PASSED;
}

static bool is_saved(const place *root) {
  return !root->fixed && arena_of(root) != TITAN_BASE_SCRATCH;
}

// --- writing over an input whose life ends ---

static void merge(planner *p, titan_value from, titan_value into) {
  p->places[from].parent = into;
  p->places[from].offset = 0;
  for (int phase = 0; phase < TITAN_PHASES; phase++) {
    place *a = &p->places[into];
    const place *b = &p->places[from];
    a->first[phase] = b->first[phase] < a->first[phase] ? b->first[phase] : a->first[phase];
    a->last[phase] = b->last[phase] > a->last[phase] ? b->last[phase] : a->last[phase];
  }
}

// Whether output 0 may be written over the dying value `in`, of which input `index` is a part: whatever the node reads
// of that value must be an input that allows it, and lie exactly where the output will. (A product reads its factors
// until its end, and other rows of one value are read at other times.)
static bool may_be_written_over(const planner *p, const titan_node *node, titan_value in, int index) {
  size_t out_offset, offset;
  root_of(p, node->outputs[0], &out_offset);
  if (!(node->call.reusable_inputs >> index & 1))
    return false;
  for (int k = 0; k < node->call.input_count; k++)
    if (root_of(p, node->inputs[k], &offset) == in && (!(node->call.reusable_inputs >> k & 1) || offset != out_offset))
      return false;
  return true;
}

static void reuse_inputs(planner *p) {
  for (int phase = 0; phase < TITAN_PHASES; phase++)
    for (int i = 0; i < p->schedule.counts[phase]; i++) {
      const titan_node *node = scheduled(p, phase, i);
      if (titan_op_is_view(node->call.kind))
        continue;
      titan_value out = root_of(p, node->outputs[0], NULL);
      for (int k = 0; k < node->call.input_count; k++) {
        titan_value in = root_of(p, node->inputs[k], NULL);
        const place *dying = &p->places[in];
        if (in == out || dying->fixed || is_saved(dying) || dying->last[phase] != i ||
            bytes_of(p, in) != bytes_of(p, out) || p->places[out].first[phase] != i ||
            !may_be_written_over(p, node, in, k))
          continue;
        merge(p, in, out);
        break;
      }
    }
}

// --- offsets ---

static size_t alignment_of(const planner *p) {
  return p->options->alignment > 0 ? p->options->alignment : TITAN_PLAN_ALIGNMENT;
}

static void place_across_phases(planner *p, titan_base arena, size_t *total) {
  size_t alignment = alignment_of(p);
  for (int v = 0; v < titan_graph_value_count(p->graph); v++) {
    place *root = &p->places[v];
    if (root->parent != TITAN_NO_VALUE || !root->used || root->fixed || arena_of(root) != arena)
      continue;
    root->home = (titan_operand){arena, *total};
    size_t bytes = titan_round_up(bytes_of(p, v), alignment);
    if (arena != TITAN_BASE_PASSED)
      p->plan->saved[p->plan->saved_count++] =
          (titan_plan_block){.value = v, .bytes = bytes, .offset = p->plan->saved_bytes + p->plan->kept_bytes};
    *total += bytes;
  }
}

static titan_status place_saved(planner *p) {
  titan_plan *plan = p->plan;
  size_t values = (size_t)titan_graph_value_count(p->graph);
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, values + 1, sizeof *plan->saved, &plan->saved));
  place_across_phases(p, TITAN_BASE_SAVED, &plan->saved_bytes);
  place_across_phases(p, TITAN_BASE_KEPT, &plan->kept_bytes);
  place_across_phases(p, TITAN_BASE_PASSED, &plan->passed_bytes);
  return TITAN_OK;
}

// Keeps the packed blocks for reports; lives in positions of the schedule become lives in instructions. Views are in
// the schedule and run nothing, so a block that only views touch is in no list.
static titan_status keep_blocks(const planner *p, int phase, const titan_block *blocks, place *const *owners,
                                int count) {
  titan_plan_phase *out = &p->plan->phases[phase];
  int *begun = NULL, positions = p->schedule.counts[phase]; // by position: instructions before it
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, (size_t)positions + 1, sizeof *begun, &begun));
  for (int i = 0; i < positions; i++)
    begun[i + 1] = begun[i] + !titan_op_is_view(scheduled(p, phase, i)->call.kind);
  titan_status status =
      titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, (size_t)count + 1, sizeof *out->blocks, &out->blocks);
  for (int i = 0; status == TITAN_OK && i < count; i++) {
    titan_plan_block block = {.value = owners[i] != NULL ? (titan_value)(owners[i] - p->places) : TITAN_NO_VALUE,
                              .bytes = blocks[i].bytes,
                              .offset = blocks[i].offset,
                              .first = begun[blocks[i].first],
                              .last = begun[blocks[i].last + 1] - 1};
    if (block.bytes > 0 && block.first <= block.last)
      out->blocks[out->block_count++] = block;
  }
  titan_memory_free(begun);
  return status;
}

// One block per scratch value and one per workspace, packed; the offsets go to the places and the instructions.
static titan_status place_scratch(planner *p, int phase) {
  titan_status status = TITAN_OK;
  titan_plan_phase *out = &p->plan->phases[phase];
  int values = titan_graph_value_count(p->graph), count = 0;
  titan_block *blocks = NULL;
  place **owners = NULL;
  size_t most = (size_t)(values + out->count + 1);
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, most, sizeof *blocks, &blocks));
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, most, sizeof *owners, &owners));
  for (int v = 0; v < values; v++) {
    place *root = &p->places[v];
    if (root->parent != TITAN_NO_VALUE || root->fixed || is_saved(root) || root->last[phase] < 0)
      continue;
    owners[count] = root;
    blocks[count++] = (titan_block){bytes_of(p, v), 0, root->first[phase], root->last[phase]};
  }
  int value_blocks = count;
  for (int i = 0; i < out->count; i++)
    blocks[count++] = (titan_block){out->instructions[i].workspace_bytes, 0, out->instructions[i].workspace.base,
                                    out->instructions[i].workspace.base};
  TITAN_TRY_CLEANUP(titan_blocks_pack(blocks, count, p->schedule.counts[phase], alignment_of(p), &out->scratch_bytes,
                                      &out->scratch_bound));
  TITAN_TRY_CLEANUP(keep_blocks(p, phase, blocks, owners, count));
  for (int i = 0; i < value_blocks; i++)
    owners[i]->home = (titan_operand){TITAN_BASE_SCRATCH, blocks[i].offset};
  for (int i = 0; i < out->count; i++)
    out->instructions[i].workspace = (titan_operand){TITAN_BASE_SCRATCH, blocks[value_blocks + i].offset};
cleanup:
  titan_memory_free(blocks);
  titan_memory_free(owners);
  return status;
}

// --- instructions ---

// Instructions without operands yet; workspace.base holds the position in the schedule until place_scratch replaces it.
static titan_status make_instructions(planner *p, int phase) {
  titan_plan_phase *out = &p->plan->phases[phase];
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, (size_t)p->schedule.counts[phase] + 1,
                                         sizeof *out->instructions, &out->instructions));
  for (int i = 0; i < p->schedule.counts[phase]; i++) {
    const titan_node *node = scheduled(p, phase, i);
    if (titan_op_is_view(node->call.kind))
      continue;
    titan_instruction *instruction = &out->instructions[out->count++];
    instruction->node = node;
    instruction->workspace.base = i;
    if (p->options->workspace != NULL)
      instruction->workspace_bytes = p->options->workspace(p->options->context, &node->call);
    titan_op_cost cost = titan_op_cost_of(&node->call);
    out->cost.flops += cost.flops;
    out->cost.bytes += cost.bytes;
    out->recomputed.flops += node->recomputed ? cost.flops : 0;
    out->recomputed.bytes += node->recomputed ? cost.bytes : 0;
  }
  return TITAN_OK;
}

static titan_operand operand_of(const planner *p, titan_value value) {
  size_t offset;
  titan_operand operand = p->places[root_of(p, value, &offset)].home;
  operand.offset += offset;
  return operand;
}

static void set_operands(planner *p, int phase) {
  titan_plan_phase *out = &p->plan->phases[phase];
  for (int i = 0; i < out->count; i++) {
    titan_instruction *instruction = &out->instructions[i];
    for (int k = 0; k < instruction->node->call.input_count; k++)
      instruction->inputs[k] = operand_of(p, instruction->node->inputs[k]);
    for (int k = 0; k < instruction->node->call.output_count; k++)
      instruction->outputs[k] = operand_of(p, instruction->node->outputs[k]);
  }
}

static titan_status make(planner *p) {
  TITAN_TRY(titan_schedule_create(p->graph, p->options->merge_phases, &p->schedule));
  int values = titan_graph_value_count(p->graph);
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, (size_t)values, sizeof *p->places, &p->places));
  for (int v = 0; v < values; v++)
    p->places[v].parent = TITAN_NO_VALUE;
  TITAN_TRY(link_views(p));
  TITAN_TRY(fix_inputs_and_parameters(p));
  TITAN_TRY(check_parameters_put_together(p));
  TITAN_TRY(fix_outputs(p));
  find_lives(p);
  reuse_inputs(p);
  TITAN_TRY(place_saved(p));
  for (int phase = 0; phase < TITAN_PHASES; phase++) {
    TITAN_TRY(make_instructions(p, phase));
    TITAN_TRY(place_scratch(p, phase));
  }
  for (int phase = 0; phase < TITAN_PHASES; phase++)
    set_operands(p, phase);
  return TITAN_OK;
}

titan_status titan_plan_create(const titan_graph *graph, const titan_plan_options *options, titan_plan **out) {
  titan_plan *plan;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, 1, sizeof *plan, &plan));
  plan->graph = graph;
  planner p = {.graph = graph, .options = options, .plan = plan};
  titan_status status = make(&p);
  titan_schedule_destroy(&p.schedule);
  titan_memory_free(p.places);
  if (status != TITAN_OK)
    titan_plan_destroy(&plan);
  *out = plan;
  return status;
}

void titan_plan_destroy(titan_plan **plan) {
  if (*plan == NULL)
    return;
  for (int phase = 0; phase < TITAN_PHASES; phase++) {
    titan_memory_free((*plan)->phases[phase].instructions);
    titan_memory_free((*plan)->phases[phase].blocks);
  }
  titan_memory_free((*plan)->saved);
  titan_memory_free((*plan)->parameters);
  titan_memory_free((*plan)->externals);
  titan_memory_free(*plan);
  *plan = NULL;
}

int titan_plan_external_find(const titan_plan *plan, const char *name) {
  for (int i = 0; i < plan->external_count; i++)
    if (strcmp(plan->externals[i].name, name) == 0)
      return i;
  return -1;
}
