// Schedules: functions that give a compute order. A new schedule is a row of schedules.def and one file.
#ifndef TITAN_STEP_SCHEDULE_H
#define TITAN_STEP_SCHEDULE_H

#include "step/order.h"

typedef struct titan_schedule_row {
  const char *title;
  bool single; // one stage a rank
  // Fills an order made by titan_order_create.
  titan_status (*fill)(titan_order *order);
} titan_schedule_row;

// By title, in any case; NULL when there is none.
const titan_schedule_row *titan_schedule_find(const char *title);

// The order of a schedule for `ranks` pipeline ranks; TITAN_ERROR_USAGE with the reason where the schedule refuses the
// numbers. To be destroyed by titan_order_destroy.
titan_status titan_schedule_make(const titan_schedule_row *row, int ranks, int stages, int microbatches,
                                 titan_order *out);

#define TITAN_SCHEDULE(name, title, single) titan_status titan_schedule_##name(titan_order *order);
#include "step/schedules.def"
#undef TITAN_SCHEDULE

#endif
