// SPDX-License-Identifier: Apache-2.0
#include "step/predict.h"

#include "base/memory.h"

typedef struct simulation {
  const titan_order *order;
  const titan_step_times *times;
  double *forward, *gradient; // [stages][microbatches]: when it was computed; negative: not yet
  int *next;                  // by rank: the next cell
  double *now;                // by rank: the end of the last one
  int *in_flight;             // by rank
  titan_prediction *out;
} simulation;

static double *done_of(const simulation *s, const titan_cell *cell) {
  double *times = cell->compute == TITAN_COMPUTE_FORWARD ? s->forward : s->gradient;
  return &times[(size_t)cell->stage * (size_t)s->order->microbatches + (size_t)cell->microbatch];
}

// When the next cell of a rank can begin; negative: what it needs is not known yet.
static double begin_of(const simulation *s, int rank, const titan_cell *cell) {
  titan_cell needs[2];
  int count = titan_order_needs(s->order, cell, needs);
  double begin = s->now[rank];
  for (int i = 0; i < count; i++) {
    double done = *done_of(s, &needs[i]);
    if (done < 0)
      return -1;
    if (s->order->rank_of_stage[needs[i].stage] != rank)
      done += s->times->transfer;
    begin = done > begin ? done : begin;
  }
  return begin;
}

// cell: a place in the rank's order.
static double time_of(const simulation *s, int rank, int cell) {
  const titan_cell *c = &s->order->cells[rank][cell];
  return s->times->cells != NULL ? s->times->cells[rank][cell] : s->times->compute[c->stage][c->compute];
}

static void compute(simulation *s, int rank, titan_span span, double done) {
  const titan_cell *cell = &s->order->cells[rank][s->next[rank]];
  titan_predicted_rank *row = &s->out->ranks[rank];
  row->spans[s->next[rank]++] = span;
  row->busy += span.end - span.begin;
  s->now[rank] = span.end;
  s->out->makespan = span.end > s->out->makespan ? span.end : s->out->makespan;
  if (cell->compute == TITAN_COMPUTE_FORWARD)
    s->in_flight[rank]++;
  if (s->in_flight[rank] > row->most_in_flight)
    row->most_in_flight = s->in_flight[rank];
  if (cell->compute == TITAN_COMPUTE_WEIGHT_GRADIENT || cell->compute == TITAN_COMPUTE_BACKWARD)
    s->in_flight[rank]--;
  if (cell->compute != TITAN_COMPUTE_WEIGHT_GRADIENT)
    *done_of(s, cell) = done;
}

// The next cell of a rank, or its next pair; false where what it needs is not known yet.
static bool step_once(simulation *s, int rank) {
  const titan_cell *cell = &s->order->cells[rank][s->next[rank]];
  bool beside = cell->paired && s->times->pair > 0;
  double begin = begin_of(s, rank, cell), second = beside ? begin_of(s, rank, cell + 1) : begin;
  if (begin < 0 || second < 0)
    return false;
  begin = second > begin ? second : begin;
  double share = beside ? s->times->pair : 1;
  double middle = begin + share * time_of(s, rank, s->next[rank]);
  double end = beside ? middle + share * time_of(s, rank, s->next[rank] + 1) : middle;
  compute(s, rank, (titan_span){begin, middle}, end);
  if (beside)
    compute(s, rank, (titan_span){middle, end}, end);
  return true;
}

static titan_status walk(simulation *s) {
  const titan_order *order = s->order;
  for (bool any = true; any;) {
    any = false;
    for (int rank = 0; rank < order->ranks; rank++)
      while (s->next[rank] < order->counts[rank] && step_once(s, rank))
        any = true;
  }
  for (int rank = 0; rank < order->ranks; rank++) {
    if (s->next[rank] < order->counts[rank])
      return titan_error(s->times->pair > 0 ? TITAN_ERROR_USAGE : TITAN_ERROR_INTERNAL,
                         "the order%s deadlocks at cell %d of pipeline rank %d",
                         s->times->pair > 0 ? ", with its pairs side by side," : "", s->next[rank], rank);
    s->out->ranks[rank].idle = s->out->makespan - s->out->ranks[rank].busy;
  }
  return TITAN_OK;
}

titan_status titan_step_predict(const titan_order *order, const titan_step_times *times, titan_prediction *out) {
  simulation s = {.order = order, .times = times, .out = out};
  titan_status status = TITAN_OK;
  size_t ranks = (size_t)order->ranks, entries = (size_t)order->stages * (size_t)order->microbatches;
  *out = (titan_prediction){.rank_count = order->ranks};
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, ranks, sizeof *out->ranks, &out->ranks));
  for (int rank = 0; rank < order->ranks; rank++)
    TITAN_TRY_CLEANUP(titan_memory_allocate(TITAN_MEMORY_GRAPH, (size_t)order->counts[rank] * sizeof(titan_span),
                                            &out->ranks[rank].spans));
  TITAN_TRY_CLEANUP(titan_memory_allocate(TITAN_MEMORY_GRAPH, entries * sizeof(double), &s.forward));
  TITAN_TRY_CLEANUP(titan_memory_allocate(TITAN_MEMORY_GRAPH, entries * sizeof(double), &s.gradient));
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, ranks, sizeof(int), &s.next));
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, ranks, sizeof(double), &s.now));
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, ranks, sizeof(int), &s.in_flight));
  for (size_t i = 0; i < entries; i++)
    s.forward[i] = s.gradient[i] = -1;
  TITAN_TRY_CLEANUP(walk(&s));
cleanup:
  titan_memory_free(s.forward);
  titan_memory_free(s.gradient);
  titan_memory_free(s.next);
  titan_memory_free(s.now);
  titan_memory_free(s.in_flight);
  if (status != TITAN_OK)
    titan_prediction_destroy(out);
  return status;
}

void titan_prediction_destroy(titan_prediction *prediction) {
  for (int rank = 0; prediction->ranks != NULL && rank < prediction->rank_count; rank++)
    titan_memory_free(prediction->ranks[rank].spans);
  titan_memory_free(prediction->ranks);
  *prediction = (titan_prediction){0};
}

double titan_prediction_bubble(const titan_prediction *prediction) {
  double idle = 0;
  for (int rank = 0; rank < prediction->rank_count; rank++)
    idle += prediction->ranks[rank].idle;
  return prediction->makespan > 0 ? idle / (prediction->makespan * prediction->rank_count) : 0;
}

titan_status titan_prediction_print(const titan_prediction *prediction, titan_text *text) {
  double whole = prediction->makespan > 0 ? prediction->makespan : 1;
  for (int rank = 0; rank < prediction->rank_count; rank++) {
    const titan_predicted_rank *row = &prediction->ranks[rank];
    TITAN_TRY(titan_text_printf(text, "rank %d: busy %.1f %%, idle %.1f %%, at most %d forwards in flight\n", rank,
                                100 * row->busy / whole, 100 * row->idle / whole, row->most_in_flight));
  }
  return TITAN_OK;
}
