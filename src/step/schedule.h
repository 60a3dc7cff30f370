// SPDX-License-Identifier: Apache-2.0
// Schedules: functions that give a compute order. A new schedule is a row of schedules.def and one file.
#ifndef TITAN_STEP_SCHEDULE_H
#define TITAN_STEP_SCHEDULE_H

#include "step/order.h"

typedef struct titan_schedule_row {
  const char *title;
  int least, most; // stages a rank; most 0: any number
  titan_stage_placement placement;
  bool backward;
  // NULL, or why the schedule does not take these numbers: a sentence that begins with "it needs". per_rank: stages.
  const char *(*refuses)(int ranks, int per_rank, int microbatches);
  // Fills an order made by titan_order_create, with its stages placed, of numbers that are not refused.
  titan_status (*fill)(titan_order *order);
} titan_schedule_row;

// By title, in any case; NULL when there is none.
const titan_schedule_row *titan_schedule_find(const char *title);

// The rows of the table, from 0; NULL: there is no such row.
const titan_schedule_row *titan_schedule_at(int index);

// Stages a rank where users do not split the model themselves: 1, or 2 where a rank may have several (TorchTitan's
// rule).
int titan_schedule_stages_per_rank(const titan_schedule_row *row);

// Whether a schedule takes these numbers; TITAN_ERROR_USAGE with the reason, and the nearest number of microbatches
// that works where there is one.
titan_status titan_schedule_accepts(const titan_schedule_row *row, int ranks, int stages, int microbatches);

// The order of a schedule for `ranks` pipeline ranks; TITAN_ERROR_USAGE with the reason where the schedule refuses the
// numbers. To be destroyed by titan_order_destroy. The order has been run dry (titan_order_check).
titan_status titan_schedule_make(const titan_schedule_row *row, int ranks, int stages, int microbatches,
                                 titan_order *out);

// Forwards alone of `microbatches` microbatches, with the stages placed as in another order: validation of what that
// one trains. TITAN_ERROR_MEMORY.
titan_status titan_schedule_make_forwards(const titan_order *like, int microbatches, titan_order *out);

#define TITAN_SCHEDULE(name, title, least, most, placement, backward)                                                  \
  const char *titan_schedule_##name##_refuses(int ranks, int per_rank, int microbatches);                              \
  titan_status titan_schedule_##name(titan_order *order);
#include "step/schedules.def"
#undef TITAN_SCHEDULE

#endif
