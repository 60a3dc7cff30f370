// SPDX-License-Identifier: Apache-2.0
// Programs for a budget: of the choices between memory and computing, a mixture of two that fits with the least
// recomputation. What a choice takes is read off its plan, and what a mixture takes off the step's list.
#include "base/memory.h"
#include "base/size.h"
#include "parallel/runtime_private.h"

#include <math.h>
#include <string.h>

enum { ATTEMPTS = 8 };

typedef struct figure {
  size_t saved, kept, passed, scratch[TITAN_COMPUTES];
} figure;

typedef struct mixture {
  int more, less; // choices: that of most units, and that of the last `count`
  int64_t count;
  double cost;
  size_t bytes; // of the arena of activations
} mixture;

typedef struct search {
  titan_runtime *runtime;
  int kind;      // of the units that have choices
  int64_t units; // of this kind, on this rank
  const titan_activation_choices *choices;
  figure *figures;
  titan_step_unit_sizes *unit_sizes; // of the list, with the choices of the mixture at hand
  titan_step_memory memory;          // blocks of the list, with these sizes
  size_t budget, least;              // of the arena; the smallest that was seen
  mixture best;
} search;

static titan_status measure(search *s, int choice) {
  runtime_program program = {.kind = -1};
  titan_status status =
      titan_runtime_block_create(s->runtime, s->kind, s->choices, choice, TITAN_KEEP_NOTHING, &program);
  if (status == TITAN_OK) {
    const titan_plan *plan = program.plan;
    s->figures[choice] = (figure){.saved = plan->saved_bytes, .kept = plan->kept_bytes, .passed = plan->passed_bytes};
    titan_runtime_set_scratch(plan, s->figures[choice].scratch);
  }
  titan_runtime_program_destroy(&program);
  return status;
}

// Bytes alive at most in the arena, with the last `count` units of choice `less`, the others of choice `more`.
static titan_status bytes_of(search *s, int more, int less, int64_t count, size_t *bytes) {
  const runtime_step *step = &s->runtime->steps[STEP_TRAINING];
  titan_step_sizes sizes = step->sizes;
  int64_t number = 0;
  int peak;
  memcpy(s->unit_sizes, step->unit_sizes, (size_t)s->runtime->unit_count * sizeof *s->unit_sizes);
  for (int unit = 0; unit < s->runtime->unit_count; unit++) {
    if (titan_runtime_program_of(step, unit)->kind != s->kind || !s->runtime->holds[unit])
      continue;
    const figure *f = &s->figures[number++ < s->units - count ? more : less];
    s->unit_sizes[unit].saved = f->saved;
    s->unit_sizes[unit].kept = f->kept;
    s->unit_sizes[unit].passed = f->passed;
    memcpy(s->unit_sizes[unit].scratch, f->scratch, sizeof f->scratch);
  }
  sizes.units = s->unit_sizes;
  titan_step_memory_resize(&s->memory, &step->list, &sizes);
  TITAN_TRY(titan_step_memory_most(&s->memory, TITAN_ARENA_ACTIVATIONS, step->list.count, bytes, &peak));
  s->least = *bytes < s->least ? *bytes : s->least;
  return TITAN_OK;
}

static titan_status try_mixture(search *s, int more, int less, int64_t count, bool *fits) {
  size_t bytes;
  TITAN_TRY(bytes_of(s, more, less, count, &bytes));
  double cost =
      (double)(s->units - count) * s->choices->choices[more].cost + (double)count * s->choices->choices[less].cost;
  *fits = bytes <= s->budget;
  if (*fits && (s->best.more < 0 || cost < s->best.cost || (cost == s->best.cost && bytes < s->best.bytes)))
    s->best = (mixture){more, less, count, cost, bytes};
  return TITAN_OK;
}

// The fewest units that must take the choice with fewer bytes: more of them take fewer bytes and cost more.
static titan_status search_count(search *s, int more, int less) {
  int64_t low = -1, high = s->units; // low does not fit, high does
  bool fits;
  TITAN_TRY(try_mixture(s, more, less, high, &fits));
  if (!fits)
    return TITAN_OK;
  while (high - low > 1) {
    int64_t middle = low + (high - low) / 2;
    TITAN_TRY(try_mixture(s, more, less, middle, &fits));
    *(fits ? &high : &low) = middle;
  }
  return TITAN_OK;
}

// The blocks of the list, each of which has bytes in some mixture.
static titan_status list_blocks(search *s) {
  const runtime_step *step = &s->runtime->steps[STEP_TRAINING];
  titan_step_sizes sizes = step->sizes;
  memcpy(s->unit_sizes, step->unit_sizes, (size_t)s->runtime->unit_count * sizeof *s->unit_sizes);
  for (int unit = 0; unit < s->runtime->unit_count; unit++)
    if (titan_runtime_program_of(step, unit)->kind == s->kind && s->runtime->holds[unit]) {
      titan_step_unit_sizes *unit_sizes = &s->unit_sizes[unit];
      unit_sizes->saved = unit_sizes->kept = unit_sizes->passed = 1;
      for (int compute = 0; compute < TITAN_COMPUTES; compute++)
        unit_sizes->scratch[compute] = 1;
    }
  sizes.units = s->unit_sizes;
  titan_step_memory_destroy(&s->memory);
  return titan_step_memory_list(&step->list, &step->lowering, &sizes, &s->memory);
}

static titan_status find_cheapest(search *s) {
  TITAN_TRY(list_blocks(s));
  s->best = (mixture){.more = -1};
  for (int less = 0; less < s->choices->count; less++)
    for (int more = 0; more < s->choices->count; more++)
      if (s->choices->choices[more].cost <= s->choices->choices[less].cost)
        TITAN_TRY(search_count(s, more, less));
  return TITAN_OK;
}

