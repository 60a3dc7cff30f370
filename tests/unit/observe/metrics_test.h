// SPDX-License-Identifier: Apache-2.0
// What the tests of metrics.h5 share: rows that are a function of the step, and readers of the file.
#ifndef TITAN_TESTS_METRICS_TEST_H
#define TITAN_TESTS_METRICS_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four above first
#include <cmocka.h>

#include "base/memory.h"
#include "observe/metrics.h"

#include <hdf5.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_ROWS = 1100 }; // beyond the first chunk of a dataset

static char folder[64], path[128];
static const char *const column_names[] = {"/step",    "/loss",       "/loss_max", "/grad_norm",    "/lr",
                                           "/tokens",  "/seconds",    "/tps",      "/mfu",          "/memory",
                                           "/elapsed", "/node_hours", "/tflops",   "/time_left",    "/data_loading",
                                           "/exposed", "/busy_mean",  "/busy_max", "/slowest_rank", "/memory_max"};
enum { COLUMNS = sizeof column_names / sizeof *column_names };

static const char *const validation_names[] = {"/validation_step", "/validation_loss", "/validation_tokens"};

static inline titan_metrics_row row_of(int step) {
  double s = step;
  return (titan_metrics_row){.step = s,
                             .loss = 8 / (1 + s),
                             .loss_max = 9 / (1 + s),
                             .grad_norm = sqrt(s),
                             .lr = 8e-4 / s,
                             .tokens = 16384 * s,
                             .seconds = 0.1 * s,
                             .tps = 1000.5 + s,
                             .mfu = s / 3,
                             .memory = 1.5 + 1 / s,
                             .elapsed = 0.2 * s,
                             .node_hours = 0.3 * s,
                             .tflops = 2.5 + s,
                             .time_left = 1e4 - s,
                             .data_loading = 1e-3 / s,
                             .exposed = 0.02 * s,
                             .busy_mean = 0.07 * s,
                             .busy_max = 0.08 * s,
                             .slowest_rank = step % 5,
                             .memory_max = 1.75 + 1 / s};
}

// Row `number` of the validations, from 1: one after every second step.
static inline titan_metrics_validation_row validation_of(int number) {
  double n = number;
  return (titan_metrics_validation_row){.step = 2 * n, .loss = 7 / (2 + n), .tokens = 12345 + n};
}

// first_validation: the first step of a validation that is not kept.
static inline titan_status create_for(const char *file, int64_t first_step, int64_t first_validation,
                                      uint64_t expected_rows, titan_metrics **metrics) {
  static const titan_metrics_attribute attributes[] = {{"version", "titan-hpc 1.2.3"}, {"empty", ""}};
  titan_metrics_options options = {.path = file,
                                   .first_step = first_step,
                                   .first_validation = first_validation,
                                   .expected_rows = expected_rows,
                                   .attributes = attributes,
                                   .attribute_count = 2};
  return titan_metrics_create(&options, metrics);
}

static inline titan_status create(const char *file, int64_t first_step, titan_metrics **metrics) {
  return create_for(file, first_step, first_step, MOST_ROWS, metrics);
}

static inline void append_steps(titan_metrics *metrics, int first, int last) {
  for (int step = first; step <= last; step++) {
    titan_metrics_row row = row_of(step);
    assert_int_equal(titan_metrics_append(metrics, &row), TITAN_OK);
  }
}

static inline void append_validations(titan_metrics *metrics, int first, int last) {
  for (int number = first; number <= last; number++) {
    titan_metrics_validation_row row = validation_of(number);
    assert_int_equal(titan_metrics_append_validation(metrics, &row), TITAN_OK);
  }
}

// The name of the file when it is kept under a number.
static inline const char *numbered(int number) {
  static char name[160];
  snprintf(name, sizeof name, "%s/metrics.%d.h5", folder, number);
  return name;
}

static inline void remove_all(void) {
  char command[160];
  snprintf(command, sizeof command, "rm -rf '%s'/*", folder);
  assert_int_equal(system(command), 0);
}

static inline void check_rows(const char *file, int count) {
  titan_metrics_row *rows;
  uint64_t found;
  assert_int_equal(titan_metrics_read(file, &rows, &found), TITAN_OK);
  assert_int_equal(found, count);
  for (int step = 1; step <= count; step++) {
    titan_metrics_row row = row_of(step);
    assert_memory_equal(&rows[step - 1], &row, sizeof row);
  }
  titan_memory_free(rows);
}

static inline void check_validations(const char *file, int count) {
  titan_metrics_validation_row *rows;
  uint64_t found;
  assert_int_equal(titan_metrics_read_validations(file, &rows, &found), TITAN_OK);
  assert_int_equal(found, count);
  for (int number = 1; number <= count; number++) {
    titan_metrics_validation_row row = validation_of(number);
    assert_memory_equal(&rows[number - 1], &row, sizeof row);
  }
  titan_memory_free(rows);
}

static inline double expected_value(bool validation, int row, int column) {
  titan_metrics_row training_row = row_of(row + 1);
  titan_metrics_validation_row validation_row = validation_of(row + 1);
  return (validation ? (const double *)&validation_row : (const double *)&training_row)[column];
}

// Every dataset of the series has at least as many right values as its step; returns their number.
static inline int check_series(hid_t opened, bool validation) {
  static double values[MOST_ROWS];
  const char *const *names = validation ? validation_names : column_names;
  int columns = validation ? 3 : COLUMNS, rows = -1;
  for (int column = 0; column < columns; column++) {
    hid_t dataset = H5Dopen2(opened, names[column], H5P_DEFAULT), space = H5Dget_space(dataset);
    int length = (int)H5Sget_simple_extent_npoints(space);
    if (rows < 0)
      rows = length;
    assert_true(length >= rows && length <= MOST_ROWS);
    assert_true(H5Dread(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    for (int i = 0; i < rows; i++)
      assert_true(values[i] == expected_value(validation, i, column));
    H5Sclose(space);
    H5Dclose(dataset);
  }
  return rows;
}

// Opens the file as h5dump and a plotting script do and as an SWMR reader does. Returns the rows of steps and of
// validations, which must be those of the arguments unless these are negative.
typedef struct plain_rows {
  int steps, validations;
} plain_rows;

static inline plain_rows check_plain(const char *file, int steps, int validations) {
  plain_rows rows;
  for (int swmr = 0; swmr < 2; swmr++) {
    hid_t opened = H5Fopen(file, swmr ? H5F_ACC_RDONLY | H5F_ACC_SWMR_READ : H5F_ACC_RDONLY, H5P_DEFAULT);
    assert_true(opened >= 0);
    rows = (plain_rows){check_series(opened, false), check_series(opened, true)};
    H5Fclose(opened);
  }
  assert_true(steps < 0 || rows.steps == steps);
  assert_true(validations < 0 || rows.validations == validations);
  return rows;
}

static inline int make_folder(void **state) {
  (void)state;
  snprintf(folder, sizeof folder, "/tmp/titan-metrics-XXXXXX");
  if (mkdtemp(folder) == NULL)
    return -1;
  snprintf(path, sizeof path, "%s/metrics.h5", folder);
  return 0;
}

static inline int nothing_is_left(void **state) {
  (void)state;
  char command[128];
  snprintf(command, sizeof command, "rm -r '%s'", folder);
  int removed = system(command);
  return removed == 0 && titan_memory_report_leaks() == 0 ? 0 : -1;
}

#endif
