// SPDX-License-Identifier: Apache-2.0
#include "observe/metrics_series.h"

#include "base/memory.h"

#include <string.h>

enum { ROOM_AT_FIRST = 64 };

static const titan_metrics_column training[] = {
#define COLUMN(name, unit, description) {#name, unit, description},
    TITAN_METRICS_LIST(COLUMN)
#undef COLUMN
};

static const titan_metrics_column validation[] = {
#define COLUMN(name, unit, description) {"validation_" #name, unit, description},
    TITAN_METRICS_VALIDATION_LIST(COLUMN)
#undef COLUMN
};

static const titan_metrics_column rank[] = {
#define COLUMN(name, unit, description) {"rank_" #name, unit, description},
    TITAN_METRICS_RANK_LIST(COLUMN)
#undef COLUMN
};

enum { TRAINING_COLUMNS = sizeof training / sizeof *training };
enum { VALIDATION_COLUMNS = sizeof validation / sizeof *validation };
enum { RANK_COLUMNS = sizeof rank / sizeof *rank };
_Static_assert(sizeof(titan_metrics_row) == TRAINING_COLUMNS * sizeof(double), "a row holds one double a column");
_Static_assert(sizeof(titan_metrics_validation_row) == VALIDATION_COLUMNS * sizeof(double),
               "a row holds one double a column");
_Static_assert(sizeof(titan_metrics_rank_row) == RANK_COLUMNS * sizeof(double), "a row holds one double a column");
_Static_assert((int)VALIDATION_COLUMNS <= (int)TITAN_METRICS_MOST_COLUMNS &&
                   (int)RANK_COLUMNS <= (int)TITAN_METRICS_MOST_COLUMNS,
               "room for the columns of each series");

const titan_metrics_series_row titan_metrics_series_table[TITAN_METRICS_SERIES] = {
    [TITAN_METRICS_TRAINING] = {"row", TRAINING_COLUMNS, training},
    [TITAN_METRICS_VALIDATION] = {"validation row", VALIDATION_COLUMNS, validation},
    [TITAN_METRICS_RANK] = {"row of a rank", RANK_COLUMNS, rank},
};

titan_status titan_metrics_rows_append(titan_metrics_series series, const double *values, uint64_t count,
                                       titan_metrics_rows *rows) {
  size_t row = (size_t)titan_metrics_series_table[series].column_count * sizeof(double);
  uint64_t wanted = rows->count + count;
  if (wanted > rows->room) {
    uint64_t room = wanted < ROOM_AT_FIRST ? ROOM_AT_FIRST : 2 * wanted;
    TITAN_TRY(titan_memory_resize(TITAN_MEMORY_OBSERVE, (size_t)room * row, &rows->values));
    rows->room = room;
  }
  if (count > 0)
    memcpy((char *)rows->values + (size_t)rows->count * row, values, (size_t)count * row);
  rows->count = wanted;
  return TITAN_OK;
}

void titan_metrics_rows_destroy(titan_metrics_rows rows[TITAN_METRICS_SERIES]) {
  for (int series = 0; series < TITAN_METRICS_SERIES; series++) {
    titan_memory_free(rows[series].values);
    rows[series] = (titan_metrics_rows){0};
  }
}
