// SPDX-License-Identifier: Apache-2.0
// Which units a stage has: arrays first_unit[stages + 1] for titan_step_shape. The units are the embedding, the layers
// and the head, in the order of the forward; every stage has at least one. Not collective.
#ifndef TITAN_STEP_SPLIT_H
#define TITAN_STEP_SPLIT_H

#include "step/list.h"

// The rule of TorchTitan (generate_split_points, December 2024) for layers, of which each stage has at least one: with
// base = layers / stages, the first stage has base, those after it base + 1 as long as the remainder lasts, then base;
// the last stage has the rest. The embedding is on the first stage and the head on the last. TITAN_ERROR_USAGE where
// there are more stages than layers.
titan_status titan_split_even(int unit_count, int stages, int *first_unit);

// What users ask for: points[point_count] are names of units, each of which begins a stage; the first unit begins the
// first stage. TITAN_ERROR_USAGE where a name is no unit's, comes before or twice with the one before it, or the stages
// (one more than points) cannot be shared equally by the ranks. first_unit: [point_count + 2].
titan_status titan_split_at(const titan_step_unit *units, int unit_count, const char *const *points, int point_count,
                            int ranks, int *first_unit);

// The split whose costliest stage costs least; of several such, one whose stages are most even (least sum of squares).
// costs: [unit_count], not negative, in any unit. Exact, by dynamic programming in stages x unit_count^2 steps.
// TITAN_ERROR_USAGE where there are more stages than units; TITAN_ERROR_MEMORY.
titan_status titan_split_balanced(const double *costs, int unit_count, int stages, int *first_unit);

// Moves the cuts of a split to and fro as long as ranks with several stages become more even: the costliest rank first,
// then the squares of all ranks, then those of all stages. rank_of_stage: [stages], below `ranks`. A descent over one
// and two cuts at a time, from the split that is there, which may end beside the best. TITAN_ERROR_MEMORY.
titan_status titan_split_even_ranks(const double *costs, int unit_count, const int *rank_of_stage, int ranks,
                                    int stages, int *first_unit);

// The cost of the costliest stage.
double titan_split_largest(const double *costs, const int *first_unit, int stages);

#endif
