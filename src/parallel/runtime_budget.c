// Blocks for a budget: of the choices between memory and computing, a mixture of two that fits with the least
// recomputation. What a choice takes is read off its plan.
#include "base/memory.h"
#include "parallel/runtime_private.h"

#include <math.h>

static const double gib = 1024.0 * 1024 * 1024;

typedef struct figure {
  size_t saved, scratch;
} figure;

typedef struct mixture {
  int more, less; // choices: that of most blocks, and that of the last `count`
  int64_t count;
  double cost;
  size_t bytes; // of the rank
} mixture;

static size_t larger(size_t a, size_t b) {
  return a > b ? a : b;
}

static titan_status measure(titan_runtime *runtime, int kind, const titan_activation_choices *choices, int choice,
                            figure *out) {
  runtime_part part = {0};
  titan_status status = titan_runtime_layer_create(runtime, kind, choices, choice, TITAN_KEEP_NOTHING, &part);
  if (status == TITAN_OK)
    *out = (figure){part.plan->saved_bytes, larger(part.plan->phases[TITAN_FORWARD].scratch_bytes,
                                                   part.plan->phases[TITAN_BACKWARD].scratch_bytes)};
  titan_runtime_part_destroy(&part);
  return status;
}

// Bytes of the rank with `count` of its blocks of choice `less`, the others of choice `more`. fixed: what is neither
// scratch arena nor saved by a block; arena: what the other parts need.
static size_t bytes_of(const figure *figures, int more, int less, int64_t count, int64_t layers, size_t fixed,
                       size_t arena) {
  arena = count < layers ? larger(arena, figures[more].scratch) : arena;
  arena = count > 0 ? larger(arena, figures[less].scratch) : arena;
  return fixed + arena + (size_t)(layers - count) * figures[more].saved + (size_t)count * figures[less].saved;
}

static mixture cheapest(const titan_activation_choices *choices, const figure *figures, int64_t layers, size_t fixed,
                        size_t arena, size_t budget, size_t *least) {
  mixture best = {.more = -1};
  *least = SIZE_MAX;
  for (int a = 0; a < choices->count; a++)
    for (int b = 0; b < choices->count; b++)
      for (int64_t count = 0; count < layers; count++) {
        size_t bytes = bytes_of(figures, a, b, count, layers, fixed, arena);
        double cost = (double)(layers - count) * choices->choices[a].cost + (double)count * choices->choices[b].cost;
        *least = bytes < *least ? bytes : *least;
        if (bytes <= budget && (best.more < 0 || cost < best.cost || (cost == best.cost && bytes < best.bytes)))
          best = (mixture){a, b, count, cost, bytes};
      }
  return best;
}

static titan_status create_mixture(titan_runtime *runtime, int kind, const titan_activation_choices *choices,
                                   mixture chosen) {
  TITAN_TRY(titan_runtime_layer_create(runtime, kind, choices, chosen.more, TITAN_KEEP_ALL, &runtime->parts[kind]));
  if (chosen.count > 0)
    TITAN_TRY(titan_runtime_layer_create(runtime, kind, choices, chosen.less, TITAN_KEEP_ALL, &runtime->others[kind]));
  int64_t left = chosen.count;
  for (int unit = runtime->unit_count - 1; unit >= 0 && left > 0; unit--)
    if (titan_runtime_is_layer(runtime, unit)) {
      runtime->is_other[unit] = true;
      left--;
    }
  return TITAN_OK;
}

// Of this rank, with whatever choice.
static titan_status find_fixed(const titan_runtime *runtime, size_t *bytes) {
  titan_runtime_options plain = runtime->options;
  titan_runtime *other;
  plain.activations = (titan_activation_options){.mode = TITAN_ACTIVATIONS_FULL};
  TITAN_TRY(titan_runtime_plan(&plain, runtime->mesh, runtime->device, &other));
  titan_runtime_memory memory = titan_runtime_memory_of(other);
  *bytes = memory.total - memory.chosen;
  titan_runtime_destroy(&other);
  return TITAN_OK;
}

static titan_status fit(titan_runtime *runtime, int kind, const titan_activation_choices *choices, figure *figures) {
  const titan_activation_options *options = &runtime->options.activations;
  size_t fixed = options->fixed, arena = titan_runtime_scratch_bytes(runtime), least = 0;
  for (int i = 0; i < choices->count; i++)
    TITAN_TRY(measure(runtime, kind, choices, i, &figures[i]));
  if (fixed == 0)
    TITAN_TRY(find_fixed(runtime, &fixed));
  mixture chosen =
      cheapest(choices, figures, titan_runtime_layer_count(runtime), fixed, arena, options->budget, &least);
  if (chosen.more < 0)
    return titan_error(
        TITAN_ERROR_USAGE,
        "a budget of %.3f GiB cannot be met: a rank needs at least %.3f GiB, when its blocks keep nothing "
        "that they can recompute",
        (double)options->budget / gib, ceil((double)least / gib * 1000) / 1000);
  return create_mixture(runtime, kind, choices, chosen);
}

// The only kind of the model's layers.
static titan_status find_kind(const titan_runtime *runtime, int *kind) {
  const titan_model_definition *model = runtime->options.model;
  int kinds = 0;
  for (int i = 0; i < model->kind_count; i++)
    if (titan_model_kind_is_numbered(&model->kinds[i])) {
      *kind = i;
      kinds++;
    }
  return kinds == 1 ? TITAN_OK
                    : titan_error(TITAN_ERROR_USAGE,
                                  "a budget for activations needs a model whose layers are of one kind, and those of "
                                  "%s are of %d; use another mode of activation checkpointing",
                                  model->name, kinds);
}

titan_status titan_runtime_budget_create(titan_runtime *runtime) {
  int kind = 0;
  titan_graph *graph = NULL;
  titan_activation_choices choices = {0};
  figure *figures = NULL;
  titan_status status = TITAN_OK;
  TITAN_TRY(find_kind(runtime, &kind));
  TITAN_TRY(titan_runtime_graph_create(runtime, &runtime->options.model->kinds[kind], NULL, &graph));
  TITAN_TRY_CLEANUP(titan_activation_choices_create(graph, &choices));
  TITAN_TRY_CLEANUP(titan_memory_allocate(TITAN_MEMORY_GRAPH, (size_t)choices.count * sizeof *figures, &figures));
  TITAN_TRY_CLEANUP(fit(runtime, kind, &choices, figures));
cleanup:
  titan_memory_free(figures);
  titan_activation_choices_destroy(&choices);
  titan_graph_destroy(&graph);
  return status;
}
