// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LINE_BYTES = 20000, EARLY_BYTES = 65536, PATH_BYTES = 4096 };

static int log_rank = 0;
static titan_log_level log_level = TITAN_LOG_INFO;

// The file, and the lines that were there before it. Changed with the mutex held.
static pthread_mutex_t file_mutex = PTHREAD_MUTEX_INITIALIZER;
static int file_descriptor = -1;
static bool file_has_failed;
static char file_path[PATH_BYTES];
static char early[EARLY_BYTES];
static size_t early_length;

void titan_log_configure(int rank, titan_log_level level) {
  log_rank = rank;
  log_level = level;
}

bool titan_log_enabled(titan_log_level level) {
  return level >= log_level;
}

static size_t format_prefix(titan_log_level level, char *line, size_t size) {
  static const char *const names[] = {"DEBUG", "INFO", "WARNING", "ERROR"};
  struct timespec now;
  struct tm local;
  char when[32];
  clock_gettime(CLOCK_REALTIME, &now);
  localtime_r(&now.tv_sec, &local);
  strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &local);
  return (size_t)snprintf(line, size, "[rank%d]:%s,%03ld - root - %s - ", log_rank, when, now.tv_nsec / 1000000,
                          names[level]);
}

// --- the file ---

// Takes colours (ESC [ numbers m) out.
static size_t remove_colors(const char *line, size_t length, char *plain) {
  size_t count = 0;
  for (size_t i = 0; i < length; i++) {
    size_t end = i + 2;
    if (line[i] == '\033' && end < length && line[i + 1] == '[') {
      while (end < length && strchr("0123456789;", line[end]) != NULL)
        end++;
      if (end < length && line[end] == 'm') {
        i = end;
        continue;
      }
    }
    plain[count++] = line[i];
  }
  return count;
}

static void write_to_file(const char *bytes, size_t count) {
  ssize_t written = write(file_descriptor, bytes, count);
  if (written == (ssize_t)count || file_has_failed)
    return;
  file_has_failed = true;
  char line[PATH_BYTES + 256];
  size_t used = format_prefix(TITAN_LOG_WARNING, line, sizeof line);
  int more = snprintf(line + used, sizeof line - used, "lines of this log are missing in %s: %s\n", file_path,
                      strerror(written < 0 ? errno : ENOSPC));
  fwrite(line, 1, used + (size_t)more, stderr);
}

static void keep_in_file(const char *line, size_t length) {
  char plain[LINE_BYTES];
  size_t count = remove_colors(line, length, plain);
  pthread_mutex_lock(&file_mutex);
  if (file_descriptor >= 0) {
    write_to_file(plain, count);
  } else if (early_length + count <= EARLY_BYTES) {
    memcpy(early + early_length, plain, count);
    early_length += count;
  }
  pthread_mutex_unlock(&file_mutex);
}

titan_status titan_log_open(const char *path) {
  struct stat information;
  titan_log_close();
  int descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0666);
  if (descriptor < 0)
    return titan_error(TITAN_ERROR_OUTPUT, "cannot write %s: %s", path, strerror(errno));
  if (fstat(descriptor, &information) != 0 || !S_ISREG(information.st_mode)) {
    close(descriptor);
    return titan_error(TITAN_ERROR_OUTPUT, "cannot write %s: it is no regular file", path);
  }
  pthread_mutex_lock(&file_mutex);
  file_descriptor = descriptor;
  file_has_failed = false;
  snprintf(file_path, sizeof file_path, "%s", path);
  if (early_length > 0)
    write_to_file(early, early_length);
  early_length = 0;
  pthread_mutex_unlock(&file_mutex);
  return TITAN_OK;
}

void titan_log_text(const char *text) {
  pthread_mutex_lock(&file_mutex);
  if (file_descriptor >= 0)
    write_to_file(text, strlen(text));
  pthread_mutex_unlock(&file_mutex);
}

void titan_log_close(void) {
  pthread_mutex_lock(&file_mutex);
  if (file_descriptor >= 0)
    close(file_descriptor);
  file_descriptor = -1;
  pthread_mutex_unlock(&file_mutex);
}

// --- lines ---

void titan_log(titan_log_level level, const char *format, ...) {
  if (!titan_log_enabled(level))
    return;
  char line[LINE_BYTES];
  size_t used = format_prefix(level, line, sizeof line);
  va_list arguments;
  va_start(arguments, format);
  int more = vsnprintf(line + used, sizeof line - used - 1, format, arguments);
  va_end(arguments);
  size_t length = used + (size_t)(more > 0 ? more : 0);
  if (length > sizeof line - 2)
    length = sizeof line - 2;
  line[length++] = '\n';
  fwrite(line, 1, length, stderr);
  keep_in_file(line, length);
}
