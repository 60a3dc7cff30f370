// SPDX-License-Identifier: Apache-2.0
// Property: a reduced curve has the smallest and the largest value of every bucket and the mean of all its rows,
// whatever the number of rows; what is not finite is a gap; validations have the tokens and the time of their step; the
// time of a run is divided by the formulas of docs/report.md. Oracle: the rows themselves, searched one by one; exact,
// but for sums, whose order differs.
#include "base/memory.h"
#include "report/curve.h"
#include "report/results.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four above first
#include <cmocka.h>

#include <math.h>
#include <string.h>

enum { MOST = 64, BUCKETS = 31 };

// A number without a pattern, from 0 to 1.
static double scattered(uint64_t i) {
  i = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
  i ^= i >> 29;
  i *= UINT64_C(0xbf58476d1ce4e5b9);
  return (double)(i >> 11) * 0x1p-53;
}

static void add(titan_run *run, titan_metrics_series series, const void *row) {
  assert_int_equal(titan_metrics_rows_append(series, row, 1, &run->rows[series]), TITAN_OK);
}

static titan_run make(uint64_t rows) {
  titan_run run = {0};
  for (uint64_t i = 0; i < rows; i++) {
    titan_metrics_row row = {.step = (double)(2 * i + 2), .loss = scattered(i), .tokens = 100.0 * (double)(i + 1)};
    row.elapsed = (double)(i + 1);
    if (i % 7 == 3)
      row.loss = i % 2 ? NAN : INFINITY;
    add(&run, TITAN_METRICS_TRAINING, &row);
  }
  return run;
}

// The bucket that holds row i is [first, end).
static void check_bucket(const titan_metrics_row *rows, uint64_t first, uint64_t end, const titan_curve_data *data,
                         uint64_t *point, const titan_curve_mean *mean) {
  double least = NAN, most = NAN, sum = 0;
  uint64_t finite = 0;
  for (uint64_t i = first; i < end; i++)
    if (isfinite(rows[i].loss)) {
      least = fmin(least, rows[i].loss);
      most = fmax(most, rows[i].loss);
      sum += rows[i].loss;
      finite++;
    }
  double shown_least = NAN, shown_most = NAN, last = -1;
  for (; *point < data->point_count && data->points[*point].x[TITAN_AXIS_STEP] <= rows[end - 1].step; ++*point) {
    const titan_curve_point *p = &data->points[*point];
    assert_true(p->x[TITAN_AXIS_STEP] > last);
    assert_true(isnan(p->value) ? finite == 0 : p->value == rows[(uint64_t)p->x[TITAN_AXIS_STEP] / 2 - 1].loss);
    shown_least = fmin(shown_least, p->value), shown_most = fmax(shown_most, p->value);
    last = p->x[TITAN_AXIS_STEP];
  }
  assert_true(finite == 0 ? isnan(shown_least) : shown_least == least && shown_most == most);
  assert_int_equal(mean->rows, finite);
  assert_true(finite == 0 ? isnan(mean->mean) : fabs(mean->mean - sum / (double)finite) <= 1e-12);
  assert_true(mean->x[TITAN_AXIS_TOKENS] == rows[end - 1].tokens);
}

static void buckets_keep_extremes_and_means(void **state) {
  (void)state;
  static const uint64_t sizes[] = {MOST + 1, MOST + 2, 2 * MOST - 1, 1000, 4097};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
    titan_run run = make(sizes[s]);
    titan_curve_data data;
    uint64_t count, point = 0, covered = 0;
    const titan_metrics_row *rows = titan_run_rows(&run, &count);
    assert_int_equal(titan_curve_read(&run, TITAN_CURVE_loss, MOST, &data), TITAN_OK);
    assert_int_equal(data.mean_count, BUCKETS);
    assert_true(data.points[0].x[TITAN_AXIS_STEP] == 2);
    assert_true(data.points[data.point_count - 1].x[TITAN_AXIS_STEP] == 2 * (double)sizes[s]);
    assert_true(data.point_count <= MOST);
    for (uint64_t b = 0; b < data.mean_count; b++) {
      uint64_t end = (uint64_t)data.means[b].x[TITAN_AXIS_STEP] / 2; // its last row's step is 2 (index + 1)
      assert_true(end - covered >= sizes[s] / BUCKETS && end - covered <= sizes[s] / BUCKETS + 1);
      check_bucket(rows, covered, end, &data, &point, &data.means[b]);
      covered = end;
    }
    assert_int_equal(covered, sizes[s]);
    assert_int_equal(point, data.point_count);
    titan_curve_destroy(&data);
    titan_run_destroy(&run);
  }
}

static void few_rows_are_all_points(void **state) {
  (void)state;
  titan_run run = make(MOST);
  titan_curve_data data;
  assert_int_equal(titan_curve_read(&run, TITAN_CURVE_loss, MOST, &data), TITAN_OK);
  assert_int_equal(data.point_count, MOST);
  assert_int_equal(data.mean_count, 0);
  for (uint64_t i = 0; i < MOST; i++)
    assert_true(i % 7 == 3 ? isnan(data.points[i].value) : data.points[i].value == scattered(i));
  titan_curve_destroy(&data);
  titan_run_destroy(&run);
}

