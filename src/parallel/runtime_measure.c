// SPDX-License-Identifier: Apache-2.0
// When the cells of a pipeline's order were computed, measured beside what is predicted.
#include "base/clock.h"
#include "base/memory.h"
#include "parallel/runtime_private.h"

titan_status titan_runtime_measure(titan_runtime *runtime) {
  size_t count = (size_t)runtime->steps[STEP_TRAINING].list.count;
  return titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, count + 1, sizeof *runtime->measured, &runtime->measured);
}

// The spans of this rank's cells: from the first RUN of a cell to its last. busy: the time of the RUNs alone.
static void find_spans(const titan_runtime *runtime, int rank, titan_span *spans, double *busy) {
  const runtime_step *step = &runtime->steps[STEP_TRAINING];
  const titan_cell *cells = step->order.cells[rank];
  int at = -1, count = step->order.counts[rank];
  *busy = 0;
  for (int place = 0; place < step->list.count; place++) {
    const titan_action *run = &step->list.actions[place];
    titan_span span = runtime->measured[place];
    if (run->kind != TITAN_ACTION_RUN)
      continue;
    int stage = titan_step_stage_of(&step->lowering, run->unit);
    *busy += span.end - span.begin;
    if (at >= 0 && cells[at].stage == stage && cells[at].microbatch == run->microbatch &&
        cells[at].compute == run->compute) {
      spans[at].end = span.end;
      continue;
    }
    do { // cells without a RUN, of which there are few, take no time
      double before = at >= 0 ? spans[at].end : span.begin;
      spans[++at] = (titan_span){before, before};
    } while (at < count - 1 && (cells[at].stage != stage || cells[at].microbatch != run->microbatch ||
                                cells[at].compute != run->compute));
    spans[at] = span;
  }
  for (int i = at + 1; i < count; i++)
    spans[i] = (titan_span){spans[at].end, spans[at].end};
}

static titan_status fill(const titan_order *order, const titan_span *all, const double *busy, int most,
                         titan_prediction *out) {
  double first = all[0].begin, last = all[0].end;
  out->rank_count = order->ranks;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, (size_t)order->ranks, sizeof *out->ranks, &out->ranks));
  for (int rank = 0; rank < order->ranks; rank++)
    for (int i = 0; i < order->counts[rank]; i++) {
      const titan_span *span = &all[rank * most + i];
      first = span->begin < first ? span->begin : first;
      last = span->end > last ? span->end : last;
    }
  out->makespan = last - first;
  for (int rank = 0; rank < order->ranks; rank++) {
    titan_predicted_rank *row = &out->ranks[rank];
    size_t count = (size_t)order->counts[rank];
    TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_GRAPH, (count + 1) * sizeof *row->spans, &row->spans));
    for (size_t i = 0; i < count; i++)
      row->spans[i] = (titan_span){all[(size_t)rank * (size_t)most + i].begin - first,
                                   all[(size_t)rank * (size_t)most + i].end - first};
    row->busy = busy[rank];
    row->idle = out->makespan - busy[rank];
  }
  return TITAN_OK;
}

titan_status titan_runtime_measured(titan_runtime *runtime, titan_prediction *out) {
  const titan_order *order = &runtime->steps[STEP_TRAINING].order;
  titan_comm *group = titan_runtime_pipeline_group(runtime);
  int rank = titan_comm_rank(group), most = 0;
  titan_span *all = NULL;
  double *busy = NULL;
  titan_status status = TITAN_OK;
  *out = (titan_prediction){0};
  for (int r = 0; r < order->ranks; r++)
    most = order->counts[r] > most ? order->counts[r] : most;
  size_t spans = (size_t)order->ranks * (size_t)most, mine = (size_t)rank * (size_t)most;
  status = titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, spans, sizeof *all, &all);
  if (status == TITAN_OK)
    status = titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, (size_t)order->ranks, sizeof *busy, &busy);
  TITAN_TRY_CLEANUP(titan_comm_agree(group, status));
  find_spans(runtime, rank, all + mine, &busy[rank]);
  TITAN_TRY_CLEANUP(titan_comm_all_gather(group, all + mine, all, 2 * (size_t)most, TITAN_FLOAT64, NULL));
  TITAN_TRY_CLEANUP(titan_comm_all_gather(group, &busy[rank], busy, 1, TITAN_FLOAT64, NULL));
  status = fill(order, all, busy, most, out);
cleanup:
  titan_memory_free(all);
  titan_memory_free(busy);
  if (status != TITAN_OK)
    titan_prediction_destroy(out);
  return status;
}
