// SPDX-License-Identifier: Apache-2.0
// When in a step the most is alive, and what.
#include "base/memory.h"
#include "estimate/estimate_private.h"
#include "graph/plan_report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int compare_bytes(const void *left, const void *right) {
  const titan_plan_block *const *a = left, *const *b = right;
  return (*a)->bytes != (*b)->bytes ? ((*a)->bytes < (*b)->bytes ? 1 : -1) : (*a)->offset < (*b)->offset ? -1 : 1;
}

// The scratch blocks alive at the peak's instruction, largest first.
static titan_status list_values(const titan_plan *plan, titan_estimate_peak *peak) {
  const titan_plan_phase *list = &plan->phases[peak->phase];
  const titan_plan_block **alive;
  int count = 0;
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_GENERAL, ((size_t)list->block_count + 1) * sizeof *alive, &alive));
  for (int i = 0; i < list->block_count; i++)
    if (list->blocks[i].first <= peak->instruction && peak->instruction <= list->blocks[i].last)
      alive[count++] = &list->blocks[i];
  qsort(alive, (size_t)count, sizeof *alive, compare_bytes);
  peak->value_count = 0;
  peak->others = 0;
  for (int i = 0; i < count; i++)
    if (i < TITAN_ESTIMATE_VALUES) {
      peak->values[i].bytes = alive[i]->bytes;
      titan_plan_block_text(plan, peak->phase, alive[i], peak->instruction, peak->values[i].name,
                            sizeof peak->values[i].name);
      peak->value_count++;
    } else {
      peak->others += alive[i]->bytes;
    }
  titan_memory_free(alive);
  return TITAN_OK;
}

// Keeps the list sorted, the most bytes first, and counts what has no place in it.
static void add_saved(titan_estimate_peak *peak, const char *name, size_t bytes, int units) {
  int at = peak->kept_count;
  size_t all = bytes * (size_t)units;
  while (at > 0 && peak->kept[at - 1].bytes * (size_t)peak->kept[at - 1].units < all)
    at--;
  if (peak->kept_count == TITAN_ESTIMATE_VALUES) {
    if (at == TITAN_ESTIMATE_VALUES) {
      peak->kept_others += all;
      return;
    }
    const titan_estimate_kept *last = &peak->kept[--peak->kept_count];
    peak->kept_others += last->bytes * (size_t)last->units;
  }
  memmove(&peak->kept[at + 1], &peak->kept[at], (size_t)(peak->kept_count - at) * sizeof *peak->kept);
  peak->kept[at] = (titan_estimate_kept){.bytes = bytes, .units = units};
  snprintf(peak->kept[at].name, sizeof peak->kept[at].name, "%s", name);
  peak->kept_count++;
}

// The values that a unit's plan keeps, for all units with this plan that are alive.
static void list_plan(const titan_plan *plan, int units, titan_estimate_peak *peak) {
  for (int b = 0; b < plan->saved_count; b++) {
    char name[2 * TITAN_NAME_BYTES];
    titan_plan_value_text(plan, plan->saved[b].value, name, sizeof name);
    add_saved(peak, name, plan->saved[b].bytes, units);
  }
}

static bool is_alive(const titan_step_block *block, titan_block_kind kind, int action) {
  return block->kind == kind && block->first <= action && action <= block->last;
}

// What is alive at an action beside the RUN's scratch: inputs, their gradients, and what units save, by value.
static void list_alive(titan_runtime *runtime, const titan_step_memory *memory, int action, titan_estimate_peak *peak) {
  int inputs = 0, gradients = 0;
  size_t input = 0;
  for (int i = 0; i < memory->block_count; i++) {
    const titan_step_block *block = &memory->blocks[i];
    bool saved = is_alive(block, TITAN_BLOCK_SAVED, action) || is_alive(block, TITAN_BLOCK_KEPT, action);
    inputs += is_alive(block, TITAN_BLOCK_INPUT, action);
    gradients += is_alive(block, TITAN_BLOCK_INPUT_GRADIENT, action);
    if (saved || is_alive(block, TITAN_BLOCK_INPUT, action) || is_alive(block, TITAN_BLOCK_INPUT_GRADIENT, action))
      peak->saved_bytes += block->bytes;
    input = block->kind == TITAN_BLOCK_INPUT ? block->bytes : input;
    peak->saved_units += saved;
  }
  if (inputs > 0)
    add_saved(peak, "input x", input, inputs);
  if (gradients > 0)
    add_saved(peak, "gradient of x", input, gradients);
  for (int program = 0; program < titan_runtime_program_count(runtime); program++) {
    int units = 0;
    for (int i = 0; i < memory->block_count; i++)
      units += is_alive(&memory->blocks[i], TITAN_BLOCK_SAVED, action) &&
               titan_runtime_program_of_unit(runtime, memory->blocks[i].unit) == program;
    if (units > 0)
      list_plan(titan_runtime_program_plan(runtime, program), units, peak);
  }
}

// The action of the step's list at which most is alive, and in it the instruction at which most of its scratch is.
static titan_status find_peak(titan_runtime *runtime, titan_estimate_peak *peak) {
  titan_runtime_list list = titan_runtime_list_of(runtime, false);
  int action = list.memory->peaks[TITAN_ARENA_ACTIVATIONS];
  if (action < 0 || list.list->actions[action].kind != TITAN_ACTION_RUN)
    return TITAN_OK;
  const titan_action *run = &list.list->actions[action];
  const titan_unit *unit = titan_runtime_unit(runtime, run->unit);
  titan_phase phase = run->compute == TITAN_COMPUTE_FORWARD           ? TITAN_FORWARD
                      : run->compute == TITAN_COMPUTE_WEIGHT_GRADIENT ? TITAN_WEIGHT_GRADIENTS
                                                                      : TITAN_BACKWARD;
  titan_plan_peak here = titan_plan_peak_of(unit->plan, phase);
  if (here.instruction < 0)
    return TITAN_OK;
  *peak = (titan_estimate_peak){.phase = phase,
                                .instruction = here.instruction,
                                .instructions = unit->plan->phases[phase].count,
                                .operation = unit->plan->phases[phase].instructions[here.instruction].node->call.kind,
                                .scratch_bytes = here.bytes};
  snprintf(peak->unit, sizeof peak->unit, "%s", list.shape->units[run->unit].name);
  list_alive(runtime, list.memory, action, peak);
  return list_values(unit->plan, peak);
}

titan_status titan_estimate_find_peak(titan_runtime *runtime, titan_estimate_peak *peak) {
  const titan_step_memory *validation = titan_runtime_list_of(runtime, true).memory;
  size_t step = titan_runtime_list_of(runtime, false).memory->bytes[TITAN_ARENA_ACTIVATIONS];
  TITAN_TRY(find_peak(runtime, peak));
  if (validation != NULL && validation->bytes[TITAN_ARENA_ACTIVATIONS] > step)
    peak->validation = validation->bytes[TITAN_ARENA_ACTIVATIONS];
  return TITAN_OK;
}
