// SPDX-License-Identifier: Apache-2.0
#include "report/curve.h"

#include "base/memory.h"

#include <math.h>
#include <string.h>

typedef titan_metrics_row TRAINING_row;
typedef titan_metrics_validation_row VALIDATION_row;

const titan_curve_row titan_curve_table[TITAN_CURVES] = {
#define CURVE(name, series, column, other, title, unit, smoothed)                                                      \
  {#name,                                                                                                              \
   title,                                                                                                              \
   unit,                                                                                                               \
   TITAN_METRICS_##series,                                                                                             \
   offsetof(series##_row, column) / sizeof(double),                                                                    \
   offsetof(series##_row, other) / sizeof(double),                                                                     \
   smoothed},
#include "report/curve.def"
#undef CURVE
};

int titan_curve_find(const char *name) {
  for (int i = 0; i < TITAN_CURVES; i++)
    if (strcmp(titan_curve_table[i].name, name) == 0)
      return i;
  return -1;
}

// --- one row ---

static double between(double a, double b, double part) {
  return a + (b - a) * part;
}

// Tokens and time of training at a step. The first row's rate holds before it, the last row's values behind it.
static void at_step(const titan_run *run, double step, double x[TITAN_AXES]) {
  uint64_t count, low = 0;
  const titan_metrics_row *rows = titan_run_rows(run, &count);
  x[TITAN_AXIS_STEP] = step;
  x[TITAN_AXIS_TOKENS] = x[TITAN_AXIS_TIME] = NAN;
  if (count == 0)
    return;
  for (uint64_t high = count; low < high;) { // the first row of at least that step
    uint64_t middle = low + (high - low) / 2;
    if (rows[middle].step < step)
      low = middle + 1;
    else
      high = middle;
  }
  titan_metrics_row zero = {0};
  const titan_metrics_row *after = &rows[low < count ? low : count - 1], *before = low > 0 ? &rows[low - 1] : &zero;
  double part = after->step > before->step ? (step - before->step) / (after->step - before->step) : 1;
  part = part < 0 ? 0 : part > 1 ? 1 : part;
  x[TITAN_AXIS_TOKENS] = between(before->tokens, after->tokens, part);
  x[TITAN_AXIS_TIME] = between(before->elapsed, after->elapsed, part);
}

static const double *row_of(const titan_run *run, const titan_curve_row *curve, uint64_t index) {
  size_t columns = (size_t)titan_metrics_series_table[curve->series].column_count;
  return run->rows[curve->series].values + index * columns;
}

static void find_x(const titan_run *run, const titan_curve_row *curve, uint64_t index, double x[TITAN_AXES]) {
  const double *values = row_of(run, curve, index);
  if (curve->series == TITAN_METRICS_VALIDATION) {
    at_step(run, values[0], x);
    return;
  }
  const titan_metrics_row *row = (const titan_metrics_row *)values;
  x[TITAN_AXIS_STEP] = row->step;
  x[TITAN_AXIS_TOKENS] = row->tokens;
  x[TITAN_AXIS_TIME] = row->elapsed;
}

static double value_of(const titan_run *run, const titan_curve_row *curve, uint64_t index) {
  const double *values = row_of(run, curve, index);
  double value = isnan(values[curve->column]) ? values[curve->other] : values[curve->column];
  return isfinite(value) ? value : NAN;
}

// --- the curve ---

static void add_point(const titan_run *run, const titan_curve_row *curve, uint64_t index, titan_curve_data *out) {
  titan_curve_point *point = &out->points[out->point_count++];
  find_x(run, curve, index, point->x);
  point->value = value_of(run, curve, index);
}

// The points and the mean of the rows from `first` to before `end`.
static void add_bucket(const titan_run *run, const titan_curve_row *curve, uint64_t first, uint64_t end,
                       titan_curve_data *out) {
  uint64_t least = first, most = first;
  double sum = 0, low = NAN, high = NAN;
  titan_curve_mean *mean = &out->means[out->mean_count++];
  mean->rows = 0;
  for (uint64_t i = first; i < end; i++) {
    double value = value_of(run, curve, i);
    if (isnan(value))
      continue;
    sum += value;
    mean->rows++;
    if (!(value >= low))
      low = value, least = i;
    if (!(value <= high))
      high = value, most = i;
  }
  uint64_t low_end = least < most ? least : most, high_end = least < most ? most : least, last = out->rows - 1;
  find_x(run, curve, end - 1, mean->x);
  mean->mean = mean->rows > 0 ? sum / (double)mean->rows : NAN;
  if (first == 0 && low_end != 0)
    add_point(run, curve, 0, out);
  add_point(run, curve, low_end, out);
  if (low_end != high_end)
    add_point(run, curve, high_end, out);
  if (end - 1 == last && high_end != last)
    add_point(run, curve, last, out);
}

static bool has_value(const titan_run *run, const titan_curve_row *curve, uint64_t rows) {
  for (uint64_t i = 0; i < rows; i++)
    if (!isnan(value_of(run, curve, i)))
      return true;
  return false;
}

uint64_t titan_curve_buckets(uint64_t most_points) {
  return (most_points - 2) / 2;
}

titan_status titan_curve_read(const titan_run *run, titan_curve curve, uint64_t most, titan_curve_data *out) {
  const titan_curve_row *row = &titan_curve_table[curve];
  uint64_t rows = run->rows[row->series].count, buckets = rows <= most ? 0 : titan_curve_buckets(most);
  *out = (titan_curve_data){.rows = rows};
  if (!has_value(run, row, rows))
    return TITAN_OK;
  uint64_t points = buckets > 0 ? 2 * buckets + 2 : rows;
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_GENERAL, (size_t)points * sizeof *out->points, &out->points));
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_GENERAL, (size_t)buckets * sizeof *out->means, &out->means));
  for (uint64_t i = 0; buckets == 0 && i < rows; i++)
    add_point(run, row, i, out);
  for (uint64_t i = 0; i < buckets; i++) // as equal as whole rows allow; the product stays below 2^53
    add_bucket(run, row, i * rows / buckets, (i + 1) * rows / buckets, out);
  return TITAN_OK;
}

void titan_curve_destroy(titan_curve_data *data) {
  titan_memory_free(data->points);
  titan_memory_free(data->means);
  *data = (titan_curve_data){0};
}