static void a_curve_without_a_number_has_no_points(void **state) {
  (void)state;
  titan_run run = {0};
  titan_curve_data data;
  titan_metrics_row row = {.step = 1, .loss = NAN, .memory_max = NAN, .memory = 1.5};
  assert_int_equal(titan_curve_read(&run, TITAN_CURVE_loss, MOST, &data), TITAN_OK);
  assert_int_equal(data.point_count, 0);
  titan_curve_destroy(&data);
  add(&run, TITAN_METRICS_TRAINING, &row);
  assert_int_equal(titan_curve_read(&run, TITAN_CURVE_loss, MOST, &data), TITAN_OK);
  assert_int_equal(data.point_count, 0);
  titan_curve_destroy(&data);
  // A file of an earlier version has the memory of rank 0 alone.
  assert_int_equal(titan_curve_read(&run, TITAN_CURVE_memory, MOST, &data), TITAN_OK);
  assert_int_equal(data.point_count, 1);
  assert_true(data.points[0].value == 1.5);
  titan_curve_destroy(&data);
  titan_run_destroy(&run);
}

static void validations_have_the_tokens_of_their_step(void **state) {
  (void)state;
  static const struct {
    double step, tokens, seconds;
  } wanted[] = {{0, 0, 0}, {1, 50, 0.5}, {2, 100, 1}, {3, 150, 1.5}, {8, 400, 4}, {9, 400, 4}}; // of rows at 2, 4, 6, 8
  titan_run run = make(4);
  titan_curve_data data;
  for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
    titan_metrics_validation_row row = {.step = wanted[i].step, .loss = 1, .tokens = 7};
    add(&run, TITAN_METRICS_VALIDATION, &row);
  }
  assert_int_equal(titan_curve_read(&run, TITAN_CURVE_validation_loss, MOST, &data), TITAN_OK);
  assert_int_equal(data.point_count, sizeof wanted / sizeof *wanted);
  for (size_t i = 0; i < data.point_count; i++) {
    assert_true(data.points[i].x[TITAN_AXIS_STEP] == wanted[i].step);
    assert_true(data.points[i].x[TITAN_AXIS_TOKENS] == wanted[i].tokens);
    assert_true(data.points[i].x[TITAN_AXIS_TIME] == wanted[i].seconds);
  }
  titan_curve_destroy(&data);
  titan_run_destroy(&run);
}

// Rows of one step, then of four.
static void time_is_divided_by_steps(void **state) {
  (void)state;
  titan_run run = {0};
  titan_time_split split;
  titan_time_split_of(&run, &split);
  assert_true(isnan(split.computation) && split.steps == 0);
  titan_metrics_row rows[] = {
      {.step = 1, .elapsed = 3, .busy_mean = 1, .busy_max = 1.5, .exposed = 0.5, .data_loading = 0.25},
      {.step = 5, .elapsed = 13, .busy_mean = 2, .busy_max = 2, .exposed = 0.25, .data_loading = 3}};
  add(&run, TITAN_METRICS_TRAINING, &rows[0]);
  add(&run, TITAN_METRICS_TRAINING, &rows[1]);
  titan_time_split_of(&run, &split);
  assert_true(split.steps == 5);
  assert_true(split.communication == 0.5 + 4 * 0.25);
  assert_true(split.data == 0.25 + 4 * 2); // not more than the time of a step without communication
  assert_true(split.computation == 1 + 4 * 2 - split.data);
  assert_true(split.between == 13 - 9 - 1.5);
  assert_true(split.imbalance == 0.5 / 10.5);
  titan_run_destroy(&run);
}

static void results_are_those_of_the_rows(void **state) {
  (void)state;
  titan_run run = {0};
  double results[TITAN_RESULTS];
  titan_metrics_row rows[] = {
      {.step = 1, .loss = 5, .tokens = 10, .elapsed = 1, .tps = 10, .mfu = 30, .grad_norm = 2, .memory_max = 1},
      {.step = 2, .loss = 3, .tokens = 20, .elapsed = 4, .tps = 2, .mfu = 10, .grad_norm = NAN, .memory_max = 3},
      {.step = 3, .loss = NAN, .tokens = 30, .elapsed = 5, .tps = 10, .mfu = NAN, .grad_norm = 1, .memory_max = 2}};
  for (size_t i = 0; i < 3; i++)
    add(&run, TITAN_METRICS_TRAINING, &rows[i]);
  titan_results_of(&run, results);
  assert_true(results[TITAN_RESULT_steps] == 3 && results[TITAN_RESULT_tokens] == 30);
  assert_true(isnan(results[TITAN_RESULT_loss]));
  assert_true(results[TITAN_RESULT_loss_least] == 3 && results[TITAN_RESULT_loss_least_step] == 2);
  assert_true(isnan(results[TITAN_RESULT_validation]));
  assert_true(results[TITAN_RESULT_rate] == 6);
  assert_true(results[TITAN_RESULT_tps] == (10 + 3 * 2 + 10) / 5.0);
  assert_true(results[TITAN_RESULT_mfu] == (30 + 3 * 10) / 4.0);
  assert_true(results[TITAN_RESULT_memory] == 3 && results[TITAN_RESULT_grad_norm_most] == 2);
  titan_run_destroy(&run);
}

static int no_leaks(void **state) {
  (void)state;
  return (int)titan_memory_report_leaks();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(buckets_keep_extremes_and_means),
      cmocka_unit_test(few_rows_are_all_points),
      cmocka_unit_test(a_curve_without_a_number_has_no_points),
      cmocka_unit_test(validations_have_the_tokens_of_their_step),
      cmocka_unit_test(time_is_divided_by_steps),
      cmocka_unit_test(results_are_those_of_the_rows),
  };
  return cmocka_run_group_tests(tests, NULL, no_leaks);
}
