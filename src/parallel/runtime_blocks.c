// Which blocks recompute what: one part for all, or two where some blocks recompute more than others.
#include "parallel/activation_budget.h"
#include "parallel/runtime_private.h"

#include <math.h>

static const double gib = 1024.0 * 1024 * 1024;

static titan_status create_block(titan_runtime *runtime, const titan_activation_choices *choices, int choice,
                                 titan_keep policy, runtime_part *out) {
  titan_graph *graph;
  bool *keep = NULL;
  TITAN_TRY(titan_runtime_graph_create(runtime, TITAN_PART_BLOCK, &graph));
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
  status = titan_runtime_part_create(runtime, TITAN_PART_BLOCK, graph, keep, out);
  titan_memory_free(keep);
  return status;
}

// --- a budget ---

// A choice's figures in a plan.
typedef struct figure {
  size_t saved, scratch;
} figure;

typedef struct mixture {
  int more, less; // choices: that of most blocks, and that of the last `count`, which keep less
  int64_t count;
  double cost;
  size_t bytes; // of the rank
} mixture;

static size_t larger(size_t a, size_t b) {
  return a > b ? a : b;
}

static titan_status measure(titan_runtime *runtime, const titan_activation_choices *choices, int choice, figure *out) {
  titan_graph *graph;
  titan_executable *executable = NULL;
  bool *keep = NULL;
  TITAN_TRY(titan_runtime_graph_create(runtime, TITAN_PART_BLOCK, &graph));
  titan_status status = TITAN_OK;
  TITAN_TRY_CLEANUP(
      titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, (size_t)titan_graph_node_count(graph) + 1, sizeof *keep, &keep));
  titan_activation_choice_keep(choices, choice, graph, keep);
  TITAN_TRY_CLEANUP(titan_activation_checkpoint_apply(graph, keep));
  TITAN_TRY_CLEANUP(titan_executable_create(runtime->device, graph, false, &executable));
  const titan_plan *plan = titan_executable_plan(executable);
  *out = (figure){plan->saved_bytes,
                  larger(plan->phases[TITAN_FORWARD].scratch_bytes, plan->phases[TITAN_BACKWARD].scratch_bytes)};
cleanup:
  titan_memory_free(keep);
  titan_executable_destroy(&executable);
  titan_graph_destroy(&graph);
  return status;
}

// Bytes of the rank with `count` of its blocks of choice `less`, the others of choice `more`. rest: what is neither
// scratch arena nor saved by a block; arena: what the other parts need.
static size_t bytes_of(const figure *figures, int more, int less, int64_t count, int64_t layers, size_t rest,
                       size_t arena) {
  arena = count < layers ? larger(arena, figures[more].scratch) : arena;
  arena = count > 0 ? larger(arena, figures[less].scratch) : arena;
  return rest + arena + (size_t)(layers - count) * figures[more].saved + (size_t)count * figures[less].saved;
}

static mixture cheapest(const titan_activation_choices *choices, const figure *figures, int64_t layers, size_t rest,
                        size_t arena, size_t budget, size_t *least) {
  mixture best = {.more = -1};
  *least = SIZE_MAX;
  for (int a = 0; a < choices->count; a++)
    for (int b = a; b < choices->count; b++)
      for (int64_t count = 0; count < layers; count++) {
        size_t bytes = bytes_of(figures, a, b, count, layers, rest, arena);
        double cost = (double)(layers - count) * choices->choices[a].cost + (double)count * choices->choices[b].cost;
        *least = bytes < *least ? bytes : *least;
        if (bytes <= budget && (best.more < 0 || cost < best.cost || (cost == best.cost && bytes < best.bytes)))
          best = (mixture){a, b, count, cost, bytes};
      }
  return best;
}

// The last blocks keep less: their backward comes first, when the most is alive elsewhere.
static titan_status create_mixture(titan_runtime *runtime, const titan_activation_choices *choices, mixture chosen) {
  TITAN_TRY(create_block(runtime, choices, chosen.more, TITAN_KEEP_ALL, &runtime->parts[TITAN_PART_BLOCK]));
  if (chosen.count > 0)
    TITAN_TRY(create_block(runtime, choices, chosen.less, TITAN_KEEP_ALL, &runtime->other_block));
  int64_t layers = runtime->options.arguments.layers;
  for (int64_t layer = layers - chosen.count; layer < layers; layer++)
    runtime->is_other[layer + 1] = true;
  return TITAN_OK;
}

