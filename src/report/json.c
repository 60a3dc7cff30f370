// SPDX-License-Identifier: Apache-2.0
#include "report/json.h"

#include "base/clock.h"
#include "base/memory.h"
#include "observe/json_value.h"
#include "report/curve.h"
#include "report/differences.h"
#include "report/results.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const axis_names[TITAN_AXES] = {"step", "tokens", "time"};

// --- curves ---

static json_t *point_json(const titan_curve_data *data) {
  json_t *object = json_object(), *values = json_array();
  for (int axis = 0; axis < TITAN_AXES; axis++) {
    json_t *x = json_array();
    for (uint64_t i = 0; i < data->point_count; i++)
      json_array_append_new(x, titan_json_number(data->points[i].x[axis]));
    json_object_set_new(object, axis_names[axis], x);
  }
  for (uint64_t i = 0; i < data->point_count; i++)
    json_array_append_new(values, titan_json_number(data->points[i].value));
  json_object_set_new(object, "value", values);
  return object;
}

static json_t *mean_json(const titan_curve_data *data) {
  json_t *object = json_object(), *values = json_array(), *rows = json_array();
  for (int axis = 0; axis < TITAN_AXES; axis++) {
    json_t *x = json_array();
    for (uint64_t i = 0; i < data->mean_count; i++)
      json_array_append_new(x, titan_json_number(data->means[i].x[axis]));
    json_object_set_new(object, axis_names[axis], x);
  }
  for (uint64_t i = 0; i < data->mean_count; i++) {
    json_array_append_new(values, titan_json_number(data->means[i].mean));
    json_array_append_new(rows, json_integer((json_int_t)data->means[i].rows));
  }
  json_object_set_new(object, "value", values);
  json_object_set_new(object, "rows", rows);
  return object;
}

// A curve that has no finite value is left out.
static titan_status add_curve(const titan_run *run, titan_curve curve, uint64_t most, json_t *curves) {
  titan_curve_data data;
  titan_status status = titan_curve_read(run, curve, most, &data);
  if (status == TITAN_OK && data.point_count > 0) {
    json_t *object = point_json(&data);
    json_object_set_new(object, "rows", json_integer((json_int_t)data.rows));
    json_object_set_new(object, "means", data.mean_count > 0 ? mean_json(&data) : json_null());
    json_object_set_new(curves, titan_curve_table[curve].name, object);
  }
  titan_curve_destroy(&data);
  return status;
}

static json_t *curve_table_json(void) {
  json_t *table = json_array();
  for (int i = 0; i < TITAN_CURVES; i++) {
    const titan_curve_row *row = &titan_curve_table[i];
    json_array_append_new(table, json_pack("{s:s, s:s, s:s, s:b}", "name", row->name, "title", row->title, "unit",
                                           row->unit, "smoothed", (int)row->smoothed));
  }
  return table;
}

// --- a run ---

static json_t *results_json(const titan_run *run) {
  double results[TITAN_RESULTS];
  json_t *object = json_object();
  titan_results_of(run, results);
  for (int i = 0; i < TITAN_RESULTS; i++)
    json_object_set_new(object, titan_result_table[i].name, titan_json_number(results[i]));
  double joule = json_number_value(json_object_get(json_object_get(run->summary, "this_start"), "joule"));
  json_object_set_new(object, "joule", joule > 0 ? titan_json_number(joule) : json_null());
  return object;
}

static json_t *result_table_json(void) {
  json_t *table = json_array();
  for (int i = 0; i < TITAN_RESULTS; i++) {
    const titan_result_row *row = &titan_result_table[i];
    json_array_append_new(table, json_pack("{s:s, s:s, s:s}", "name", row->name, "text", row->text, "unit", row->unit));
  }
  json_array_append_new(table,
                        json_pack("{s:s, s:s, s:s}", "name", "joule", "text", "Energy of the last start", "unit", "J"));
  return table;
}

static json_t *time_json(const titan_run *run) {
  titan_time_split split;
  json_t *object = json_object();
  titan_time_split_of(run, &split);
  json_object_set_new(object, "computation", titan_json_number(split.computation));
  json_object_set_new(object, "data", titan_json_number(split.data));
  json_object_set_new(object, "communication", titan_json_number(split.communication));
  json_object_set_new(object, "between", titan_json_number(split.between));
  json_object_set_new(object, "steps", titan_json_number(split.steps));
  json_object_set_new(object, "imbalance", titan_json_number(split.imbalance));
  return object;
}

