// SPDX-License-Identifier: Apache-2.0
#include "storage/marker.h"

#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINE_BYTES = 512, ATTEMPTS = 300, PAUSE_MICROSECONDS = 10000 };

// A process, told apart from every other one that there has been: `start` is in the kernel's ticks since the boot.
typedef struct holder {
  char host[72], boot[48], space[48]; // of its host; the space that its number counts in
  long process;
  unsigned long long start;
} holder;

typedef enum state { ALIVE, DEAD, ELSEWHERE } state;

// --- processes ---

static void first_word(const char *path, char *out, size_t bytes) {
  FILE *file = fopen(path, "r");
  if (file == NULL || fgets(out, (int)bytes, file) == NULL)
    snprintf(out, bytes, "?");
  out[strcspn(out, " \n")] = '\0';
  if (file != NULL)
    fclose(file);
}

// 0 when there is no such process.
static unsigned long long start_of(long process) {
  char path[64], line[1024] = "";
  unsigned long long start = 0;
  snprintf(path, sizeof path, "/proc/%ld/stat", process);
  FILE *file = fopen(path, "r");
  if (file == NULL)
    return 0;
  size_t count = fread(line, 1, sizeof line - 1, file);
  fclose(file);
  line[count] = '\0';
  const char *name_end = strrchr(line, ')'); // the name before it may hold anything; the start is the 20th word behind
  const char *at = name_end == NULL ? NULL : name_end + 1;
  for (int word = 1; at != NULL && word < 20; word++)
    at = strchr(at + 1, ' ');
  return at != NULL && sscanf(at, "%llu", &start) == 1 ? start : 0;
}

static holder this_process(void) {
  holder out = {.process = (long)getpid(), .start = start_of((long)getpid())};
  if (gethostname(out.host, sizeof out.host - 1) != 0 || out.host[0] == '\0')
    snprintf(out.host, sizeof out.host, "?");
  first_word("/proc/sys/kernel/random/boot_id", out.boot, sizeof out.boot);
  ssize_t count = readlink("/proc/self/ns/pid", out.space, sizeof out.space - 1);
  snprintf(out.space + (count > 0 ? count : 0), sizeof out.space - (size_t)(count > 0 ? count : 0), "%s",
           count > 0 ? "" : "?");
  return out;
}

static state state_of(const holder *other, const holder *mine) {
  if (strcmp(other->host, mine->host) != 0)
    return ELSEWHERE;
  if (strcmp(other->boot, mine->boot) != 0)
    return DEAD;
  if (strcmp(other->space, mine->space) != 0)
    return ELSEWHERE; // a container of this host
  return start_of(other->process) == other->start ? ALIVE : DEAD;
}

// --- the file ---

static void print(const holder *h, char *line) {
  snprintf(line, LINE_BYTES, "host %s boot %s space %s process %ld start %llu\n", h->host, h->boot, h->space,
           h->process, h->start);
}

// False where there is no file, or it is not whole.
static bool read_holder(const char *path, holder *out) {
  char line[LINE_BYTES] = "";
  int descriptor = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t count = descriptor < 0 ? -1 : read(descriptor, line, sizeof line - 1);
  if (descriptor >= 0)
    close(descriptor);
  *out = (holder){0};
  return count > 0 && line[count - 1] == '\n' &&
         sscanf(line, "host %71s boot %47s space %47s process %ld start %llu", out->host, out->boot, out->space,
                &out->process, &out->start) == 5;
}

static bool is_same(const holder *a, const holder *b) {
  char x[LINE_BYTES], y[LINE_BYTES];
  print(a, x);
  print(b, y);
  return strcmp(x, y) == 0;
}

static titan_status cannot_write(const char *path) {
  return titan_error(TITAN_ERROR_OUTPUT, "cannot write %s: %s", path, strerror(errno));
}

// False with errno.
static bool make_file(const char *path, const holder *mine) {
  char line[LINE_BYTES];
  print(mine, line);
  int descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (descriptor < 0)
    return false;
  bool good = write(descriptor, line, strlen(line)) == (ssize_t)strlen(line);
  return close(descriptor) == 0 && good;
}

static titan_status write_own(const char *path, const holder *mine) {
  unlink(path); // of a dead process with this one's number
  return make_file(path, mine) ? TITAN_OK : cannot_write(path);
}

// Gives `own` its second name; a network file system may have done it and lost the answer. Where files have one name
// only, the file itself is made.
static bool link_to(const char *own, const char *path, const holder *mine) {
  struct stat information, named;
  if (link(own, path) == 0)
    return true;
  int reason = errno;
  if (stat(own, &information) == 0 && stat(path, &named) == 0 && information.st_ino == named.st_ino &&
      information.st_dev == named.st_dev)
    return true;
  errno = reason;
  return (errno == EPERM || errno == ENOSYS || errno == EOPNOTSUPP) && make_file(path, mine);
}

// One process at a time removes the file of a dead one, and looks at it once more before: by then it may be another's.
static void remove_dead(const char *path, const char *own, const char *turn, const holder *mine) {
  holder other;
  if (!link_to(own, turn, mine)) {
    if (read_holder(turn, &other) && state_of(&other, mine) == DEAD)
      unlink(turn);
    usleep(PAUSE_MICROSECONDS);
    return;
  }
  if (read_holder(path, &other) && state_of(&other, mine) == DEAD)
    unlink(path);
  unlink(turn);
}

static titan_status elsewhere(const char *path, const holder *other) {
  return titan_error(TITAN_ERROR_OUTPUT,
                     "another run may be writing to this folder: process %ld on host %s uses it, and this host cannot "
                     "check that process; if that run is over, remove %s",
                     other->process, other->host, path);
}

static titan_status take(const char *path, const char *own, const char *turn, const holder *mine, bool *held) {
  for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
    holder other;
    if (link_to(own, path, mine))
      return TITAN_OK;
    if (errno != EEXIST)
      return cannot_write(path);
    if (!read_holder(path, &other)) {
      usleep(PAUSE_MICROSECONDS); // gone meanwhile, or being written
      continue;
    }
    state now = state_of(&other, mine);
    if (now == ELSEWHERE)
      return elsewhere(path, &other);
    *held = now == ALIVE;
    if (*held)
      return TITAN_OK;
    remove_dead(path, own, turn, mine);
  }
  return titan_error(TITAN_ERROR_OUTPUT,
                     "cannot determine who is writing to this folder: %s does not name a process; if no run uses the "
                     "folder, remove it",
                     path);
}

titan_status titan_marker_take(const char *path, bool *held) {
  titan_text own = {0}, turn = {0};
  holder mine = this_process();
  *held = false;
  titan_status status = titan_text_printf(&own, "%s.%s.%ld", path, mine.host, mine.process);
  if (status == TITAN_OK)
    status = titan_text_printf(&turn, "%s.turn", path);
  if (status == TITAN_OK)
    status = write_own(own.data, &mine);
  if (status == TITAN_OK) {
    status = take(path, own.data, turn.data, &mine, held);
    unlink(own.data);
  }
  titan_text_destroy(&own);
  titan_text_destroy(&turn);
  return status;
}

void titan_marker_release(const char *path) {
  holder mine = this_process(), other;
  if (read_holder(path, &other) && is_same(&mine, &other))
    unlink(path);
}
