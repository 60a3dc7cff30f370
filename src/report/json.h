// SPDX-License-Identifier: Apache-2.0
// All that a report shows, as one JSON value; the page's script draws it.
#ifndef TITAN_REPORT_JSON_H
#define TITAN_REPORT_JSON_H

#include "report/run.h"

typedef struct titan_report_data {
  titan_run *runs; // [count]
  size_t count;
  const char *program;  // "titan-report 0.1.0"
  uint64_t most_points; // of a curve
} titan_report_data;

// Not collective. docs/report.md describes the members. Numbers have nine significant digits, whole ones all of theirs;
// what is not finite is null. The text has no "<", so that it can stand in a page. TITAN_ERROR_MEMORY.
titan_status titan_report_to_json(const titan_report_data *data, titan_text *json);

// Appends "runs of different length: a 40 steps, b 25 steps", and such, one line each, which the page shows too.
// Nothing where there is nothing to say.
titan_status titan_report_notes(const titan_report_data *data, titan_text *notes);

#endif
