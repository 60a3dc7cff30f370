// Log lines on stderr, in the reference's form: "[rank0]:2026-01-31 12:00:00,123 - root - INFO - text".
#ifndef TITAN_BASE_LOG_H
#define TITAN_BASE_LOG_H

#include <stdbool.h>

typedef enum titan_log_level { TITAN_LOG_DEBUG, TITAN_LOG_INFO, TITAN_LOG_WARNING, TITAN_LOG_ERROR } titan_log_level;

// Rank for the prefix; lines below `level` are dropped. Before this call: rank 0, INFO.
void titan_log_configure(int rank, titan_log_level level);
bool titan_log_enabled(titan_log_level level);

// Writes one line with one write call (lines of several ranks do not mix). Thread-safe.
void titan_log(titan_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define titan_log_debug(...) titan_log(TITAN_LOG_DEBUG, __VA_ARGS__)
#define titan_log_info(...) titan_log(TITAN_LOG_INFO, __VA_ARGS__)
#define titan_log_warning(...) titan_log(TITAN_LOG_WARNING, __VA_ARGS__)
#define titan_log_error(...) titan_log(TITAN_LOG_ERROR, __VA_ARGS__)

#endif
