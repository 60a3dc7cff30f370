// SPDX-License-Identifier: Apache-2.0
// A curve drawn with characters.
#ifndef TITAN_REPORT_PLOT_H
#define TITAN_REPORT_PLOT_H

#include "report/curve.h"

typedef struct titan_plot_options {
  titan_axis axis;
  bool log_y;         // values of 0 and less are left out
  bool ascii;         // else Braille characters, of 2 x 4 dots each
  int columns, lines; // of the drawing, without its scales; 1 at least
} titan_plot_options;

enum { TITAN_PLOT_SCALE = 11 }; // columns left of the drawing

// Not collective. Appends the drawing with scales: the largest and smallest value on the left, the range of x below. A
// curve without a point that can be drawn gets a line that says it. TITAN_ERROR_MEMORY.
titan_status titan_plot(const titan_curve_data *data, const titan_plot_options *options, titan_text *out);

// "1,234" as steps, "1.234M" as tokens, "0:12:03" as time.
void titan_plot_x_text(titan_axis axis, double x, char *text, size_t size);

#endif
