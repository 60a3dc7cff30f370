// SPDX-License-Identifier: Apache-2.0
// Property: under a real launcher each rank gets its share of the cores; Open MPI's default binding of one or two ranks
// to a core each is mended, a binding that was asked for is not. Oracle: the launcher's own affinity, and cores counted
// from the system's topology files. Tolerance: none. The argument says what to expect of the way the program was
// started.
#include "comm/topology.h"
#include "mpi_test.h"

#include <sched.h>
#include <string.h>
#include <unistd.h>

static const char *expectation;
static cpu_set_t launched; // as this process was started

static int core_of(int cpu) {
  char path[128];
  int siblings = cpu;
  snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
  FILE *file = fopen(path, "r");
  if (file != NULL) {
    if (fscanf(file, "%d", &siblings) != 1)
      siblings = cpu;
    fclose(file);
  }
  return siblings;
}

static int cores_in(const cpu_set_t *cpus) {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
    if (CPU_ISSET(cpu, cpus))
      CPU_SET(core_of(cpu), &cores);
  return CPU_COUNT(&cores);
}

// The one NUMA domain that has all of them; -1: several, or the system has no folders of domains.
static int numa_of(const cpu_set_t *cpus) {
  int found = -1;
  char path[128];
  for (int node = 0; node < 64; node++)
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
      snprintf(path, sizeof path, "/sys/devices/system/node/node%d/cpu%d", node, cpu);
      if (!CPU_ISSET(cpu, cpus) || access(path, F_OK) != 0)
        continue;
      if (found >= 0 && found != node)
        return -1;
      found = node;
    }
  return found;
}

static void each_rank_gets_its_share_of_the_cores(void **state) {
  (void)state;
  int size = test_size(), wanted = getenv("OMP_NUM_THREADS") != NULL ? atoi(getenv("OMP_NUM_THREADS")) : 0;
  titan_comm *node = NULL;
  titan_topology topology;
  cpu_set_t now, usable;
  expect_on_all(titan_comm_create_node(MPI_COMM_WORLD, "node", &node) == TITAN_OK);
  expect_on_all(titan_topology_query(node, &topology) == TITAN_OK);
  sched_getaffinity(0, sizeof now, &now);
  sched_getaffinity(getppid(), sizeof usable, &usable);
  int cores = cores_in(&usable), share = cores / size > 1 ? cores / size : 1;
  if (topology.message[0] != '\0' && test_rank() == 0)
    fprintf(stderr, "%s\n", topology.message);
  expect_on_all(topology.node_rank == test_rank() && topology.node_size == size);
  expect_on_all(numa_of(&now) == -1 || topology.numa == numa_of(&now));
  expect_on_all(topology.node_cores == cores && topology.bound_cores == cores_in(&now));
  if (strcmp(expectation, "mended") == 0) {
    expect_on_all(CPU_EQUAL(&now, &usable) && topology.bound_cores == cores);
    expect_on_all(topology.threads == (wanted > 0 ? wanted : cores));
    expect_on_all(topology.rebound == !CPU_EQUAL(&launched, &usable));
    expect_on_all(topology.warning == (wanted > cores));
  } else if (strcmp(expectation, "fair") == 0) {
    expect_on_all(topology.threads >= share && topology.threads <= share + 1 && !topology.warning);
    expect_on_all(topology.sharing_ranks == 1 || CPU_EQUAL(&launched, &now));
  } else if (strcmp(expectation, "as_bound") == 0) {
    expect_on_all(CPU_EQUAL(&now, &launched) && !topology.rebound && !topology.warning);
    expect_on_all(topology.threads == (wanted > 0 ? wanted : cores_in(&launched)));
  } else {
    expect_on_all(CPU_EQUAL(&now, &launched) && topology.threads == wanted);
    expect_on_all(topology.warning && strstr(topology.message, "OMP_NUM_THREADS") != NULL);
  }
  titan_comm_destroy(&node);
}

int main(int argc, char **argv) {
  if (argc != 2)
    return 2;
  expectation = argv[1];
  sched_getaffinity(0, sizeof launched, &launched);
  begin_mpi_tests(&argc, &argv);
  const struct CMUnitTest tests[] = {cmocka_unit_test(each_rank_gets_its_share_of_the_cores)};
  return end_mpi_tests(cmocka_run_group_tests(tests, NULL, NULL));
}
