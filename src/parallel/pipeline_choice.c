// SPDX-License-Identifier: Apache-2.0
#include "parallel/pipeline_choice.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

// Orders of more cells are not tried: their bubble is small already.
enum { MOST_CELLS = 1 << 15 };

typedef struct chooser {
  const titan_runtime_options *options;
  int ranks;
  titan_pipeline_costs costs; // of a whole batch
  int *first_unit;
  titan_pipeline_candidate *found;
  int count;
} chooser;

// The split only matters where the options leave it to the costs; points and the even rule are near enough to it.
static titan_status predict(chooser *c, const titan_schedule_row *row, int stages, int64_t parts) {
  titan_order order;
  titan_prediction prediction = {0};
  int64_t microbatches = c->options->microbatches * parts;
  titan_status status = titan_schedule_make(row, c->ranks, stages, (int)microbatches, &order);
  if (status == TITAN_ERROR_USAGE)
    return TITAN_OK;
  TITAN_TRY(status);
  TITAN_TRY_CLEANUP(titan_pipeline_split_balanced(&c->costs, &order, c->first_unit));
  TITAN_TRY_CLEANUP(titan_pipeline_predict(&c->costs, &order, c->first_unit, 1.0 / (double)parts, 0, &prediction));
  TITAN_TRY_CLEANUP(titan_memory_resize(TITAN_MEMORY_GENERAL, ((size_t)c->count + 1) * sizeof *c->found, &c->found));
  c->found[c->count++] = (titan_pipeline_candidate){.schedule = row,
                                                    .stages = stages,
                                                    .parts = parts,
                                                    .time = prediction.makespan,
                                                    .bubble = titan_prediction_bubble(&prediction)};
cleanup:
  titan_prediction_destroy(&prediction);
  titan_order_destroy(&order);
  return status;
}

static titan_status predict_parts(chooser *c, const titan_schedule_row *row, int stages) {
  const titan_runtime_options *options = c->options;
  if (stages > c->costs.unit_count)
    return TITAN_OK;
  for (int64_t parts = 1; parts <= options->shape.batch; parts++) {
    bool asked = options->pipeline.parts > 0 && options->pipeline.parts != parts;
    if (options->shape.batch % parts != 0 || asked || options->microbatches * parts > MOST_CELLS / stages)
      continue;
    TITAN_TRY(predict(c, row, stages, parts));
  }
  return TITAN_OK;
}

static titan_status predict_all(chooser *c) {
  int points = titan_pipeline_count_points(&c->options->pipeline),
      asked = points > 0 ? points + 1 : c->options->pipeline.stages;
  for (int i = 0; titan_schedule_at(i) != NULL; i++) {
    const titan_schedule_row *row = titan_schedule_at(i);
    int most = row->most > 0 ? row->most : TITAN_PIPELINE_MOST_STAGES;
    if (!row->backward || strcmp(row->title, "plain") == 0)
      continue;
    for (int per_rank = row->least; per_rank <= most; per_rank++)
      if (asked == 0 || asked == per_rank * c->ranks)
        TITAN_TRY(predict_parts(c, row, per_rank * c->ranks));
  }
  return TITAN_OK;
}

static int64_t cells_of(const titan_pipeline_candidate *c) {
  return c->parts * c->stages;
}

static int compare_times(const void *left, const void *right) {
  const titan_pipeline_candidate *a = left, *b = right;
  if (a->time != b->time)
    return a->time < b->time ? -1 : 1;
  return cells_of(a) != cells_of(b) ? (cells_of(a) < cells_of(b) ? -1 : 1)
                                    : strcmp(a->schedule->title, b->schedule->title);
}

// Among those that take hardly longer than the first of the rest, the one with the fewest cells goes first.
static void prefer_few_cells(titan_pipeline_candidate *found, int count) {
  for (int first = 0; first < count; first++) {
    int best = first;
    for (int i = first + 1; i < count && found[i].time <= 1.01 * found[first].time; i++)
      if (cells_of(&found[i]) < cells_of(&found[best]))
        best = i;
    titan_pipeline_candidate taken = found[best];
    memmove(&found[first + 1], &found[first], (size_t)(best - first) * sizeof *found);
    found[first] = taken;
  }
}

titan_status titan_pipeline_candidates(const titan_runtime_options *options, int ranks, titan_pipeline_candidate **out,
                                       int *count) {
  chooser c = {.options = options, .ranks = ranks};
  titan_status status = titan_pipeline_costs_create(options, &c.costs);
  size_t units = (size_t)c.costs.unit_count + 1;
  TITAN_TRY_CLEANUP(status);
  TITAN_TRY_CLEANUP(titan_memory_allocate(TITAN_MEMORY_GRAPH, units * sizeof *c.first_unit, &c.first_unit));
  TITAN_TRY_CLEANUP(predict_all(&c));
  if (c.count == 0)
    status =
        titan_error(TITAN_ERROR_USAGE,
                    "experimental.pipeline_parallel_schedule = auto: no schedule takes %d pipeline ranks, %d parts "
                    "of the model and a batch of %lld sequences with the other options; expected at least as many "
                    "parts as ranks, and a batch that can be cut into microbatches",
                    ranks, c.costs.unit_count, (long long)options->shape.batch);
  TITAN_TRY_CLEANUP(status);
  qsort(c.found, (size_t)c.count, sizeof *c.found, compare_times);
  prefer_few_cells(c.found, c.count);
  *out = c.found;
  *count = c.count;
  c.found = NULL;
cleanup:
  titan_memory_free(c.found);
  titan_memory_free(c.first_unit);
  titan_pipeline_costs_destroy(&c.costs);
  return status;
}

void titan_pipeline_take(const titan_pipeline_candidate *candidate, titan_runtime_options *options) {
  options->pipeline.automatic = false;
  options->pipeline.schedule = candidate->schedule;
  options->pipeline.stages = candidate->stages;
  options->pipeline.parts = candidate->parts;
  options->shape.batch /= candidate->parts;
  options->microbatches *= candidate->parts;
}
