// SPDX-License-Identifier: Apache-2.0
// When the cells of a pipeline's order were computed, measured beside what is predicted.
#include "base/clock.h"
#include "base/memory.h"
#include "parallel/runtime_private.h"

titan_status titan_runtime_measure(titan_runtime *runtime) {
  size_t count = (size_t)runtime->steps[STEP_TRAINING].list.count;
  return titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, count + 1, sizeof *runtime->measured, &runtime->measured);
}

// What a rank tells of a cell; doubles alone, as which ranks gather it.
typedef struct cell_record {
  titan_span span;
  double processor;
} cell_record;

// The records of this rank's cells: from the first RUN of a cell to its last. busy: the time of the RUNs alone.
static void find_records(const titan_runtime *runtime, int rank, cell_record *records, double *busy) {
  const runtime_step *step = &runtime->steps[STEP_TRAINING];
  const titan_cell *cells = step->order.cells[rank];
  int at = -1, count = step->order.counts[rank];
  *busy = 0;
  for (int place = 0; place < step->list.count; place++) {
    const titan_action *run = &step->list.actions[place];
    const runtime_measurement *measured = &runtime->measured[place];
    if (run->kind != TITAN_ACTION_RUN)
      continue;
    int stage = titan_step_stage_of(&step->lowering, run->unit);
    *busy += measured->span.end - measured->span.begin;
    if (at >= 0 && cells[at].stage == stage && cells[at].microbatch == run->microbatch &&
        cells[at].compute == run->compute) {
      records[at].span.end = measured->span.end;
      records[at].processor += measured->processor;
      continue;
    }
    do { // cells without a RUN, of which there are few, take no time
      double before = at >= 0 ? records[at].span.end : measured->span.begin;
      records[++at] = (cell_record){.span = {before, before}};
    } while (at < count - 1 && (cells[at].stage != stage || cells[at].microbatch != run->microbatch ||
                                cells[at].compute != run->compute));
    records[at] = (cell_record){measured->span, measured->processor};
  }
  for (int i = at + 1; i < count; i++)
    records[i] = (cell_record){.span = {records[at].span.end, records[at].span.end}};
}

static titan_status fill(const titan_order *order, const cell_record *all, const double *busy, int most,
                         titan_prediction *out) {
  double first = all[0].span.begin, last = all[0].span.end;
  out->rank_count = order->ranks;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, (size_t)order->ranks, sizeof *out->ranks, &out->ranks));
  for (int rank = 0; rank < order->ranks; rank++)
    for (int i = 0; i < order->counts[rank]; i++) {
      const titan_span *span = &all[rank * most + i].span;
      first = span->begin < first ? span->begin : first;
      last = span->end > last ? span->end : last;
    }
  out->makespan = last - first;
  for (int rank = 0; rank < order->ranks; rank++) {
    titan_predicted_rank *row = &out->ranks[rank];
    const cell_record *records = all + (size_t)rank * (size_t)most;
    size_t count = (size_t)order->counts[rank];
    TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_GRAPH, (count + 1) * sizeof *row->spans, &row->spans));
    for (size_t i = 0; i < count; i++)
      row->spans[i] = (titan_span){records[i].span.begin - first, records[i].span.end - first};
    row->busy = busy[rank];
    row->idle = out->makespan - busy[rank];
  }
  return TITAN_OK;
}

// The order in a simulation, with the processor time of each cell.
static titan_status replay(const titan_order *order, const cell_record *all, int most, titan_prediction *out) {
  size_t ranks = (size_t)order->ranks;
  double *processor = NULL;
  const double **cells = NULL;
  titan_status status = titan_memory_allocate(TITAN_MEMORY_GRAPH, ranks * (size_t)most * sizeof *processor, &processor);
  if (status == TITAN_OK)
    status = titan_memory_allocate(TITAN_MEMORY_GRAPH, ranks * sizeof *cells, &cells);
  TITAN_TRY_CLEANUP(status);
  for (size_t i = 0; i < ranks * (size_t)most; i++)
    processor[i] = all[i].processor;
  for (size_t rank = 0; rank < ranks; rank++)
    cells[rank] = processor + rank * (size_t)most;
  titan_step_times times = {.cells = cells};
  status = titan_step_predict(order, &times, out);
cleanup:
  titan_memory_free(processor);
  titan_memory_free(cells);
  return status;
}

titan_status titan_runtime_measured(titan_runtime *runtime, titan_prediction *clock, titan_prediction *processor) {
  enum { NUMBERS = sizeof(cell_record) / sizeof(double) };
  const titan_order *order = &runtime->steps[STEP_TRAINING].order;
  titan_comm *group = titan_runtime_pipeline_group(runtime);
  int rank = titan_comm_rank(group), most = 0;
  cell_record *all = NULL;
  double *busy = NULL;
  titan_status status = TITAN_OK;
  *clock = *processor = (titan_prediction){0};
  for (int r = 0; r < order->ranks; r++)
    most = order->counts[r] > most ? order->counts[r] : most;
  size_t records = (size_t)order->ranks * (size_t)most, mine = (size_t)rank * (size_t)most;
  status = titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, records, sizeof *all, &all);
  if (status == TITAN_OK)
    status = titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, (size_t)order->ranks, sizeof *busy, &busy);
  TITAN_TRY_CLEANUP(titan_comm_agree(group, status));
  find_records(runtime, rank, all + mine, &busy[rank]);
  TITAN_TRY_CLEANUP(titan_comm_all_gather(group, all + mine, all, NUMBERS * (size_t)most, TITAN_FLOAT64, NULL));
  TITAN_TRY_CLEANUP(titan_comm_all_gather(group, &busy[rank], busy, 1, TITAN_FLOAT64, NULL));
  TITAN_TRY_CLEANUP(fill(order, all, busy, most, clock));
  status = replay(order, all, most, processor);
cleanup:
  titan_memory_free(all);
  titan_memory_free(busy);
  if (status != TITAN_OK) {
    titan_prediction_destroy(clock);
    titan_prediction_destroy(processor);
  }
  return status;
}
