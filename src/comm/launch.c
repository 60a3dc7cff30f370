// SPDX-License-Identifier: Apache-2.0
#include "comm/launch.h"

#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Launchers by the variables that each sets for its tasks, inner ones first: another launcher may have been started by
// SLURM, but not the other way round. size: the number of tasks; local_size: of those on this node, for where the
// former is not told; NULL: there is none. PALS sets PMI_SIZE too, unless its tasks are to use another PMI.
typedef struct launcher_row {
  const char *name, *size, *local_size, *rank;
  const char *way_out;
} launcher_row;

static const launcher_row launchers[] = {
    {"Open MPI's mpirun", "OMPI_COMM_WORLD_SIZE", NULL, "OMPI_COMM_WORLD_RANK",
     "start it with the mpirun of the MPI library that titan-hpc was built with"},
    {"MVAPICH2's launcher", "MV2_COMM_WORLD_SIZE", NULL, "MV2_COMM_WORLD_RANK",
     "start it with the launcher of the MPI library that titan-hpc was built with"},
    {"jsrun", "JSM_NAMESPACE_SIZE", NULL, "JSM_NAMESPACE_RANK",
     "start it with the launcher of the MPI library that titan-hpc was built with"},
    {"Flux", "FLUX_JOB_SIZE", NULL, "FLUX_TASK_RANK",
     "start it with flux run -o mpi=..., or with the mpirun of the MPI library that titan-hpc was built with"},
    {"PALS", "PMI_SIZE", "PALS_LOCAL_SIZE", "PALS_RANKID",
     "start it with mpiexec --pmi=pmix where the MPI library wants PMIx, or with that library's own mpirun"},
    {"PMI's launcher", "PMI_SIZE", NULL, "PMI_RANK",
     "start it with the mpirun of the MPI library that titan-hpc was built with (srun: --mpi=pmix)"},
};

static const launcher_row slurm = {"srun of SLURM", "SLURM_STEP_NUM_TASKS", NULL, "SLURM_PROCID",
                                   "use srun --mpi=pmix (srun --mpi=list shows what this SLURM has), or mpirun in "
                                   "place of srun; one rank alone starts "
                                   "with srun --ntasks=1"};

// Of SLURM too, which knows the number of tasks.
static const launcher_row pmix = {
    "PMIx's launcher", NULL, NULL, "PMIX_RANK",
    "start it with the mpirun of the MPI library that titan-hpc was built with (srun: another --mpi, see srun "
    "--mpi=list)"};

// A number of at least `least`, or -1.
static int read_variable(const char *name, int least) {
  const char *text = name != NULL ? getenv(name) : NULL;
  char *end;
  if (text == NULL || *text == '\0')
    return -1;
  long value = strtol(text, &end, 10);
  return *end == '\0' && value >= least && value < INT_MAX ? (int)value : -1;
}

static titan_launch launch_of(const launcher_row *row, int size, int local_size, int rank) {
  titan_launch launch = {.launcher = row->name,
                         .tasks = size > 0 ? size : local_size,
                         .task = rank > 0 ? rank : 0,
                         .tasks_are_known = size > 0};
  if (launch.tasks <= launch.task) {
    launch.tasks = launch.task + 1; // there are at least so many
    launch.tasks_are_known = false;
  }
  return launch;
}

// srun tells the number of its own tasks. Without that, as in a batch script or a shell of salloc, SLURM_NTASKS is the
// allocation's, and this process is task 0; only a higher number shows that srun started several.
static titan_launch slurm_launch(void) {
  int step_tasks = read_variable(slurm.size, 1), task = read_variable(slurm.rank, 0);
  if (step_tasks > 0)
    return launch_of(&slurm, step_tasks, -1, task);
  if (task < 1)
    return (titan_launch){.tasks = 1};
  titan_launch launch = launch_of(&slurm, read_variable("SLURM_NTASKS", 1), -1, task);
  launch.tasks_are_known = false;
  return launch;
}

bool titan_launch_has_no_pmi(const titan_launch *launch) {
  bool alone = launch->launcher == slurm.name && launch->tasks > 1 && launch->tasks_are_known;
  for (char **variable = environ; alone && *variable != NULL; variable++)
    alone = strncmp(*variable, "PMI_", 4) != 0 && strncmp(*variable, "PMIX_", 5) != 0;
  return alone;
}

titan_launch titan_launch_find(void) {
  for (size_t i = 0; i < sizeof launchers / sizeof *launchers; i++) {
    int size = read_variable(launchers[i].size, 1), rank = read_variable(launchers[i].rank, 0);
    int local_size = read_variable(launchers[i].local_size, 1);
    bool is_shared = launchers[i].local_size != NULL; // then `size` alone may be another launcher's
    if ((size <= 0 || is_shared) && local_size <= 0 && rank < 0)
      continue;
    titan_launch launch = launch_of(&launchers[i], size, local_size, rank), outer = slurm_launch();
    bool is_told = size > 0 || local_size > 0; // else SLURM, where it started these tasks, may tell
    return is_told || outer.tasks <= launch.tasks ? launch : outer;
  }
  titan_launch launch = slurm_launch();
  int rank = read_variable(pmix.rank, 0);
  return launch.launcher == NULL && rank >= 0 ? launch_of(&pmix, -1, -1, rank) : launch;
}

static const char *way_out_of(const titan_launch *launch) {
  for (size_t i = 0; i < sizeof launchers / sizeof *launchers; i++)
    if (launchers[i].name == launch->launcher)
      return launchers[i].way_out;
  return launch->launcher == pmix.name ? pmix.way_out : slurm.way_out;
}

titan_status titan_launch_check(const titan_launch *launch, int size) {
  // A daemon of another launcher that srun started hands SLURM's variables to its ranks: there a world of several ranks
  // is right whatever they say.
  bool is_slurm = launch->launcher == slurm.name;
  if (launch->tasks <= size || (is_slurm && size > 1))
    return TITAN_OK;
  return titan_error(TITAN_ERROR_USAGE,
                     "%s started %s%d tasks, of which this is number %d, but the MPI library sees %d rank%s: each task "
                     "would train alone; %s",
                     launch->launcher, launch->tasks_are_known ? "" : "at least ", launch->tasks, launch->task, size,
                     size == 1 ? "" : "s", way_out_of(launch));
}
