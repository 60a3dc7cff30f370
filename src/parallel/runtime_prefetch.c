// SPDX-License-Identifier: Apache-2.0
// How many units ahead parameters are gathered. Where the plan decides, it goes by FLOPs and bytes, counted alike on
// all ranks.
#include "parallel/pipeline_costs.h"
#include "parallel/runtime_private.h"
#include "step/gather_ahead.h"

int titan_runtime_prefetch(const titan_runtime *runtime) {
  int prefetch = runtime->options.prefetch;
  return prefetch < 1 ? 1 : prefetch < runtime->unit_count ? prefetch : runtime->unit_count;
}

// A rank whose group reads parameters in place lowers as those do that gather: all come to one number.
titan_status titan_runtime_prefetch_choose(titan_runtime *runtime, const runtime_step *step) {
  titan_step_shape shape = step->lowering;
  titan_pipeline_costs costs = {0};
  double *gather = NULL;
  titan_status status = TITAN_OK;
  int chosen = 1;
  if (!runtime->options.prefetch_is_chosen)
    return TITAN_OK;
  if (titan_comm_size(titan_runtime_shard_group(runtime)) > 1) {
    shape.gathers = true;
    TITAN_TRY_CLEANUP(titan_pipeline_costs_create(&runtime->options, &costs));
    TITAN_TRY_CLEANUP(titan_memory_allocate(TITAN_MEMORY_GRAPH, (size_t)runtime->unit_count * sizeof *gather, &gather));
    for (int unit = 0; unit < runtime->unit_count; unit++)
      gather[unit] = (double)titan_runtime_program_of(step, unit)->plan->flat_elements;
    titan_gather_times times = {(const double(*)[TITAN_COMPUTES])costs.units, gather, 1};
    TITAN_TRY_CLEANUP(
        titan_step_choose_look_ahead(&step->order, &shape, &times, titan_runtime_prefetch(runtime), &chosen));
  }
  runtime->options.prefetch = chosen;
  runtime->options.prefetch_is_chosen = false; // other lists go by it
cleanup:
  titan_memory_free(gather);
  titan_pipeline_costs_destroy(&costs);
  return status;
}
