#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int log_rank = 0;
static titan_log_level log_level = TITAN_LOG_INFO;

void titan_log_configure(int rank, titan_log_level level) {
  log_rank = rank;
  log_level = level;
}

bool titan_log_enabled(titan_log_level level) {
  return level >= log_level;
}

void titan_log(titan_log_level level, const char *format, ...) {
  static const char *const names[] = {"DEBUG", "INFO", "WARNING", "ERROR"};
  if (!titan_log_enabled(level))
    return;
  struct timespec now;
  struct tm local;
  clock_gettime(CLOCK_REALTIME, &now);
  localtime_r(&now.tv_sec, &local);
  char line[20000], when[32];
  strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &local);
  int used = snprintf(line, sizeof line, "[rank%d]:%s,%03ld - root - %s - ", log_rank, when, now.tv_nsec / 1000000,
                      names[level]);
  va_list arguments;
  va_start(arguments, format);
  int more = vsnprintf(line + used, sizeof line - (size_t)used - 1, format, arguments);
  va_end(arguments);
  size_t length = (size_t)used + (size_t)(more > 0 ? more : 0);
  if (length > sizeof line - 2)
    length = sizeof line - 2;
  line[length++] = '\n';
  fwrite(line, 1, length, stderr);
}
