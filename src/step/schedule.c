// SPDX-License-Identifier: Apache-2.0
#include "step/schedule.h"

#include <stdio.h>
#include <strings.h>

static const titan_schedule_row rows[] = {
#define TITAN_SCHEDULE(name, title, least, most, placement, backward)                                                  \
  {title, least, most, TITAN_STAGES_##placement, backward, titan_schedule_##name##_refuses, titan_schedule_##name},
#include "step/schedules.def"
#undef TITAN_SCHEDULE
};

const titan_schedule_row *titan_schedule_find(const char *title) {
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (strcasecmp(rows[i].title, title) == 0)
      return &rows[i];
  return NULL;
}

const titan_schedule_row *titan_schedule_at(int index) {
  return (size_t)index < sizeof rows / sizeof *rows ? &rows[index] : NULL;
}

int titan_schedule_stages_per_rank(const titan_schedule_row *row) {
  return row->most == 1 ? 1 : 2;
}

// The number of microbatches nearest to `microbatches` that the schedule takes, the smaller of two; 0: there is none.
static int nearest(const titan_schedule_row *row, int ranks, int per_rank, int microbatches) {
  int farthest = microbatches + 4 * ranks * per_rank;
  for (int distance = 1; distance <= farthest; distance++) {
    if (microbatches - distance >= 1 && row->refuses(ranks, per_rank, microbatches - distance) == NULL)
      return microbatches - distance;
    if (microbatches + distance >= 1 && row->refuses(ranks, per_rank, microbatches + distance) == NULL)
      return microbatches + distance;
  }
  return 0;
}

static titan_status refuse_stages(const titan_schedule_row *row, int ranks, int stages) {
  char wanted[64] = "one stage a rank";
  if (row->most != 1 && row->least == row->most)
    snprintf(wanted, sizeof wanted, "%d stages a rank", row->least);
  else if (row->most != 1)
    snprintf(wanted, sizeof wanted, "the same number of stages on each rank, at least %d", row->least);
  return titan_error(TITAN_ERROR_USAGE, "the schedule %s needs %s, not %d stages on %d rank%s", row->title, wanted,
                     stages, ranks, ranks == 1 ? "" : "s");
}

titan_status titan_schedule_accepts(const titan_schedule_row *row, int ranks, int stages, int microbatches) {
  int per_rank = ranks > 0 ? stages / ranks : 0;
  if (ranks < 1 || stages < 1 || stages % ranks != 0 || per_rank < row->least ||
      (row->most > 0 && per_rank > row->most))
    return refuse_stages(row, ranks, stages);
  const char *reason =
      microbatches < 1 ? "it needs at least one microbatch" : row->refuses(ranks, per_rank, microbatches);
  if (reason == NULL)
    return TITAN_OK;
  char suggestion[64] = "";
  int other = nearest(row, ranks, per_rank, microbatches);
  if (other > 0)
    snprintf(suggestion, sizeof suggestion, "; the nearest number that works is %d", other);
  return titan_error(TITAN_ERROR_USAGE,
                     "experimental.pipeline_parallel_microbatches: the schedule %s does not take %d microbatch%s on %d "
                     "pipeline rank%s: "
                     "%s%s",
                     row->title, microbatches, microbatches == 1 ? "" : "es", ranks, ranks == 1 ? "" : "s", reason,
                     suggestion);
}

// A fault in an order that a schedule made is the program's.
static titan_status check(const titan_schedule_row *row, const titan_order *order) {
  titan_order_fault fault;
  TITAN_TRY(titan_order_check(order, row->backward, &fault));
  if (fault.reason[0] == '\0')
    return TITAN_OK;
  return titan_error(TITAN_ERROR_INTERNAL, "the schedule %s of %d stages and %d microbatches, rank %d, cell %d: %s",
                     row->title, order->stages, order->microbatches, fault.rank, fault.cell, fault.reason);
}

titan_status titan_schedule_make(const titan_schedule_row *row, int ranks, int stages, int microbatches,
                                 titan_order *out) {
  titan_status status = TITAN_OK;
  *out = (titan_order){0};
  TITAN_TRY(titan_schedule_accepts(row, ranks, stages, microbatches));
  TITAN_TRY(titan_order_create(ranks, stages, microbatches, out));
  titan_order_place(out, row->placement);
  TITAN_TRY_CLEANUP(row->fill(out));
  TITAN_TRY_CLEANUP(check(row, out));
cleanup:
  if (status != TITAN_OK)
    titan_order_destroy(out);
  return status;
}

titan_status titan_schedule_make_forwards(const titan_order *like, int microbatches, titan_order *out) {
  TITAN_TRY(titan_order_create(like->ranks, like->stages, microbatches, out));
  for (int stage = 0; stage < like->stages; stage++)
    out->rank_of_stage[stage] = like->rank_of_stage[stage];
  titan_status status = titan_schedule_forward_only(out);
  if (status != TITAN_OK)
    titan_order_destroy(out);
  return status;
}
