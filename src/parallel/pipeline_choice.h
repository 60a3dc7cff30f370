// SPDX-License-Identifier: Apache-2.0
// The choice of a pipeline's schedule: what could be run, the quickest first as predicted.
#ifndef TITAN_PARALLEL_PIPELINE_CHOICE_H
#define TITAN_PARALLEL_PIPELINE_CHOICE_H

#include "parallel/pipeline_costs.h"

typedef struct titan_pipeline_candidate {
  const titan_schedule_row *schedule;
  int stages;    // over all ranks
  int64_t parts; // microbatches of a batch
  double time;   // of a step: in FLOPs of one rank, as if it had the whole of a tensor-parallel group's
  double bubble; // share of the ranks' time in which they wait
} titan_pipeline_candidate;

// How many stages a rank has at most in a candidate.
enum { TITAN_PIPELINE_MOST_STAGES = 4 };

// Every schedule of the table that trains, with the stages that it takes and every number of parts that divides the
// batch, on `ranks` pipeline ranks. options: the batch is not cut yet (shape.batch sequences, `microbatches` of them);
// what pipeline.parts, .stages or .points say is kept. Sorted: the least time first; of times within one percent the
// fewest cells. *out: owned, *count of them, at least one. TITAN_ERROR_USAGE where no schedule takes these numbers,
// TITAN_ERROR_MEMORY. Not collective, alike on all ranks.
titan_status titan_pipeline_candidates(const titan_runtime_options *options, int ranks, titan_pipeline_candidate **out,
                                       int *count);

// The options of a candidate: schedule, stages, parts, and batches of training cut into them.
void titan_pipeline_take(const titan_pipeline_candidate *candidate, titan_runtime_options *options);

#endif
