// When in a step the most is alive, and what.
#include "base/memory.h"
#include "graph/plan_report.h"
#include "train/estimate_private.h"

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

// One visit of the step's walk: keeps the moment when more is alive than at any before.
static void visit(titan_runtime *runtime, int index, titan_phase phase, int saved_units, size_t saved_bytes,
                  titan_estimate_peak *peak, int *at) {
  const titan_unit *unit = titan_runtime_unit(runtime, index);
  titan_plan_peak here = titan_plan_peak_of(unit->plan, phase);
  if (here.instruction < 0 || (*at >= 0 && saved_bytes + here.bytes <= peak->saved_bytes + peak->scratch_bytes))
    return;
  *peak = (titan_estimate_peak){.phase = phase,
                                .instruction = here.instruction,
                                .instructions = unit->plan->phases[phase].count,
                                .operation = unit->plan->phases[phase].instructions[here.instruction].node->call.kind,
                                .saved_units = saved_units,
                                .saved_bytes = saved_bytes,
                                .scratch_bytes = here.bytes};
  const titan_runtime_options *options = titan_runtime_options_of(runtime);
  titan_model_unit_name(options->model, &options->arguments, index, peak->unit, sizeof peak->unit);
  *at = index;
}

// Bytes of a unit's saved activations, with its input where that comes from another unit.
static size_t kept_by(const titan_unit *unit) {
  int x = titan_plan_external_find(unit->plan, "x");
  return unit->plan->saved_bytes + (x >= 0 ? titan_tensor_bytes(&unit->plan->externals[x].type) : 0);
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

// What the first `units` units keep: their inputs, and the values of each plan.
static void list_saved(titan_runtime *runtime, int units, titan_estimate_peak *peak) {
  for (int i = 0; i < units; i++) {
    const titan_plan *plan = titan_runtime_unit(runtime, i)->plan;
    int with_plan = 0, earlier = 0, x = titan_plan_external_find(plan, "x");
    for (int k = 0; k < units; k++) {
      with_plan += titan_runtime_unit(runtime, k)->plan == plan;
      earlier += k < i && titan_runtime_unit(runtime, k)->plan == plan;
    }
    if (earlier > 0)
      continue;
    if (x >= 0)
      add_saved(peak, "input x", titan_tensor_bytes(&plan->externals[x].type), with_plan);
    for (int b = 0; b < plan->saved_count; b++) {
      char name[2 * TITAN_NAME_BYTES];
      titan_plan_value_text(plan, plan->saved[b].value, name, sizeof name);
      add_saved(peak, name, plan->saved[b].bytes, with_plan);
    }
  }
}

// Follows the walk of a step: what units save is alive from their forward to their backward.
titan_status titan_estimate_find_peak(titan_runtime *runtime, titan_estimate_peak *peak) {
  int units = titan_runtime_unit_count(runtime), at = -1;
  size_t saved = 0;
  for (int i = 0; i < units; i++) {
    saved += kept_by(titan_runtime_unit(runtime, i));
    visit(runtime, i, TITAN_FORWARD, i + 1, saved, peak, &at);
  }
  for (int i = units - 1; i >= 0; i--) {
    visit(runtime, i, TITAN_BACKWARD, i + 1, saved, peak, &at);
    saved -= kept_by(titan_runtime_unit(runtime, i));
  }
  if (at < 0)
    return TITAN_OK;
  list_saved(runtime, peak->saved_units, peak);
  return list_values(titan_runtime_unit(runtime, at)->plan, peak);
}
