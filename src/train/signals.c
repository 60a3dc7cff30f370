#include "train/signals.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

static pthread_t thread;
static bool has_begun;
static atomic_bool watching;
static atomic_int received;

static sigset_t the_two(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGUSR1);
  return set;
}

static void end_process(int number) {
  sigset_t set = the_two();
  signal(number, SIG_DFL);
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
  raise(number);
}

static void *take_signals(void *unused) {
  sigset_t set = the_two();
  (void)unused;
  for (int number, none = 0; sigwait(&set, &number) == 0; none = 0) {
    if (!atomic_load(&watching))
      end_process(number);
    atomic_compare_exchange_strong(&received, &none, number);
  }
  return NULL;
}

titan_status titan_signals_begin(void) {
  sigset_t set = the_two();
  pthread_sigmask(SIG_BLOCK, &set, NULL);
  int code = pthread_create(&thread, NULL, take_signals, NULL);
  if (code != 0)
    return titan_error(TITAN_ERROR_DEVICE, "cannot create the thread that takes signals: %s", strerror(code));
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

void titan_signals_watch(void) {
  atomic_store(&watching, true);
  signal(SIGXFSZ, SIG_IGN);
}

int titan_signals_received(void) {
  return atomic_load(&received);
}

const char *titan_signals_name(void) {
  int number = titan_signals_received();
  return number == SIGTERM ? "SIGTERM" : number == SIGUSR1 ? "SIGUSR1" : "a signal";
}
