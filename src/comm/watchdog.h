// SPDX-License-Identifier: Apache-2.0
// The watchdog: two threads of each process see when this rank has waited too long for an operation, and ask the other
// ranks over TCP, which needs no collective, where they are. Then the lowest rank that answers tells which rank is
// late and where it is, every rank writes its flight recorder, and all end with the exit code of
// TITAN_ERROR_COMMUNICATION.
#ifndef TITAN_COMM_WATCHDOG_H
#define TITAN_COMM_WATCHDOG_H

#include "comm/comm.h"

typedef struct titan_watchdog titan_watchdog;

typedef struct titan_watchdog_options {
  double timeout;     // seconds that a rank may wait for an operation
  const char *option; // that gives it, for messages: "comm.init_timeout_seconds = 300"
  const char *folder; // where rank_<r>.json is written
} titan_watchdog_options;

// Collective over world, which has been created with this process's MPI_COMM_WORLD. Texts are copied. In a world of one
// rank it does nothing. The processes' signals are blocked in the threads, as far as they are in the caller.
// TITAN_ERROR_COMMUNICATION where there is no socket to be had, TITAN_ERROR_DEVICE where there is no thread.
titan_status titan_watchdog_create(titan_comm *world, const titan_watchdog_options *options, titan_watchdog **out);
// Not collective. From now on another time is allowed.
void titan_watchdog_set_timeout(titan_watchdog *watchdog, double seconds, const char *option);
// Not collective: the others may be watching still. NULL is fine; clears *watchdog.
void titan_watchdog_destroy(titan_watchdog **watchdog);

#endif