typedef struct rank_sums {
  double busy, exposed, data_loading, memory, rows;
} rank_sums;

// Ranks have the numbers from 0 on; a run that went on with more of them has those of its first rows alone.
static void sum_ranks(const titan_metrics_rank_row *rows, uint64_t count, rank_sums *sums, uint64_t ranks) {
  for (uint64_t i = 0; i < count; i++) {
    if (!(rows[i].number >= 0 && rows[i].number < (double)ranks))
      continue;
    rank_sums *sum = &sums[(uint64_t)rows[i].number];
    sum->busy += rows[i].busy;
    sum->exposed += rows[i].exposed;
    sum->data_loading += rows[i].data_loading;
    sum->memory = fmax(sum->memory, rows[i].memory);
    sum->rows++;
  }
}

// Adds means of each rank's rows; none where the run has no rows of ranks.
static titan_status add_ranks(const titan_run *run, json_t *array) {
  const titan_metrics_rank_row *rows = (const titan_metrics_rank_row *)run->rows[TITAN_METRICS_RANK].values;
  uint64_t count = run->rows[TITAN_METRICS_RANK].count, ranks = 0;
  rank_sums *sums;
  while (ranks < count && rows[ranks].step == rows[0].step)
    ranks++;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, (size_t)ranks, sizeof *sums, &sums));
  sum_ranks(rows, count, sums, ranks);
  for (uint64_t i = 0; i < ranks; i++) {
    json_t *rank = json_object();
    json_object_set_new(rank, "rank", json_integer((json_int_t)i));
    json_object_set_new(rank, "busy", titan_json_number(sums[i].busy / sums[i].rows));
    json_object_set_new(rank, "communication", titan_json_number(sums[i].exposed / sums[i].rows));
    json_object_set_new(rank, "data", titan_json_number(sums[i].data_loading / sums[i].rows));
    json_object_set_new(rank, "memory", titan_json_number(sums[i].memory));
    json_array_append_new(array, rank);
  }
  titan_memory_free(sums);
  return TITAN_OK;
}

static json_t *texts_json(const titan_run *run) {
  json_t *object = json_object();
  for (int i = 0; i < TITAN_RUN_TEXTS; i++)
    json_object_set_new(object, titan_run_text_names[i],
                        run->texts[i].data != NULL ? titan_json_text(run->texts[i].data) : json_null());
  return object;
}

static titan_status add_run(const titan_report_data *data, const titan_run *run, json_t *runs) {
  json_t *object = json_object(), *curves = json_object(), *ranks = json_array();
  json_array_append_new(runs, object);
  json_object_set_new(object, "name", titan_json_text(run->name));
  json_object_set_new(object, "path", titan_json_text(run->path.data));
  json_object_set_new(object, "outcome", json_string(titan_run_outcome(run)));
  json_t *message = json_object_get(run->summary, "message"), *warnings = json_object_get(run->summary, "warnings");
  json_object_set(object, "message", message != NULL ? message : json_null());
  json_object_set(object, "warnings", warnings != NULL ? warnings : json_null());
  json_object_set_new(object, "rows", json_integer((json_int_t)run->rows[TITAN_METRICS_TRAINING].count));
  json_object_set_new(object, "about", texts_json(run));
  json_object_set_new(object, "results", results_json(run));
  json_object_set_new(object, "time", time_json(run));
  json_object_set_new(object, "ranks", ranks);
  json_object_set_new(object, "curves", curves);
  TITAN_TRY(add_ranks(run, ranks));
  for (int i = 0; i < TITAN_CURVES; i++)
    TITAN_TRY(add_curve(run, (titan_curve)i, data->most_points, curves));
  return TITAN_OK;
}

// --- all of it ---

typedef struct difference_context {
  json_t *array;
  size_t count;
} difference_context;

