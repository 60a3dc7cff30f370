// SPDX-License-Identifier: Apache-2.0
// Property: the environment of a launcher, of a batch script and of a shell is told apart, and tasks that would each
// train alone are refused with a way out. Oracle: the variables that SLURM, Open MPI, hydra, PALS and Flux set, written
// out here.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four above first
#include <cmocka.h>

#include "comm/launch.h"
#include "leaks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const variables[] = {
    "OMPI_COMM_WORLD_SIZE",
    "OMPI_COMM_WORLD_RANK",
    "MV2_COMM_WORLD_SIZE",
    "MV2_COMM_WORLD_RANK",
    "JSM_NAMESPACE_SIZE",
    "JSM_NAMESPACE_RANK",
    "FLUX_JOB_SIZE",
    "FLUX_TASK_RANK",
    "PALS_LOCAL_SIZE",
    "PALS_RANKID",
    "PALS_NODEID",
    "PMI_SIZE",
    "PMI_RANK",
    "PMIX_RANK",
    "SLURM_NTASKS",
    "SLURM_PROCID",
    "SLURM_STEP_ID",
    "SLURM_JOB_ID",
    "SLURM_STEP_NUM_TASKS",
};

// "NAME=value NAME=value": the environment has these of all variables above.
static titan_launch launch_in(const char *environment) {
  char copy[512];
  for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
    unsetenv(variables[i]);
  snprintf(copy, sizeof copy, "%s", environment);
  for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " ")) {
    char *equals = strchr(word, '=');
    *equals = '\0';
    assert_int_equal(setenv(word, equals + 1, 1), 0);
  }
  return titan_launch_find();
}

static void a_process_without_a_launcher_is_alone(void **state) {
  (void)state;
  static const char *const alone[] = {
      "",
      "SLURM_JOB_ID=7 SLURM_NTASKS=8",                // a shell of salloc
      "SLURM_JOB_ID=7 SLURM_NTASKS=8 SLURM_PROCID=0", // a batch script
      "SLURM_NTASKS=eight SLURM_PROCID=",
  };
  for (size_t i = 0; i < sizeof alone / sizeof *alone; i++) {
    titan_launch launch = launch_in(alone[i]);
    if (launch.launcher != NULL || launch.tasks != 1)
      fail_msg("%s: %s, %d tasks", alone[i], launch.launcher, launch.tasks);
    assert_int_equal(titan_launch_check(&launch, 1), TITAN_OK);
  }
}

static void worlds_that_are_what_the_launcher_started_pass(void **state) {
  (void)state;
  static const struct {
    const char *environment;
    int size;
  } cases[] = {
      {"OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_RANK=3 PMIX_RANK=3", 4},
      // mpirun in a batch script; its daemon on another node, started by srun, hands SLURM's variables on
      {"OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_RANK=3 SLURM_NTASKS=8 SLURM_PROCID=5 SLURM_STEP_NUM_TASKS=7", 4},
      {"OMPI_COMM_WORLD_SIZE=1 OMPI_COMM_WORLD_RANK=0 SLURM_NTASKS=8 SLURM_PROCID=0", 1},
      {"PMI_SIZE=2 PMI_RANK=1 SLURM_PROCID=5 SLURM_STEP_NUM_TASKS=7", 2},
      {"PMIX_RANK=3 SLURM_PROCID=3 SLURM_STEP_NUM_TASKS=4 SLURM_NTASKS=4", 4}, // srun --mpi=pmix
      {"SLURM_PROCID=0 SLURM_STEP_NUM_TASKS=1 SLURM_NTASKS=8", 1},             // salloc's interactive step
      {"SLURM_PROCID=2 SLURM_STEP_NUM_TASKS=3", 8},                            // a launcher that sets nothing
      {"PMIX_RANK=0", 1},
      {"PALS_RANKID=9 PALS_LOCAL_SIZE=4", 16},
      {"PALS_RANKID=9 PALS_NODEID=2 PALS_LOCAL_SIZE=4 PMI_SIZE=16 PMI_RANK=9", 16},
      {"PALS_RANKID=0 PALS_NODEID=0 PALS_LOCAL_SIZE=1", 1},
      // Open MPI's mpirun by way of PALS
      {"OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_RANK=3 PALS_RANKID=1 PALS_LOCAL_SIZE=1 PMI_SIZE=2 PMI_RANK=1", 4},
      {"FLUX_JOB_SIZE=4 FLUX_TASK_RANK=3", 4},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    titan_launch launch = launch_in(cases[i].environment);
    assert_non_null(launch.launcher);
    if (titan_launch_check(&launch, cases[i].size) != TITAN_OK)
      fail_msg("%s: %s", cases[i].environment, titan_error_message());
  }
}

