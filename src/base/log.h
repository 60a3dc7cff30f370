// SPDX-License-Identifier: Apache-2.0
// Log lines on stderr, in the reference's form: "[rank0]:2026-01-31 12:00:00,123 - root - INFO - text"; and in a file
// beside it. In the form of JSON lines, each line is one object: {"time": "2026-01-31T12:00:00.123+0100", "rank": 0,
// "level": "info", "message": "text"}, with further members where the caller gives them.
#ifndef TITAN_BASE_LOG_H
#define TITAN_BASE_LOG_H

#include "base/status.h"

#include <stdbool.h>

typedef enum titan_log_level { TITAN_LOG_DEBUG, TITAN_LOG_INFO, TITAN_LOG_WARNING, TITAN_LOG_ERROR } titan_log_level;

// Rank for the prefix; lines below `level` are dropped. Before this call: rank 0, INFO.
void titan_log_configure(int rank, titan_log_level level);
bool titan_log_enabled(titan_log_level level);
int titan_log_rank(void);

// Writes one line with one write call (lines of several ranks do not mix). As a JSON line it has `members` too: members
// of an object without its braces, such as "\"step\": 3"; NULL: none. Thread-safe.
void titan_log_event(titan_log_level level, const char *members, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// titan_log(level, format, ...): the same without members.
#define titan_log(level, ...) titan_log_event((level), NULL, __VA_ARGS__)

// Whether lines are JSON from now on.
void titan_log_set_json(bool json);

// Not collective. From now on `watcher` is called, from the thread that logs, with the text of each line of `level` and
// above; NULL: no more. It must not log.
void titan_log_watch(titan_log_level level, void (*watcher)(void *context, const char *text), void *context);

// From now on each line of this process goes to the end of the file `path` too, without colours; first those that it
// has had so far (the first 64 KiB of them). A file that was open is closed. A line that the file cannot take is on
// stderr all the same, where a warning says so once. Where the file is moved or removed, a new one is made in its
// place. TITAN_ERROR_OUTPUT when the file cannot be opened.
titan_status titan_log_open(const char *path);
// Writes text to that file alone, as one line where lines are JSON; without a file it does nothing.
void titan_log_text(const char *text);
// Without a file it does nothing.
void titan_log_close(void);

#define titan_log_debug(...) titan_log(TITAN_LOG_DEBUG, __VA_ARGS__)
#define titan_log_info(...) titan_log(TITAN_LOG_INFO, __VA_ARGS__)
#define titan_log_warning(...) titan_log(TITAN_LOG_WARNING, __VA_ARGS__)
#define titan_log_error(...) titan_log(TITAN_LOG_ERROR, __VA_ARGS__)

#endif
