// SPDX-License-Identifier: Apache-2.0
// Log lines on stderr, in the reference's form: "[rank0]:2026-01-31 12:00:00,123 - root - INFO - text"; and in a file
// beside it.
#ifndef TITAN_BASE_LOG_H
#define TITAN_BASE_LOG_H

#include "base/status.h"

#include <stdbool.h>

typedef enum titan_log_level { TITAN_LOG_DEBUG, TITAN_LOG_INFO, TITAN_LOG_WARNING, TITAN_LOG_ERROR } titan_log_level;

// Rank for the prefix; lines below `level` are dropped. Before this call: rank 0, INFO.
void titan_log_configure(int rank, titan_log_level level);
bool titan_log_enabled(titan_log_level level);

// Writes one line with one write call (lines of several ranks do not mix). Thread-safe.
void titan_log(titan_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

// From now on each line of this process goes to the end of the file `path` too, without colours; first those that it
// has had so far (the first 64 KiB of them). A file that was open is closed. A line that the file cannot take is on
// stderr all the same, where a warning says so once. TITAN_ERROR_OUTPUT when the file cannot be opened.
titan_status titan_log_open(const char *path);
// Writes text to that file alone; without one it does nothing.
void titan_log_text(const char *text);
// Without a file it does nothing.
void titan_log_close(void);

#define titan_log_debug(...) titan_log(TITAN_LOG_DEBUG, __VA_ARGS__)
#define titan_log_info(...) titan_log(TITAN_LOG_INFO, __VA_ARGS__)
#define titan_log_warning(...) titan_log(TITAN_LOG_WARNING, __VA_ARGS__)
#define titan_log_error(...) titan_log(TITAN_LOG_ERROR, __VA_ARGS__)

#endif
