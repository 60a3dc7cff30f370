// SPDX-License-Identifier: Apache-2.0
#include "comm/launcher.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Set by Open MPI for its processes when a person, a script or a wrapper asks for a mapping or a binding; or by the
// person, for OpenMP.
static const char *const binding_variables[] = {
    "OMPI_MCA_hwloc_base_binding_policy",
    "OMPI_MCA_hwloc_base_cpu_list",
    "OMPI_MCA_hwloc_base_cpu_set",
    "OMPI_MCA_rmaps_base_mapping_policy",
    "OMPI_MCA_rmaps_rank_file_path",
    "OMPI_MCA_orte_rankfile",
    "PRTE_MCA_hwloc_default_binding_policy",
    "PRTE_MCA_hwloc_default_cpu_list",
    "PRTE_MCA_rmaps_default_mapping_policy",
    "OMP_PROC_BIND",
    "OMP_PLACES",
    "GOMP_CPU_AFFINITY",
    "KMP_AFFINITY",
};

static const char *const binding_options[] = {"bind-to", "map-by",        "bycore",       "bysocket",
                                              "bynode",  "cpu-set",       "cpu-list",     "rankfile",
                                              "rf",      "cpus-per-proc", "cpus-per-rank"};

static bool environment_asks_for_a_binding(void) {
  for (size_t i = 0; i < sizeof binding_variables / sizeof *binding_variables; i++)
    if (getenv(binding_variables[i]) != NULL)
      return true;
  return false;
}

static size_t read_process_file(long process, const char *name, char *out, size_t size) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%ld/%s", process, name);
  FILE *file = fopen(path, "r");
  size_t length = file != NULL ? fread(out, 1, size - 1, file) : 0;
  if (file != NULL)
    fclose(file);
  out[length] = '\0';
  return length;
}

static long parent_of(long process) {
  char text[512];
  read_process_file(process, "stat", text, sizeof text);
  const char *after_name = strrchr(text, ')'); // a name may hold spaces and parentheses
  if (after_name == NULL || strlen(after_name) < 4)
    return 0;
  return strtol(after_name + 3, NULL, 10); // behind ") S", the letter of its state
}

static bool is_one_of(const char *name, const char *const *names, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (strcmp(name, names[i]) == 0)
      return true;
  return false;
}

static bool arguments_ask_for_a_binding(long process) {
  static char arguments[65536];
  size_t length = read_process_file(process, "cmdline", arguments, sizeof arguments);
  for (const char *argument = arguments; argument < arguments + length; argument += strlen(argument) + 1) {
    if (argument[0] != '-')
      continue;
    const char *option = argument + strspn(argument, "-");
    if (is_one_of(option, binding_options, sizeof binding_options / sizeof *binding_options))
      return true;
  }
  return false;
}

// Remote daemons of Open MPI 4 hand the options on as variables; those of Open MPI 5 (prted) do not, so nothing is
// known.
static bool launcher_was_asked_for_a_binding(long process, const char *name) {
  static const char *const front_ends[] = {"mpirun", "mpiexec", "orterun", "prterun", "mpirun.openmpi"};
  if (is_one_of(name, front_ends, sizeof front_ends / sizeof *front_ends))
    return arguments_ask_for_a_binding(process);
  return strcmp(name, "orted") != 0;
}

titan_launcher titan_launcher_find(void) {
  static const char *const launchers[] = {"mpirun",         "mpiexec", "orterun", "prterun",
                                          "mpirun.openmpi", "orted",   "prted",   "prte"};
  titan_launcher launcher = {0};
  if (getenv("OMPI_COMM_WORLD_SIZE") == NULL)
    return launcher;
  long process = getppid();
  for (int depth = 0; depth < 8 && process > 1; depth++, process = parent_of(process)) {
    char name[64];
    read_process_file(process, "comm", name, sizeof name);
    name[strcspn(name, "\n")] = '\0';
    if (!is_one_of(name, launchers, sizeof launchers / sizeof *launchers))
      continue;
    launcher.found = sched_getaffinity((pid_t)process, sizeof launcher.cpus, &launcher.cpus) == 0;
    launcher.binding_is_default =
        launcher.found && !environment_asks_for_a_binding() && !launcher_was_asked_for_a_binding(process, name);
    return launcher;
  }
  return launcher;
}
