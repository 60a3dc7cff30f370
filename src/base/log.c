// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include "base/text.h"

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
static bool log_json;

// Changed with the mutex held.
static pthread_mutex_t watch_mutex = PTHREAD_MUTEX_INITIALIZER;
static titan_log_level watch_level;
static void (*watch)(void *context, const char *text);
static void *watch_context;

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

int titan_log_rank(void) {
  return log_rank;
}

static const char *const level_names[] = {"DEBUG", "INFO", "WARNING", "ERROR"};

static size_t format_prefix(titan_log_level level, char *line, size_t size) {
  struct timespec now;
  struct tm local;
  char when[32];
  clock_gettime(CLOCK_REALTIME, &now);
  localtime_r(&now.tv_sec, &local);
  strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &local);
  return (size_t)snprintf(line, size, "[rank%d]:%s,%03ld - root - %s - ", log_rank, when, now.tv_nsec / 1000000,
                          level_names[level]);
}

// --- JSON ---

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

// One line without its newline. `text` is escaped into what is left of it.
static size_t format_json(titan_log_level level, const char *members, const char *text, char *line, size_t size) {
  static const char *const names[] = {"debug", "info", "warning", "error"};
  struct timespec now;
  struct tm local;
  char when[32], zone[16];
  clock_gettime(CLOCK_REALTIME, &now);
  localtime_r(&now.tv_sec, &local);
  strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &local);
  strftime(zone, sizeof zone, "%z", &local);
  size_t more = members != NULL ? strlen(members) + 2 : 0;
  size_t used =
      (size_t)snprintf(line, size, "{\"time\": \"%s.%03ld%s\", \"rank\": %d, \"level\": \"%s\", \"message\": \"", when,
                       now.tv_nsec / 1000000, zone, log_rank, names[level]);
  if (used + more + 64 > size) // members that do not fit are left out
    members = NULL, more = 0;
  used += titan_text_escape(text, line + used, size - used - more - 4);
  return used + (size_t)snprintf(line + used, size - used, "\"%s%s}", more > 0 ? ", " : "", more > 0 ? members : "");
}

// One line with its newline, as much as fits; returns its length.
static size_t format_line(titan_log_level level, const char *members, const char *text, char *line, size_t size) {
  size_t length;
  if (log_json) {
    length = format_json(level, members, text, line, size - 1);
  } else {
    length = format_prefix(level, line, size);
    int more = snprintf(line + length, size - length - 1, "%s", text);
    length += (size_t)(more > 0 ? more : 0);
  }
  if (length > size - 2)
    length = size - 2;
  line[length++] = '\n';
  return length;
}

// --- the file ---

// A line about the file itself, with the mutex held. Returns its length.
static size_t say_of_file(const char *format, const char *reason, char *line, size_t size) {
  char text[PATH_BYTES + 256];
  snprintf(text, sizeof text, format, file_path, reason);
  size_t length = format_line(TITAN_LOG_WARNING, NULL, text, line, size);
  fwrite(line, 1, length, stderr);
  return length;
}

// The descriptor of the regular file at the path, to which lines are added; -1 with errno.
static int open_file(const char *path) {
  struct stat information;
  int descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0666);
  if (descriptor < 0 || (fstat(descriptor, &information) == 0 && S_ISREG(information.st_mode)))
    return descriptor;
  close(descriptor);
  errno = EINVAL;
  return -1;
}

// Where the file has been moved or removed, lines go on in a new one at its place. 0, or the reason why there is none.
static int follow_path(void) {
  struct stat mine, there;
  char line[2 * PATH_BYTES + 1024];
  if (fstat(file_descriptor, &mine) != 0 ||
      (stat(file_path, &there) == 0 && there.st_ino == mine.st_ino && there.st_dev == mine.st_dev))
    return 0;
  int descriptor = open_file(file_path);
  if (descriptor < 0)
    return errno;
  close(file_descriptor);
  file_descriptor = descriptor;
  file_has_failed = false;
  size_t length = say_of_file("%s was moved or removed; the log continues in a new file%s", "", line, sizeof line);
  (void)!write(file_descriptor, line, length);
  return 0;
}

static void write_to_file(const char *bytes, size_t count) {
  char line[2 * PATH_BYTES + 1024];
  int reason = follow_path();
  ssize_t written = write(file_descriptor, bytes, count);
  if (reason == 0 && written != (ssize_t)count)
    reason = written < 0 ? errno : ENOSPC;
  if (reason == 0 || file_has_failed)
    return;
  file_has_failed = true;
  say_of_file("lines of this log are missing in %s: %s", strerror(reason), line, sizeof line);
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
  titan_log_close();
  int descriptor = open_file(path);
  if (descriptor < 0)
    return titan_error(TITAN_ERROR_OUTPUT, "cannot write %s: %s", path,
                       errno == EINVAL ? "it is not a regular file" : strerror(errno));
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
  static char line[4 * LINE_BYTES]; // used with the mutex held
  pthread_mutex_lock(&file_mutex);
  if (file_descriptor >= 0 && log_json)
    write_to_file(line, format_line(TITAN_LOG_INFO, NULL, text, line, sizeof line));
  else if (file_descriptor >= 0)
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

void titan_log_set_json(bool json) {
  log_json = json;
}

void titan_log_watch(titan_log_level level, void (*watcher)(void *context, const char *text), void *context) {
  pthread_mutex_lock(&watch_mutex);
  watch_level = level;
  watch = watcher;
  watch_context = context;
  pthread_mutex_unlock(&watch_mutex);
}

static void write_line(titan_log_level level, const char *members, const char *text) {
  char line[LINE_BYTES];
  size_t length = format_line(level, members, text, line, sizeof line);
  fwrite(line, 1, length, stderr);
  keep_in_file(line, length);
  pthread_mutex_lock(&watch_mutex);
  if (watch != NULL && level >= watch_level)
    watch(watch_context, text);
  pthread_mutex_unlock(&watch_mutex);
}

void titan_log_event(titan_log_level level, const char *members, const char *format, ...) {
  if (!titan_log_enabled(level))
    return;
  char text[LINE_BYTES];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  write_line(level, members, text);
}
