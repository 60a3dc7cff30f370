#include "train/signals.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t received;

static void note(int number) {
  if (received == 0)
    received = number;
}

void titan_signals_watch(void) {
  struct sigaction action = {.sa_handler = note, .sa_flags = SA_RESTART};
  sigemptyset(&action.sa_mask);
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGUSR1, &action, NULL);
  action.sa_handler = SIG_IGN;
  sigaction(SIGXFSZ, &action, NULL);
}

int titan_signals_received(void) {
  return received;
}

const char *titan_signals_name(void) {
  return received == SIGTERM ? "SIGTERM" : received == SIGUSR1 ? "SIGUSR1" : "a signal";
}
