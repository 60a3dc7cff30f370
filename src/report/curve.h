// SPDX-License-Identifier: Apache-2.0
// Curves of a run: a quantity over steps, tokens or time, with as few points as a drawing needs.
#ifndef TITAN_REPORT_CURVE_H
#define TITAN_REPORT_CURVE_H

#include "report/run.h"

typedef enum titan_curve {
#define CURVE(name, ...) TITAN_CURVE_##name,
#include "report/curve.def"
#undef CURVE
  TITAN_CURVES
} titan_curve;

typedef struct titan_curve_row {
  const char *name, *title, *unit;
  titan_metrics_series series;
  size_t column, other; // offsets in the row, in doubles
  bool smoothed;        // where a page smooths
} titan_curve_row;

extern const titan_curve_row titan_curve_table[TITAN_CURVES];

// Index of the curve of that name; -1: there is none.
int titan_curve_find(const char *name);

// What a curve is drawn over.
typedef enum titan_axis { TITAN_AXIS_STEP, TITAN_AXIS_TOKENS, TITAN_AXIS_TIME, TITAN_AXES } titan_axis;

typedef struct titan_curve_point {
  double x[TITAN_AXES]; // step; tokens; seconds of training
  double value;         // NaN: not finite in the file
} titan_curve_point;

// A stretch of neighbouring rows. Its x is that of its last row.
typedef struct titan_curve_mean {
  double x[TITAN_AXES];
  double mean;   // of its finite values; NaN: it has none
  uint64_t rows; // with a finite value
} titan_curve_mean;

// Either the curve has all its rows as points, and no means; or the rows are divided into `mean_count` buckets of equal
// size, and the points are the smallest and the largest row of each, and the file's first and last row (in the file's
// order, each once).
typedef struct titan_curve_data {
  uint64_t rows; // of the file
  titan_curve_point *points;
  uint64_t point_count;
  titan_curve_mean *means;
  uint64_t mean_count;
} titan_curve_data;

// Buckets of a curve that has more rows than points.
uint64_t titan_curve_buckets(uint64_t most_points);

// Not collective. At most `most` (4 at least) points of a curve. A validation's tokens and time are those of training
// at its step, between two rows in proportion. A curve without a finite value has no points. TITAN_ERROR_MEMORY. The
// caller destroys *out, also on failure.
titan_status titan_curve_read(const titan_run *run, titan_curve curve, uint64_t most, titan_curve_data *out);
void titan_curve_destroy(titan_curve_data *data);

#endif
