// SPDX-License-Identifier: Apache-2.0
#include "parallel/pipeline_costs.h"

#include "base/memory.h"
#include "step/split.h"

#include <string.h>

static void count_nodes(const titan_graph *graph, bool merged, double costs[TITAN_COMPUTES]) {
  static const titan_compute computes[TITAN_PHASES] = {
      [TITAN_FORWARD] = TITAN_COMPUTE_FORWARD,
      [TITAN_BACKWARD] = TITAN_COMPUTE_INPUT_GRADIENT,
      [TITAN_WEIGHT_GRADIENTS] = TITAN_COMPUTE_WEIGHT_GRADIENT,
  };
  for (int i = 0; i < titan_graph_node_count(graph); i++) {
    const titan_node *node = titan_graph_node(graph, i);
    costs[merged ? TITAN_COMPUTE_FORWARD : computes[node->phase]] += titan_op_cost_of(&node->call).flops;
  }
}

// The share of a layer's forward that its backward computes again.
static double recomputed_share(const titan_activation_options *activations) {
  switch (activations->mode) {
  case TITAN_ACTIVATIONS_FULL:
  case TITAN_ACTIVATIONS_BUDGET:
    return 1;
  case TITAN_ACTIVATIONS_EVERY:
    return 1.0 / (double)activations->every;
  case TITAN_ACTIVATIONS_KEPT:
  case TITAN_ACTIVATIONS_OPERATIONS:
    break;
  }
  return 0;
}

static bool is_layer(const titan_model_kind *row) {
  return titan_model_kind_is_numbered(row) && !row->merged;
}

static titan_status cost_kind(const titan_runtime_options *options, const titan_model_kind *row,
                              double costs[TITAN_COMPUTES]) {
  titan_graph *graph;
  titan_status status = TITAN_OK;
  TITAN_TRY(titan_graph_create(row->name, &graph));
  TITAN_TRY_CLEANUP(row->build(&options->arguments, &options->shape, graph));
  if (row->differentiate != NULL) {
    TITAN_TRY_CLEANUP(titan_graph_differentiate(graph, titan_graph_find(graph, row->differentiate)));
    if (!row->merged)
      TITAN_TRY_CLEANUP(titan_graph_split_backward(graph));
  }
  count_nodes(graph, row->merged, costs);
  if (is_layer(row))
    costs[TITAN_COMPUTE_INPUT_GRADIENT] += recomputed_share(&options->activations) * costs[TITAN_COMPUTE_FORWARD];
  costs[TITAN_COMPUTE_BACKWARD] = costs[TITAN_COMPUTE_INPUT_GRADIENT] + costs[TITAN_COMPUTE_WEIGHT_GRADIENT];
cleanup:
  titan_graph_destroy(&graph);
  return status;
}

titan_status titan_pipeline_costs_create(const titan_runtime_options *options, titan_pipeline_costs *out) {
  const titan_model_definition *model = options->model;
  double(*of_kind)[TITAN_COMPUTES];
  titan_status status = TITAN_OK;
  *out = (titan_pipeline_costs){.unit_count = (int)model->unit_count(&options->arguments)};
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, (size_t)model->kind_count, sizeof *of_kind, &of_kind));
  for (int kind = 0; kind < model->kind_count; kind++)
    TITAN_TRY_CLEANUP(cost_kind(options, &model->kinds[kind], of_kind[kind]));
  TITAN_TRY_CLEANUP(
      titan_memory_allocate(TITAN_MEMORY_GRAPH, (size_t)out->unit_count * sizeof *out->units, &out->units));
  for (int unit = 0; unit < out->unit_count; unit++)
    memcpy(out->units[unit], of_kind[model->kind_of(&options->arguments, unit)], sizeof *of_kind);
cleanup:
  titan_memory_free(of_kind);
  return status;
}

bool titan_pipeline_costs_is_layer(const titan_runtime_options *options, int unit) {
  const titan_model_definition *model = options->model;
  return is_layer(&model->kinds[model->kind_of(&options->arguments, unit)]);
}

void titan_pipeline_costs_set_recomputed(titan_pipeline_costs *costs, const titan_runtime_options *options,
                                         double share) {
  double change = share - recomputed_share(&options->activations);
  for (int unit = 0; unit < costs->unit_count; unit++)
    if (titan_pipeline_costs_is_layer(options, unit)) {
      costs->units[unit][TITAN_COMPUTE_INPUT_GRADIENT] += change * costs->units[unit][TITAN_COMPUTE_FORWARD];
      costs->units[unit][TITAN_COMPUTE_BACKWARD] += change * costs->units[unit][TITAN_COMPUTE_FORWARD];
    }
}

void titan_pipeline_costs_destroy(titan_pipeline_costs *costs) {
  titan_memory_free(costs->units);
  *costs = (titan_pipeline_costs){0};
}

static bool is_loop(const titan_order *order) {
  for (int stage = 0; stage < order->stages; stage++)
    if (order->rank_of_stage[stage] != stage % order->ranks)
      return false;
  return true;
}

titan_status titan_pipeline_split_balanced(const titan_pipeline_costs *costs, const titan_order *order,
                                           int *first_unit) {
  double *units;
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_GRAPH, (size_t)costs->unit_count * sizeof *units, &units));
  for (int unit = 0; unit < costs->unit_count; unit++)
    units[unit] = costs->units[unit][TITAN_COMPUTE_FORWARD] + costs->units[unit][TITAN_COMPUTE_BACKWARD];
  titan_status status = titan_split_balanced(units, costs->unit_count, order->stages, first_unit);
  if (status == TITAN_OK && !is_loop(order))
    status =
        titan_split_even_ranks(units, costs->unit_count, order->rank_of_stage, order->ranks, order->stages, first_unit);
  titan_memory_free(units);
  return status;
}

int titan_pipeline_count_points(const titan_pipeline_options *pipeline) {
  const char *points = pipeline->points;
  int count = points != NULL && *points != '\0';
  for (; points != NULL && *points != '\0'; points++)
    count += *points == ',';
  return count;
}

titan_status titan_pipeline_predict(const titan_pipeline_costs *costs, const titan_order *order, const int *first_unit,
                                    double scale, double transfer, titan_prediction *out) {
  double(*stages)[TITAN_COMPUTES];
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, (size_t)order->stages, sizeof *stages, &stages));
  for (int stage = 0; stage < order->stages; stage++)
    for (int unit = first_unit[stage]; unit < first_unit[stage + 1]; unit++)
      for (int compute = 0; compute < TITAN_COMPUTES; compute++)
        stages[stage][compute] += scale * costs->units[unit][compute];
  titan_step_times times = {.compute = (const double(*)[TITAN_COMPUTES])stages, .transfer = transfer};
  titan_status status = titan_step_predict(order, &times, out);
  titan_memory_free(stages);
  return status;
}
