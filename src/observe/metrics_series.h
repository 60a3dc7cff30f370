// SPDX-License-Identifier: Apache-2.0
// Inside the metrics: the series of rows that a file holds. Each has datasets and a length of its own.
#ifndef TITAN_OBSERVE_METRICS_SERIES_H
#define TITAN_OBSERVE_METRICS_SERIES_H

#include "observe/metrics.h"

typedef enum titan_metrics_series {
  TITAN_METRICS_TRAINING,
  TITAN_METRICS_VALIDATION,
  TITAN_METRICS_RANK,
  TITAN_METRICS_SERIES, // how many
} titan_metrics_series;

typedef struct titan_metrics_column {
  const char *name, *unit, *description; // the dataset's
} titan_metrics_column;

// A row is one double a column, in this order; column 0 is the step.
typedef struct titan_metrics_series_row {
  const char *row; // what a row is called in messages
  int column_count;
  const titan_metrics_column *columns;
} titan_metrics_series_row;

// One row a series.
extern const titan_metrics_series_row titan_metrics_series_table[TITAN_METRICS_SERIES];

enum { TITAN_METRICS_MOST_COLUMNS = sizeof(titan_metrics_row) / sizeof(double) };

// Rows of one series, one after another.
typedef struct titan_metrics_rows {
  double *values;
  uint64_t count, room; // rows
} titan_metrics_rows;

// Not collective. Adds rows at the end. TITAN_ERROR_MEMORY.
titan_status titan_metrics_rows_append(titan_metrics_series series, const double *values, uint64_t count,
                                       titan_metrics_rows *rows);
// Frees the rows of every series, and clears them.
void titan_metrics_rows_destroy(titan_metrics_rows rows[TITAN_METRICS_SERIES]);

#endif
