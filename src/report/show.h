// SPDX-License-Identifier: Apache-2.0
// Curves of a run in a terminal.
#ifndef TITAN_REPORT_SHOW_H
#define TITAN_REPORT_SHOW_H

#include "report/plot.h"

typedef struct titan_show_options {
  titan_plot_options plot;
  bool wanted[TITAN_CURVES]; // none: a selection of those that the run has
} titan_show_options;

// Not collective. Appends what the run is and did, and its curves. `now`: seconds since 1970, for the age of the last
// row of a run without a summary; 0: it is not said. TITAN_ERROR_MEMORY.
titan_status titan_show(const titan_run *run, const titan_show_options *options, double now, titan_text *out);

// Not collective. Prints it to standard output every `seconds`, on a terminal in place of the last, until the run has a
// summary, or SIGINT or SIGTERM comes. Errors as titan_run_read; TITAN_ERROR_OUTPUT.
titan_status titan_watch(const char *argument, const titan_show_options *options, double seconds,
                         void (*warn)(const char *line));

#endif