// The programs of the mixture, in place of the provisional ones.
static titan_status create_programs(search *s) {
  runtime_step *step = &s->runtime->steps[STEP_TRAINING];
  int provisional = -1, more = -1, less = -1;
  runtime_program *program = NULL;
  int64_t number = 0;
  for (int i = 0; i < step->program_count; i++)
    provisional = step->programs[i].kind == s->kind ? i : provisional;
  titan_runtime_program_destroy(&step->programs[provisional]);
  if (s->best.count < s->units) {
    more = provisional;
    TITAN_TRY(titan_runtime_block_create(s->runtime, s->kind, s->choices, s->best.more, TITAN_KEEP_ALL,
                                         &step->programs[provisional]));
  }
  if (s->best.count > 0) {
    less = provisional;
    if (more >= 0)
      TITAN_TRY(titan_runtime_program_add(step, &less, &program));
    TITAN_TRY(titan_runtime_block_create(s->runtime, s->kind, s->choices, s->best.less, TITAN_KEEP_ALL,
                                         &step->programs[less]));
  }
  const titan_model_definition *model = s->runtime->options.model;
  for (int unit = 0; unit < s->runtime->unit_count; unit++)
    if (model->kind_of(&s->runtime->options.arguments, unit) == s->kind)
      step->program_of_unit[unit] = !s->runtime->holds[unit]              ? (more >= 0 ? more : less)
                                    : number++ < s->units - s->best.count ? more
                                                                          : less;
  titan_runtime_lay_out(s->runtime);
  return titan_runtime_list_create(s->runtime, STEP_TRAINING);
}

static titan_status refuse(const search *s, size_t fixed) {
  return titan_error(TITAN_ERROR_USAGE,
                     "a budget of %.3f GiB cannot be met: a rank needs at least %.3f GiB, when its blocks keep nothing "
                     "that they can recompute",
                     (double)s->runtime->options.activations.budget / TITAN_GIB,
                     ceil((double)(fixed + s->least) / TITAN_GIB * 1000) / 1000);
}

// The bound is what the choice goes by; where packing stays above it, the choice is made again with less.
static titan_status choose(search *s, size_t fixed) {
  size_t budget = s->runtime->options.activations.budget, room = budget > fixed ? budget - fixed : 0;
  s->budget = room;
  for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
    TITAN_TRY(find_cheapest(s));
    if (s->best.more < 0)
      return refuse(s, fixed);
    TITAN_TRY(create_programs(s));
    size_t taken = titan_runtime_memory_of(s->runtime).chosen;
    if (taken <= room)
      return TITAN_OK;
    s->budget = s->best.bytes - (taken - room) < s->budget ? s->best.bytes - (taken - room) : s->budget - 1;
    runtime_step *step = &s->runtime->steps[STEP_TRAINING];
    if (s->best.count > 0 && s->best.count < s->units) // one program again, to be replaced
      titan_runtime_program_destroy(&step->programs[--step->program_count]);
    for (int unit = 0; unit < s->runtime->unit_count; unit++)
      if (step->program_of_unit[unit] >= step->program_count)
        step->program_of_unit[unit] = step->program_count - 1;
  }
  return refuse(s, fixed);
}

static titan_status count_units(search *s) {
  const titan_model_definition *model = s->runtime->options.model;
  int kinds = 0;
  for (int i = 0; i < model->kind_count; i++)
    kinds += titan_runtime_is_checkpointed(s->runtime, i);
  s->kind = -1;
  if (kinds != 1)
    return titan_error(TITAN_ERROR_USAGE,
                       "a budget for activations needs a model whose layers are of one kind, and those of %s are of "
                       "%d; use another mode of activation checkpointing",
                       model->name, kinds);
  for (int unit = 0; unit < s->runtime->unit_count; unit++) {
    int kind = model->kind_of(&s->runtime->options.arguments, unit);
    if (!titan_runtime_is_checkpointed(s->runtime, kind))
      continue;
    s->kind = kind;
    s->units += s->runtime->holds[unit];
  }
  return TITAN_OK;
}

titan_status titan_runtime_budget_choose(titan_runtime *runtime, size_t fixed) {
  titan_graph *graph = NULL;
  titan_activation_choices choices = {0};
  titan_runtime_memory memory = titan_runtime_memory_of(runtime);
  search s = {.runtime = runtime, .choices = &choices, .least = SIZE_MAX};
  titan_status status = TITAN_OK;
  TITAN_TRY(count_units(&s));
  if (s.units == 0) // a pipeline rank without layers
    return TITAN_OK;
  TITAN_TRY(titan_runtime_graph_create(runtime, &runtime->options.model->kinds[s.kind],
                                       &runtime->steps[STEP_TRAINING].shape, true, NULL, &graph));
  TITAN_TRY_CLEANUP(titan_activation_choices_create(graph, &choices));
  TITAN_TRY_CLEANUP(
      titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, (size_t)choices.count, sizeof *s.figures, &s.figures));
  TITAN_TRY_CLEANUP(
      titan_memory_allocate(TITAN_MEMORY_GRAPH, (size_t)runtime->unit_count * sizeof *s.unit_sizes, &s.unit_sizes));
  for (int i = 0; i < choices.count; i++)
    TITAN_TRY_CLEANUP(measure(&s, i));
  TITAN_TRY_CLEANUP(choose(&s, fixed > 0 ? fixed : memory.total - memory.chosen));
cleanup:
  titan_memory_free(s.figures);
  titan_step_memory_destroy(&s.memory);
  titan_memory_free(s.unit_sizes);
  titan_activation_choices_destroy(&choices);
  titan_graph_destroy(&graph);
  return status;
}
