// SPDX-License-Identifier: Apache-2.0
#include "train/signals.h"

#include "base/clock.h"
#include "base/log.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

static const struct {
  const char *name;
  int number;
} endings[] = {
    {"SIGTERM", SIGTERM}, {"SIGUSR1", SIGUSR1}, {"SIGUSR2", SIGUSR2},
    {"SIGHUP", SIGHUP},   {"SIGXCPU", SIGXCPU}, {"SIGINT", SIGINT},
};
enum { ENDINGS = sizeof endings / sizeof *endings };

static pthread_t thread;
static bool has_begun;
static sigset_t taken; // those of the table that were not ignored at the start
static _Atomic(const char *) promised;
static atomic_bool watching;
static atomic_int received, noted; // the first; how many

static void find_taken(void) {
  sigemptyset(&taken);
  for (int i = 0; i < ENDINGS; i++) {
    struct sigaction present;
    if (sigaction(endings[i].number, NULL, &present) == 0 && present.sa_handler != SIG_IGN)
      sigaddset(&taken, endings[i].number);
  }
}

static void end_process(int number) {
  signal(number, SIG_DFL);
  pthread_sigmask(SIG_UNBLOCK, &taken, NULL);
  raise(number);
}

static void note(int number) {
  int none = 0;
  bool first = atomic_compare_exchange_strong(&received, &none, number);
  const char *promise = atomic_load(&promised);
  if (first && promise != NULL)
    titan_log_info("%s: %s%s", titan_signals_name(number), promise,
                   number == SIGINT ? "; a second one ends the run at once" : "");
  atomic_fetch_add(&noted, 1);
}

// A launcher may pass on the SIGINT that a terminal has sent to the process already: two at nearly the same time are
// one.
static const double one_press = 0.5; // seconds

static void *take_signals(void *unused) {
  (void)unused;
  double interrupted = -1; // when SIGINT came first
  for (int number; sigwait(&taken, &number) == 0;) {
    double now = titan_clock_seconds();
    bool again = number == SIGINT && interrupted >= 0 && now - interrupted >= one_press;
    if (!atomic_load(&watching) || again)
      end_process(number);
    if (number == SIGINT && interrupted < 0)
      interrupted = now;
    note(number);
  }
  return NULL;
}

titan_status titan_signals_begin(void) {
  find_taken();
  pthread_sigmask(SIG_BLOCK, &taken, NULL);
  signal(SIGPIPE, SIG_IGN);
  int code = pthread_create(&thread, NULL, take_signals, NULL);
  if (code != 0)
    return titan_error(TITAN_ERROR_DEVICE, "cannot create the thread that receives signals: %s", strerror(code));
  has_begun = true;
  return TITAN_OK;
}

void titan_signals_end(void) {
  if (!has_begun)
    return;
  pthread_cancel(thread);
  pthread_join(thread, NULL);
  has_begun = false;
}

void titan_signals_restore_pipe(void) {
  signal(SIGPIPE, SIG_DFL);
}

void titan_signals_watch(const char *promise) {
  atomic_store(&promised, promise);
  atomic_store(&watching, true);
  signal(SIGXFSZ, SIG_IGN);
}

void titan_signals_end_promise(void) {
  atomic_store(&promised, NULL);
}

int titan_signals_received(void) {
  return atomic_load(&received);
}

const char *titan_signals_name(int number) {
  for (int i = 0; i < ENDINGS; i++)
    if (endings[i].number == number)
      return endings[i].name;
  return "a signal";
}

int titan_signals_find(const char *name) {
  for (int i = 0; i < ENDINGS; i++)
    if (strcmp(endings[i].name + strlen("SIG"), name) == 0)
      return endings[i].number;
  return 0;
}

void titan_signals_raise(int number) {
  int before = atomic_load(&noted);
  if (sigismember(&taken, number) != 1)
    return;
  kill(getpid(), number);
  while (atomic_load(&noted) == before)
    usleep(1000);
}
