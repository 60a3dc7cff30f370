// SPDX-License-Identifier: Apache-2.0
#include "report/show.h"

#include "observe/report.h"
#include "report/results.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>

// What is shown where nothing is asked for.
static const titan_curve selection[] = {TITAN_CURVE_loss, TITAN_CURVE_validation_loss, TITAN_CURVE_grad_norm,
                                        TITAN_CURVE_tps, TITAN_CURVE_memory};

static titan_status put_age(const titan_run *run, double now, titan_text *out) {
  struct stat facts;
  char age[TITAN_REPORT_BYTES];
  if (now <= 0 || run->summary != NULL || stat(run->path.data, &facts) != 0)
    return TITAN_OK;
  titan_report_duration(fmax(0, now - (double)facts.st_mtime), age, sizeof age);
  return titan_text_printf(out, ", last written %s ago", age);
}

static titan_status put_head(const titan_run *run, double now, titan_text *out) {
  double results[TITAN_RESULTS];
  char steps[TITAN_REPORT_BYTES], tokens[TITAN_REPORT_BYTES], elapsed[TITAN_REPORT_BYTES];
  uint64_t count;
  const titan_metrics_row *rows = titan_run_rows(run, &count);
  const char *message = json_string_value(json_object_get(run->summary, "message"));
  TITAN_TRY(titan_text_printf(out, "%s: %s", run->name, titan_run_outcome(run)));
  TITAN_TRY(put_age(run, now, out));
  if (message != NULL)
    TITAN_TRY(titan_text_printf(out, "\n%s", message));
  if (count == 0)
    return titan_text_printf(out, "\nno rows yet\n");
  titan_results_of(run, results);
  titan_report_integer(llround(results[TITAN_RESULT_steps]), steps, sizeof steps);
  titan_report_integer(llround(results[TITAN_RESULT_tokens]), tokens, sizeof tokens);
  titan_report_duration(results[TITAN_RESULT_elapsed], elapsed, sizeof elapsed);
  TITAN_TRY(titan_text_printf(out, "\n%s steps, %s tokens in %s, mean %.4g tokens/s, mfu %.2f%%\n", steps, tokens,
                              elapsed, results[TITAN_RESULT_rate], results[TITAN_RESULT_mfu]));
  double left = rows[count - 1].time_left;
  if (run->summary == NULL && isfinite(left) && left > 0) {
    titan_report_duration(left, elapsed, sizeof elapsed);
    TITAN_TRY(titan_text_printf(out, "time left: %s\n", elapsed));
  }
  return TITAN_OK;
}

static titan_status put_curve(const titan_curve_row *row, const titan_curve_data *data,
                              const titan_show_options *options, titan_text *out) {
  double last = NAN, least = INFINITY, most = -INFINITY;
  for (uint64_t i = 0; i < data->point_count; i++) {
    last = data->points[i].value;
    least = fmin(least, data->points[i].value);
    most = fmax(most, data->points[i].value);
  }
  TITAN_TRY(titan_text_printf(out, "\n%s", row->title));
  if (strcmp(row->unit, "1") != 0)
    TITAN_TRY(titan_text_printf(out, " [%s]", row->unit));
  if (data->mean_count == 0)
    TITAN_TRY(titan_text_printf(out, ", last %.5g", last));
  TITAN_TRY(titan_text_printf(out, ", from %.5g to %.5g\n", least, most));
  return titan_plot(data, &options->plot, out);
}

static bool is_wanted(const titan_show_options *options, titan_curve curve) {
  bool any = false, selected = false;
  for (int i = 0; i < TITAN_CURVES; i++)
    any |= options->wanted[i];
  for (size_t i = 0; i < sizeof selection / sizeof *selection; i++)
    selected |= selection[i] == curve;
  return any ? options->wanted[curve] : selected;
}

titan_status titan_show(const titan_run *run, const titan_show_options *options, double now, titan_text *out) {
  uint64_t most = 16 * (uint64_t)options->plot.columns, count;
  titan_run_rows(run, &count);
  TITAN_TRY(put_head(run, now, out));
  for (int i = 0; i < TITAN_CURVES && count > 0; i++) {
    titan_curve_data data;
    if (!is_wanted(options, (titan_curve)i))
      continue;
    titan_status status = titan_curve_read(run, (titan_curve)i, most, &data);
    if (status == TITAN_OK && data.point_count > 0)
      status = put_curve(&titan_curve_table[i], &data, options, out);
    else if (status == TITAN_OK && options->wanted[i])
      status = titan_text_printf(out, "\n%s: the run has no values\n", titan_curve_table[i].title);
    titan_curve_destroy(&data);
    TITAN_TRY(status);
  }
  return TITAN_OK;
}
