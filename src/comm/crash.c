// SPDX-License-Identifier: Apache-2.0
#include "comm/crash.h"

#include "comm/recorder.h"
#include "comm/stack.h"

#include <execinfo.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { STACK_BYTES = 64 * 1024, MOST_FRAMES = 64 };

static const struct {
  int number;
  const char *name;
} crashes[] = {
    {SIGSEGV, "SIGSEGV"}, {SIGBUS, "SIGBUS"}, {SIGILL, "SIGILL"}, {SIGFPE, "SIGFPE"}, {SIGABRT, "SIGABRT"},
};
enum { CRASHES = sizeof crashes / sizeof *crashes };

#if defined(__SANITIZE_ADDRESS__)
static const bool is_sanitized = true;
#else
static const bool is_sanitized = false;
#endif

static int crash_rank;

static void write_all(const char *bytes, size_t count) {
  while (count > 0) {
    ssize_t written = write(STDERR_FILENO, bytes, count);
    if (written <= 0)
      return;
    bytes += written;
    count -= (size_t)written;
  }
}

// snprintf with numbers and texts allocates nothing here and below, so that a broken heap does not matter.
static int describe_whereabouts(const titan_whereabouts *where, char *text, size_t size) {
  const titan_record *operation = &where->operation;
  char step[32] = "", wait[192] = "";
  if (where->step >= 0)
    snprintf(step, sizeof step, ", step %" PRId64, where->step);
  if (operation->operation[0] != '\0')
    snprintf(wait, sizeof wait, "; %s %s #%" PRIu64 " of group %s",
             where->waits ? "it waits for" : "it waited last for", operation->operation, operation->sequence,
             operation->group);
  return snprintf(text, size, ", in %s%s%s%s%s", where->phase, step, where->action[0] != '\0' ? ", " : "",
                  where->action, wait);
}

static void describe(int number, char *text, size_t size) {
  titan_whereabouts where;
  char host[64] = "unknown";
  const char *name = "a signal";
  for (int i = 0; i < CRASHES; i++)
    if (crashes[i].number == number)
      name = crashes[i].name;
  gethostname(host, sizeof host - 1);
  int used =
      snprintf(text, size, "[rank%d]: crashed by %s on host %s, process %ld", crash_rank, name, host, (long)getpid());
  size_t length = (size_t)used;
  if (titan_recorder_try_whereabouts(&where))
    length += (size_t)describe_whereabouts(&where, text + length, size - length);
  snprintf(text + length, size - length, ". Where it was:\n");
}

static void handle(int number) {
  char text[1024];
  void *frames[MOST_FRAMES];
  describe(number, text, sizeof text);
  write_all(text, strlen(text));
  backtrace_symbols_fd(frames, backtrace(frames, MOST_FRAMES), STDERR_FILENO);
  raise(number); // the default has been set again; it ends the process when the handler returns
}

void titan_crash_watch(int rank) {
  static _Alignas(64) char stack[STACK_BYTES]; // a stack that has overflowed is none
  stack_t other = {.ss_sp = stack, .ss_size = sizeof stack};
  void *frame[1];
  if (is_sanitized)
    return;
  crash_rank = rank;
  backtrace(frame, 1); // loads what it needs now
  sigaltstack(&other, NULL);
  for (int i = 0; i < CRASHES; i++) {
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_ONSTACK | (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    sigaction(crashes[i].number, &action, NULL);
  }
  titan_stack_watch();
}
