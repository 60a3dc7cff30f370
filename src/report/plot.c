// SPDX-License-Identifier: Apache-2.0
#include "report/plot.h"

#include "base/memory.h"
#include "observe/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct canvas {
  unsigned char *dots; // [height][width]
  int width, height;
} canvas;

typedef struct range {
  double low, high;
} range;

// --- scales ---

void titan_plot_x_text(titan_axis axis, double x, char *text, size_t size) {
  static const struct {
    double size;
    const char *letter;
  } units[] = {{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}, {0, ""}};
  int unit = 0;
  if (axis == TITAN_AXIS_TIME) {
    long long seconds = llround(x);
    snprintf(text, size, "%lld:%02lld:%02lld", seconds / 3600, seconds / 60 % 60, seconds % 60);
    return;
  }
  if (axis == TITAN_AXIS_STEP) {
    titan_report_integer(llround(x), text, size);
    return;
  }
  while (x < units[unit].size)
    unit++;
  snprintf(text, size, "%.4g%s", units[unit].size > 0 ? x / units[unit].size : x, units[unit].letter);
}

static double height_of(const titan_plot_options *options, double value) {
  return options->log_y ? log10(value) : value;
}

static bool is_drawn(const titan_plot_options *options, const titan_curve_point *point) {
  return isfinite(point->value) && isfinite(point->x[options->axis]) && (!options->log_y || point->value > 0);
}

// The ranges of x and of the values; false where nothing is drawn.
static bool find_ranges(const titan_curve_data *data, const titan_plot_options *options, range *x, range *y) {
  bool any = false;
  for (uint64_t i = 0; i < data->point_count; i++) {
    const titan_curve_point *point = &data->points[i];
    if (!is_drawn(options, point))
      continue;
    double at = point->x[options->axis];
    x->low = any ? fmin(x->low, at) : at;
    x->high = any ? fmax(x->high, at) : at;
    y->low = any ? fmin(y->low, point->value) : point->value;
    y->high = any ? fmax(y->high, point->value) : point->value;
    any = true;
  }
  return any;
}

// Where a value lies among `count` dots, 0 for the lowest; in the middle where all are the same.
static int place(double value, double low, double high, int count) {
  return high > low ? (int)lround((value - low) / (high - low) * (count - 1)) : (count - 1) / 2;
}

// --- drawing ---

static void draw_line(canvas *c, int x0, int y0, int x1, int y1) {
  int length = abs(x1 - x0) > abs(y1 - y0) ? abs(x1 - x0) : abs(y1 - y0);
  for (int i = 0; i <= length; i++) {
    double part = length > 0 ? (double)i / length : 0;
    int x = (int)lround(x0 + part * (x1 - x0)), y = (int)lround(y0 + part * (y1 - y0));
    c->dots[y * c->width + x] = 1;
  }
}

static void draw(const titan_curve_data *data, const titan_plot_options *options, const range *x, const range *y,
                 canvas *c) {
  bool joined = false;
  int old_x = 0, old_y = 0;
  double low = height_of(options, y->low), high = height_of(options, y->high);
  for (uint64_t i = 0; i < data->point_count; i++) {
    const titan_curve_point *point = &data->points[i];
    if (!is_drawn(options, point)) {
      joined = false;
      continue;
    }
    int at_x = place(point->x[options->axis], x->low, x->high, c->width);
    int at_y = c->height - 1 - place(height_of(options, point->value), low, high, c->height);
    draw_line(c, joined ? old_x : at_x, joined ? old_y : at_y, at_x, at_y);
    old_x = at_x, old_y = at_y, joined = true;
  }
}

// A Braille character of the dots from (x, y) on; U+2800 has none of them.
static titan_status put_braille(const canvas *c, int x, int y, titan_text *out) {
  static const unsigned char bits[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
  unsigned code = 0;
  for (int row = 0; row < 4; row++)
    for (int column = 0; column < 2; column++)
      if (c->dots[(y + row) * c->width + x + column] != 0)
        code |= bits[row][column];
  const char utf8[3] = {(char)0xe2, (char)(0xa0 | code >> 6), (char)(0x80 | (code & 0x3f))};
  return code != 0 ? titan_text_append(out, utf8, sizeof utf8) : titan_text_append(out, " ", 1);
}

static titan_status put_cells(const canvas *c, const titan_plot_options *options, int line, titan_text *out) {
  for (int column = 0; column < options->columns; column++)
    if (options->ascii)
      TITAN_TRY(titan_text_append(out, c->dots[line * c->width + column] != 0 ? "*" : " ", 1));
    else
      TITAN_TRY(put_braille(c, 2 * column, 4 * line, out));
  while (out->length > 0 && out->data[out->length - 1] == ' ')
    out->data[--out->length] = '\0';
  return titan_text_append(out, "\n", 1);
}

static titan_status put_lines(const canvas *c, const titan_plot_options *options, const range *y, titan_text *out) {
  const char *wall = options->ascii ? "|" : "│";
  for (int line = 0; line < options->lines; line++) {
    char scale[32] = "";
    if (y->low == y->high ? line == options->lines / 2 : line == 0)
      snprintf(scale, sizeof scale, "%.4g", y->high);
    else if (y->low < y->high && line == options->lines - 1)
      snprintf(scale, sizeof scale, "%.4g", y->low);
    TITAN_TRY(titan_text_printf(out, "%*s %s", TITAN_PLOT_SCALE - 2, scale, wall));
    TITAN_TRY(put_cells(c, options, line, out));
  }
  return TITAN_OK;
}

static titan_status put_x_scale(const titan_plot_options *options, const range *x, titan_text *out) {
  static const char *const units[TITAN_AXES] = {"steps", "tokens", "of training"};
  char low[40], high[64], end[80];
  TITAN_TRY(titan_text_printf(out, "%*s%s", TITAN_PLOT_SCALE - 1, "", options->ascii ? "+" : "└"));
  for (int i = 0; i < options->columns; i++)
    TITAN_TRY(titan_text_printf(out, "%s", options->ascii ? "-" : "─"));
  titan_plot_x_text(options->axis, x->low, low, sizeof low);
  titan_plot_x_text(options->axis, x->high, high, sizeof high);
  int length = snprintf(end, sizeof end, "%s %s", high, units[options->axis]);
  int gap = options->columns - length;
  return titan_text_printf(out, "\n%*s%-*s%s\n", TITAN_PLOT_SCALE, "", gap > 0 ? gap : 0, low, end);
}

titan_status titan_plot(const titan_curve_data *data, const titan_plot_options *options, titan_text *out) {
  range x = {0}, y = {0};
  canvas c = {.width = options->ascii ? options->columns : 2 * options->columns,
              .height = options->ascii ? options->lines : 4 * options->lines};
  if (!find_ranges(data, options, &x, &y))
    return titan_text_printf(out, "%*sno value can be drawn\n", TITAN_PLOT_SCALE, "");
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, (size_t)c.width * (size_t)c.height, 1, &c.dots));
  draw(data, options, &x, &y, &c);
  titan_status status = put_lines(&c, options, &y, out);
  if (status == TITAN_OK)
    status = put_x_scale(options, &x, out);
  titan_memory_free(c.dots);
  return status;
}
