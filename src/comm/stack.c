// SPDX-License-Identifier: Apache-2.0
#include "comm/stack.h"

#include "comm/recorder.h"
#include "comm/recorder_private.h"

#include <execinfo.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

// OWN: the handler, and the frame that the system makes for it.
enum {
  MOST_FRAMES = 32,
  OWN = 2,
  SIGNAL_STACK_BYTES = 64 * 1024,
  WAITS = 100,
  WAIT_MICROSECONDS = 10000,
  MOST_HELD = 1000
};

static long watched_thread;      // of the system; 0: none
static atomic_long aside_thread; // beside it; 0: there is none
static bool is_watching;
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static void *frames[MOST_FRAMES];
static atomic_int frame_count; // -1: asked for
static atomic_bool hold;       // the thread is to stay where it is
static atomic_bool is_held;    // it does, and `frames` are its stack

static int number_of_signal(void) {
  return SIGRTMIN + 7;
}

// A call that sleeps ends when a signal comes; so that the thread stays where it is, the handler sleeps in its place.
// Not where other threads would wait for the recorder.
static void write_down(int number) {
  const struct timespec look = {.tv_nsec = 10000000};
  titan_whereabouts where;
  (void)number;
  if (atomic_load(&frame_count) >= 0)
    return;
  bool holds = atomic_load(&hold) && titan_recorder_try_whereabouts(&where);
  atomic_store(&is_held, holds);
  atomic_store(&frame_count, backtrace(frames, MOST_FRAMES));
  for (int i = 0; holds && i < MOST_HELD; i++)
    nanosleep(&look, NULL);
  atomic_store(&is_held, false);
}

void titan_stack_watch(void) {
  static _Alignas(64) char stack[SIGNAL_STACK_BYTES];
  stack_t present = {0}, other = {.ss_sp = stack, .ss_size = sizeof stack};
#if defined(__SANITIZE_ADDRESS__)
  return;
#endif
  struct sigaction action = {.sa_handler = write_down, .sa_flags = SA_ONSTACK | SA_RESTART};
  void *frame[1];
  backtrace(frame, 1); // loads what it needs now
  if (sigaltstack(NULL, &present) != 0 || ((present.ss_flags & SS_DISABLE) != 0 && sigaltstack(&other, NULL) != 0))
    return; // the thread may be in a product, whose stack register is none
  sigemptyset(&action.sa_mask);
  watched_thread = syscall(SYS_gettid);
  is_watching = sigaction(number_of_signal(), &action, NULL) == 0;
}

void titan_stack_watch_aside(bool begins) {
  sigset_t asking;
  if (syscall(SYS_gettid) == watched_thread)
    return;
  sigemptyset(&asking);
  sigaddset(&asking, number_of_signal());
  if (is_watching)
    pthread_sigmask(begins ? SIG_UNBLOCK : SIG_BLOCK, &asking, NULL);
  atomic_store(&aside_thread, begins ? syscall(SYS_gettid) : 0);
}

// --- as text ---

// "titan_gather_wait+0x1f" of "build/titan-hpc(titan_gather_wait+0x1f) [0x55..]"; without a name, the file and the
// offset.
static void shorten(char *line) {
  char *open = strrchr(line, '('), *close = open != NULL ? strchr(open, ')') : NULL;
  if (close == NULL)
    return;
  *close = '\0';
  if (open[1] != '+') {
    memmove(line, open + 1, strlen(open + 1) + 1);
    return;
  }
  *open = '\0';
  const char *slash = strrchr(line, '/'), *file = slash != NULL ? slash + 1 : line;
  size_t length = strlen(file);
  memmove(line, file, length);
  memmove(line + length, open + 1, strlen(open + 1) + 1);
}

// (backtrace_symbols would allocate, which the thread that hangs may be in the middle of.)
static void print_frames(int count, char *text, size_t size) {
  char line[512];
  size_t length = 0;
  int descriptor = (int)syscall(SYS_memfd_create, "stack", 0U);
  FILE *file = descriptor >= 0 ? fdopen(descriptor, "r+") : NULL;
  if (file == NULL) {
    if (descriptor >= 0)
      close(descriptor);
    return;
  }
  backtrace_symbols_fd(frames + OWN, count - OWN, descriptor);
  rewind(file);
  while (fgets(line, sizeof line, file) != NULL) {
    shorten(line);
    line[strcspn(line, "\n")] = '\0';
    size_t needed = strlen(line) + (length > 0 ? 3 : 0);
    if (length + needed >= size)
      break;
    length += (size_t)snprintf(text + length, size - length, "%s%s", length > 0 ? " < " : "", line);
  }
  fclose(file);
}

static bool read_line(const char *path, char *line, int size) {
  FILE *file = fopen(path, "r");
  bool good = file != NULL && fgets(line, size, file) != NULL;
  if (file != NULL)
    fclose(file);
  if (good)
    line[strcspn(line, "\n")] = '\0';
  return good;
}

static char state_in(const char *path) { // of a file "stat"; 0: not known
  char line[512];
  const char *name_end = read_line(path, line, sizeof line) ? strrchr(line, ')') : NULL;
  return name_end != NULL && name_end[1] == ' ' ? name_end[2] : '\0';
}

static void print_state(long thread, char *text, size_t size) {
  char path[64], place[64] = "";
  snprintf(path, sizeof path, "/proc/self/task/%ld/stat", thread);
  char state = state_in(path);
  snprintf(path, sizeof path, "/proc/self/task/%ld/wchan", thread);
  bool known = read_line(path, place, sizeof place) && strcmp(place, "0") != 0 && place[0] != '\0';
  snprintf(text, size, "no reaction to a signal; state %c%s%s", state != '\0' ? state : '?', known ? ", in " : "",
           known ? place : "");
}

// The number of frames; -1: the thread has not reacted.
static int ask(long thread, bool holds) {
  atomic_store(&hold, holds);
  atomic_store(&frame_count, -1);
  int wait = syscall(SYS_tgkill, getpid(), thread, number_of_signal()) == 0 ? 0 : WAITS;
  for (; wait < WAITS && atomic_load(&frame_count) < 0; wait++)
    usleep(WAIT_MICROSECONDS);
  int nothing = -1;
  return atomic_compare_exchange_strong(&frame_count, &nothing, 0) ? -1 : nothing;
}

void titan_stack_take(bool holds, char *text, size_t size) {
  text[0] = '\0';
  if (!is_watching)
    return;
  long thread = titan_recorder_awaits_aside() ? atomic_load(&aside_thread) : 0;
  if (thread == 0)
    thread = watched_thread;
  pthread_mutex_lock(&one_at_a_time);
  int count = atomic_load(&is_held) ? atomic_load(&frame_count) : ask(thread, holds);
  if (count > OWN)
    print_frames(count, text, size);
  else if (count < 0)
    print_state(thread, text, size);
  pthread_mutex_unlock(&one_at_a_time);
}

const char *titan_stack_state_of(int process) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d", process);
  if (access("/proc/self", F_OK) != 0)
    return "";
  if (access(path, F_OK) != 0)
    return "there is no such process";
  snprintf(path, sizeof path, "/proc/%d/stat", process);
  switch (state_in(path)) {
  case 'T':
    return "its process is stopped";
  case 't':
    return "a debugger has stopped its process";
  case 'D':
    return "its process waits for a device or a file system";
  case 'Z':
  case 'X':
    return "its process has ended";
  default:
    return "";
  }
}