static titan_status fit_budget(titan_runtime *runtime, const titan_graph *graph) {
  titan_status status = TITAN_OK;
  titan_activation_choices choices;
  figure *figures = NULL;
  int64_t layers = runtime->options.arguments.layers;
  size_t budget = runtime->options.activations.budget, least = 0;
  TITAN_TRY(titan_activation_choices_create(graph, &choices));
  TITAN_TRY_CLEANUP(titan_memory_allocate(TITAN_MEMORY_GRAPH, (size_t)choices.count * sizeof *figures, &figures));
  for (int i = 0; i < choices.count; i++)
    TITAN_TRY_CLEANUP(measure(runtime, &choices, i, &figures[i]));
  // What does not depend on the choice, from the figures of some choice.
  runtime_part *block = &runtime->parts[TITAN_PART_BLOCK];
  TITAN_TRY_CLEANUP(create_block(runtime, &choices, choices.count - 1, TITAN_KEEP_ALL, block));
  titan_runtime_lay_out(runtime);
  size_t rest = titan_runtime_memory_of(runtime).total - titan_runtime_scratch_bytes(runtime) -
                (size_t)layers * block->plan->saved_bytes;
  titan_runtime_part_destroy(block);
  mixture chosen = cheapest(&choices, figures, layers, rest, titan_runtime_scratch_bytes(runtime), budget, &least);
  if (chosen.more < 0)
    status = titan_error(
        TITAN_ERROR_USAGE,
        "activation_checkpoint.selective_ac_option: a budget of %.3f GiB cannot be met: a rank needs at least %.3f GiB "
        "when its blocks keep nothing they can recompute",
        (double)budget / gib, ceil((double)least / gib * 1000) / 1000);
  else
    status = create_mixture(runtime, &choices, chosen);
cleanup:
  titan_memory_free(figures);
  titan_activation_choices_destroy(&choices);
  return status;
}

// --- all modes ---

static titan_status create_for_budget(titan_runtime *runtime) {
  titan_graph *graph;
  TITAN_TRY(titan_runtime_graph_create(runtime, TITAN_PART_BLOCK, &graph));
  titan_status status = fit_budget(runtime, graph);
  titan_graph_destroy(&graph);
  return status;
}

static titan_status create(titan_runtime *runtime) {
  const titan_activation_options *options = &runtime->options.activations;
  runtime_part *block = &runtime->parts[TITAN_PART_BLOCK];
  titan_keep usual = runtime->options.compile ? TITAN_KEEP_ALL_BUT_STREAMING : TITAN_KEEP_ALL;
  switch (options->mode) {
  case TITAN_ACTIVATIONS_KEPT:
    return create_block(runtime, NULL, 0, usual, block);
  case TITAN_ACTIVATIONS_FULL:
    return create_block(runtime, NULL, 0, TITAN_KEEP_NOTHING, block);
  case TITAN_ACTIVATIONS_OPERATIONS:
    return create_block(runtime, NULL, 0, TITAN_KEEP_OPERATIONS, block);
  case TITAN_ACTIVATIONS_BUDGET:
    return create_for_budget(runtime);
  case TITAN_ACTIVATIONS_EVERY:
    break;
  }
  int64_t layers = runtime->options.arguments.layers;
  TITAN_TRY(create_block(runtime, NULL, 0, options->every == 1 ? TITAN_KEEP_NOTHING : usual, block));
  if (options->every == 1 || options->every > layers)
    return TITAN_OK;
  for (int64_t layer = options->every; layer <= layers; layer += options->every)
    runtime->is_other[layer] = true; // unit 0 is the embedding
  return create_block(runtime, NULL, 0, TITAN_KEEP_NOTHING, &runtime->other_block);
}

titan_status titan_runtime_blocks_create(titan_runtime *runtime) {
  TITAN_TRY(create(runtime));
  titan_runtime_lay_out(runtime);
  return TITAN_OK;
}

titan_status titan_runtime_describe_activations(const titan_runtime *runtime, titan_text *text) {
  double flops = 0, again = 0, streamed = 0;
  int others = 0;
  size_t saved = 0;
  for (int unit = 0; unit < runtime->unit_count; unit++) {
    const titan_plan *plan = titan_runtime_part_of(runtime, unit)->plan;
    for (int phase = 0; phase < TITAN_PHASES; phase++) {
      flops += plan->phases[phase].cost.flops;
      again += plan->phases[phase].recomputed.flops;
      streamed += plan->phases[phase].recomputed.bytes;
    }
    others += runtime->is_other[unit];
    saved += plan->saved_bytes + (unit > 0 ? titan_runtime_boundary_bytes(runtime) : 0);
  }
  TITAN_TRY(titan_text_printf(text, "Activations kept: %.2f GiB", (double)saved / gib));
  if (streamed == 0)
    return titan_text_printf(text, "; nothing is recomputed");
  TITAN_TRY(titan_text_printf(text, "; recomputed a step: %.3g GFLOP (%.1f %% more)", again / 1e9,
                              100 * again / (flops - again)));
  return others > 0 ? titan_text_printf(text, ", more in %d of %lld blocks", others,
                                        (long long)runtime->options.arguments.layers)
                    : TITAN_OK;
}
