// SPDX-License-Identifier: Apache-2.0
// What the parts of a model cost in a pipeline, before anything is planned: for splits, predictions and the choice of a
// schedule. Counted over whole operations, so that all ranks of a mesh come to the same numbers.
#ifndef TITAN_PARALLEL_PIPELINE_COSTS_H
#define TITAN_PARALLEL_PIPELINE_COSTS_H

#include "parallel/runtime.h"
#include "step/predict.h"

// FLOPs of one microbatch of the shape they were counted for.
typedef struct titan_pipeline_costs {
  int unit_count;
  // Owned: [unit_count][TITAN_COMPUTES]. A unit that computes its backward in its forward has all in FORWARD. What is
  // recomputed is part of INPUT_GRADIENT; where a budget decides, as if all were (titan_pipeline_costs_set_recomputed).
  double (*units)[TITAN_COMPUTES];
} titan_pipeline_costs;

// Not collective. The shape of options: batch and length. TITAN_ERROR_MEMORY.
titan_status titan_pipeline_costs_create(const titan_runtime_options *options, titan_pipeline_costs *out);
// Where a budget has decided: `share` (0 to 1) of the FLOPs of each layer's forward is recomputed. options: as at
// creation.
void titan_pipeline_costs_set_recomputed(titan_pipeline_costs *costs, const titan_runtime_options *options,
                                         double share);
// Whether the unit is a layer, of which activation checkpointing decides what is recomputed.
bool titan_pipeline_costs_is_layer(const titan_runtime_options *options, int unit);
void titan_pipeline_costs_destroy(titan_pipeline_costs *costs);

// The split whose costliest stage costs least, forward and backward (titan_split_balanced); where the order places
// stages in another way than in a loop, ranks are made even (titan_split_even_ranks): a rank's stages then do not wait
// for each other in turn. first_unit: [stages + 1].
titan_status titan_pipeline_split_balanced(const titan_pipeline_costs *costs, const titan_order *order,
                                           int *first_unit);

// Names in pipeline.points, apart by commas.
int titan_pipeline_count_points(const titan_pipeline_options *pipeline);

// Runs the order in a simulation, with units first_unit[s] .. first_unit[s + 1] - 1 in stage s. scale: seconds a FLOP
// on a rank, its part of tensor parallelism included (1: times are in FLOPs); transfer: seconds between two ranks.
titan_status titan_pipeline_predict(const titan_pipeline_costs *costs, const titan_order *order, const int *first_unit,
                                    double scale, double transfer, titan_prediction *out);

#endif