static void tasks_that_would_each_train_alone_are_refused_with_a_way_out(void **state) {
  (void)state;
  static const struct {
    const char *environment, *says, *way_out;
    bool known;
  } cases[] = {
      {"SLURM_NTASKS=8 SLURM_PROCID=3", "srun of SLURM started at least 8 tasks, of which this is number 3",
       "srun --mpi=pmix", false},
      {"SLURM_PROCID=3", "at least 4 tasks", "srun --mpi=pmix", false},
      {"SLURM_STEP_NUM_TASKS=8 SLURM_PROCID=0", "srun of SLURM started 8 tasks, of which this is number 0", "mpirun",
       true},
      {"OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_RANK=1", "Open MPI's mpirun started 2 tasks", "mpirun of the MPI", true},
      {"PMI_SIZE=2 PMI_RANK=0", "PMI's launcher started 2 tasks", "mpirun of the MPI", true},
      {"PALS_RANKID=5 PALS_LOCAL_SIZE=4", "PALS started at least 6 tasks", "--pmi=pmix", false},
      {"PALS_RANKID=0 PALS_LOCAL_SIZE=4", "PALS started at least 4 tasks", "--pmi=pmix", false},
      // one task on each node, and SLURM's plugin for PALS, which sets no PALS_LOCAL_SIZE
      {"PALS_RANKID=0 PALS_NODEID=0 PALS_LOCAL_SIZE=1 PMI_SIZE=8 PMI_RANK=0", "PALS started 8 tasks", "--pmi=pmix",
       true},
      {"PALS_RANKID=0 PALS_NODEID=0 PMI_SIZE=8 PMI_RANK=0 SLURM_STEP_NUM_TASKS=8 SLURM_PROCID=0",
       "PALS started 8 tasks", "--pmi=pmix", true},
      {"PALS_RANKID=0 PALS_NODEID=0 SLURM_STEP_NUM_TASKS=8 SLURM_PROCID=0", "srun of SLURM started 8 tasks",
       "srun --mpi=pmix", true},
      {"FLUX_JOB_SIZE=4 FLUX_TASK_RANK=0", "Flux started 4 tasks", "flux run", true},
      {"SLURM_PROCID=1 SLURM_STEP_NUM_TASKS=4", "srun of SLURM started 4 tasks", "--mpi=pmix", true},
      {"PMIX_RANK=2", "PMIx's launcher started at least 3 tasks", "mpirun of the MPI", false},
      {"PMIX_RANK=0 SLURM_STEP_NUM_TASKS=2 SLURM_PROCID=0", "srun of SLURM started 2 tasks", "--mpi=list", true},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    titan_launch launch = launch_in(cases[i].environment);
    assert_int_equal(titan_launch_check(&launch, 1), TITAN_ERROR_USAGE);
    const char *message = titan_error_message();
    if (strstr(message, cases[i].says) == NULL || strstr(message, cases[i].way_out) == NULL ||
        strstr(message, "the MPI library sees 1 rank: each task would train alone") == NULL)
      fail_msg("%s: %s", cases[i].environment, message);
    assert_int_equal(launch.tasks_are_known, cases[i].known);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_process_without_a_launcher_is_alone),
      cmocka_unit_test(worlds_that_are_what_the_launcher_started_pass),
      cmocka_unit_test(tasks_that_would_each_train_alone_are_refused_with_a_way_out),
  };
  return cmocka_run_group_tests(tests, NULL, expect_no_leaks);
}
