// SPDX-License-Identifier: Apache-2.0
// A run as its files tell of it: metrics.h5, and beside it summary.json and configuration.toml where they are.
#ifndef TITAN_REPORT_RUN_H
#define TITAN_REPORT_RUN_H

#include "base/text.h"
#include "observe/metrics_record.h"

#include <jansson.h>

// The texts that metrics.h5 has as attributes, in this order.
#define TITAN_RUN_TEXT_LIST(X)                                                                                         \
  X(version)                                                                                                           \
  X(commit)                                                                                                            \
  X(command)                                                                                                           \
  X(hosts)                                                                                                             \
  X(ranks)                                                                                                             \
  X(job)                                                                                                               \
  X(date)                                                                                                              \
  X(optimizer)                                                                                                         \
  X(schedule)                                                                                                          \
  X(configuration)

typedef enum titan_run_text {
#define TITAN_RUN_TEXT_ENUM(name) TITAN_RUN_##name,
  TITAN_RUN_TEXT_LIST(TITAN_RUN_TEXT_ENUM)
#undef TITAN_RUN_TEXT_ENUM
      TITAN_RUN_TEXTS
} titan_run_text;

extern const char *const titan_run_text_names[TITAN_RUN_TEXTS];

typedef struct titan_run {
  char *name;                        // the argument, without a "/" and "/metrics.h5" at its end
  titan_text path;                   // of the metrics file
  titan_text folder;                 // that it is in
  titan_text texts[TITAN_RUN_TEXTS]; // `data` is NULL where the run does not tell
  titan_metrics_rows rows[TITAN_METRICS_SERIES];
  json_t *summary; // of the start that wrote the rows; NULL: it has not ended, or was killed
} titan_run;

// Not collective. Reads a run. `argument`: a dump folder, or a metrics.h5, also of a run that goes on, or was killed.
// TITAN_ERROR_USAGE where nothing is there or a folder has no metrics.h5, with the runs in the folders below it;
// TITAN_ERROR_DATA with the path and the reason where the metrics cannot be read or are damaged; TITAN_ERROR_MEMORY.
// What else cannot be read gets one line of `warn` each, and is left out. The caller destroys *run, also on failure.
titan_status titan_run_read(const char *argument, void (*warn)(const char *line), titan_run *run);

// Frees what it holds, and clears it.
void titan_run_destroy(titan_run *run);

// The rows of training and validation.
const titan_metrics_row *titan_run_rows(const titan_run *run, uint64_t *count);
const titan_metrics_validation_row *titan_run_validations(const titan_run *run, uint64_t *count);

// "complete", "stopped" or "failed" as summary.json has it; else "ended without a summary" where this host is the run's
// only one and no process has its folder (it was killed), else "no summary yet".
const char *titan_run_outcome(const titan_run *run);

// Reads the texts of a metrics file into texts[] (empty texts), by HDF5 in a process of its own: a damaged file can
// keep HDF5 busy without end, and this process ends after ten seconds. False with a message where they cannot be read.
bool titan_run_read_texts(const char *path, titan_text texts[TITAN_RUN_TEXTS]);

#endif
