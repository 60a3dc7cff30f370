#include "step/schedule.h"

#include <strings.h>

static const titan_schedule_row rows[] = {
#define TITAN_SCHEDULE(name, title, single) {title, single, titan_schedule_##name},
#include "step/schedules.def"
#undef TITAN_SCHEDULE
};

const titan_schedule_row *titan_schedule_find(const char *title) {
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (strcasecmp(rows[i].title, title) == 0)
      return &rows[i];
  return NULL;
}

titan_status titan_schedule_make(const titan_schedule_row *row, int ranks, int stages, int microbatches,
                                 titan_order *out) {
  TITAN_TRY(titan_order_create(ranks, stages, microbatches, out));
  titan_status status = row->fill(out);
  if (status != TITAN_OK)
    titan_order_destroy(out);
  return status;
}