static titan_status add_difference(void *context, const char *name, const char *const *values) {
  difference_context *c = context;
  json_t *list = json_array();
  for (size_t i = 0; i < c->count; i++)
    json_array_append_new(list, values[i] != NULL ? titan_json_text(values[i]) : json_null());
  json_array_append_new(c->array, json_pack("{s:s, s:o}", "name", name, "values", list));
  return TITAN_OK;
}

titan_status titan_report_notes(const titan_report_data *data, titan_text *notes) {
  uint64_t most_rows = 0;
  bool differ = false;
  double steps = NAN;
  for (size_t i = 0; i < data->count; i++) {
    uint64_t rows;
    const titan_metrics_row *row = titan_run_rows(&data->runs[i], &rows);
    most_rows = rows > most_rows ? rows : most_rows;
    if (rows == 0) {
      TITAN_TRY(titan_text_printf(notes, "%s has no rows yet\n", data->runs[i].name));
      continue;
    }
    differ |= !isnan(steps) && steps != row[rows - 1].step;
    steps = row[rows - 1].step;
  }
  if (differ) {
    TITAN_TRY(titan_text_printf(notes, "the runs have different steps, and each curve ends where its run does:"));
    for (size_t i = 0; i < data->count; i++) {
      uint64_t rows;
      const titan_metrics_row *row = titan_run_rows(&data->runs[i], &rows);
      TITAN_TRY(titan_text_printf(notes, "%s %s %.0f", i > 0 ? "," : "", data->runs[i].name,
                                  rows > 0 ? row[rows - 1].step : 0));
    }
    TITAN_TRY(titan_text_printf(notes, "\n"));
  }
  if (most_rows <= data->most_points)
    return TITAN_OK;
  return titan_text_printf(notes,
                           "curves of more than %" PRIu64 " rows are reduced: the rows are divided into %" PRIu64
                           " buckets, and the smallest and the largest value of each are drawn. Smoothed curves and "
                           "the table use all rows\n",
                           data->most_points, titan_curve_buckets(data->most_points));
}

static titan_status notes_json(const titan_report_data *data, json_t *notes) {
  titan_text text = {0};
  titan_status status = titan_report_notes(data, &text);
  char *rest = text.data;
  for (char *line = status == TITAN_OK && rest != NULL ? strtok_r(rest, "\n", &rest) : NULL; line != NULL;
       line = strtok_r(NULL, "\n", &rest))
    json_array_append_new(notes, titan_json_text(line));
  titan_text_destroy(&text);
  return status;
}

// "<" as an escape: it stands in strings alone.
static titan_status append_escaped(const char *dump, titan_text *json) {
  for (const char *at = dump; *at != '\0';) {
    size_t length = strcspn(at, "<");
    TITAN_TRY(titan_text_append(json, at, length));
    at += length;
    if (*at == '\0')
      break;
    TITAN_TRY(titan_text_printf(json, "\\u003c"));
    at++;
  }
  return TITAN_OK;
}

static titan_status fill(const titan_report_data *data, json_t *root) {
  char date[TITAN_CLOCK_DATE_BYTES];
  json_t *runs = json_array(), *differences = json_array(), *notes = json_array();
  titan_clock_date(date);
  json_object_set_new(root, "program", json_string(data->program));
  json_object_set_new(root, "date", json_string(date));
  json_object_set_new(root, "most_points", json_integer((json_int_t)data->most_points));
  json_object_set_new(root, "curves", curve_table_json());
  json_object_set_new(root, "results", result_table_json());
  json_object_set_new(root, "notes", notes);
  json_object_set_new(root, "differences", differences);
  json_object_set_new(root, "runs", runs);
  for (size_t i = 0; i < data->count; i++)
    TITAN_TRY(add_run(data, &data->runs[i], runs));
  TITAN_TRY(notes_json(data, notes));
  difference_context context = {differences, data->count};
  return titan_differences(data->runs, data->count, add_difference, &context);
}

titan_status titan_report_to_json(const titan_report_data *data, titan_text *json) {
  json_t *root = json_object();
  titan_status status = fill(data, root);
  char *dump =
      status == TITAN_OK ? json_dumps(root, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9)) : NULL;
  json_decref(root);
  if (status == TITAN_OK)
    status = dump != NULL ? append_escaped(dump, json) : titan_error(TITAN_ERROR_MEMORY, "no memory for the report");
  free(dump);
  return status;
}
