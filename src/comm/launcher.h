// SPDX-License-Identifier: Apache-2.0
// What the process that started this rank says about the rank's binding.
#ifndef TITAN_COMM_LAUNCHER_H
#define TITAN_COMM_LAUNCHER_H

#include <sched.h>
#include <stdbool.h>

typedef struct titan_launcher {
  bool found;              // one of Open MPI's launchers is an ancestor of this process
  bool binding_is_default; // it bound this process without being asked to bind in some way
  cpu_set_t cpus;          // the launcher's own binding: what it was given (found only)
} titan_launcher;

// Not collective. Looks at the environment and at /proc.
titan_launcher titan_launcher_find(void);

#endif
