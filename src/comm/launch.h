// SPDX-License-Identifier: Apache-2.0
// What the environment says about how this process was started: by which launcher, as which of how many tasks.
#ifndef TITAN_COMM_LAUNCH_H
#define TITAN_COMM_LAUNCH_H

#include "base/status.h"

typedef struct titan_launch {
  const char *launcher; // static: "Open MPI's mpirun", "srun of SLURM"; NULL: this process was started alone
  int tasks;            // that were started together, as far as the environment tells; at least 1
  int task;             // number of this one
  bool tasks_are_known; // false: their number was concluded from the number of this one
} titan_launch;

// Not collective. Reads the environment alone, so it works before MPI begins. The innermost launcher counts: SLURM's
// variables are those of the allocation, too, in a batch script and in a shell of salloc, and say nothing where another
// launcher's are set.
titan_launch titan_launch_find(void);

// Whether nothing in the environment tells several tasks of srun how to find each other, as with --mpi=none. An MPI
// library that knows SLURM's first PMI finds them all the same.
bool titan_launch_has_no_pmi(const titan_launch *launch);

// TITAN_ERROR_USAGE where the environment says that more tasks were started together than the MPI library sees in its
// world of `size` ranks: without this, each of them would run alone. The message names the ways out.
titan_status titan_launch_check(const titan_launch *launch, int size);

#endif
