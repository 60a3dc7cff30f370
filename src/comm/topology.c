// SPDX-License-Identifier: Apache-2.0
#include "comm/topology.h"
#include "comm/launcher.h"
#include "comm/temporary.h"
#include "comm/topology_plan.h"

#include <hwloc.h>
#include <hwloc/glibc-sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static titan_status load(hwloc_topology_t *out) {
  if (hwloc_topology_init(out) != 0)
    return titan_error(TITAN_ERROR_DEVICE, "hwloc cannot be initialized");
  if (hwloc_topology_load(*out) != 0) {
    hwloc_topology_destroy(*out);
    *out = NULL;
    return titan_error(TITAN_ERROR_DEVICE, "hwloc cannot read this node's processors");
  }
  return TITAN_OK;
}

static int number_of(hwloc_obj_t core) {
  return hwloc_bitmap_first(core->complete_cpuset);
}

// Cores of which at least one hardware thread is in `cpus`. Where the system tells nothing of cores, hardware threads.
static hwloc_obj_type_t core_type(hwloc_topology_t topology) {
  return hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_CORE) > 0 ? HWLOC_OBJ_CORE : HWLOC_OBJ_PU;
}

static titan_core_set cores_in(hwloc_topology_t topology, hwloc_const_bitmap_t cpus) {
  titan_core_set set = {0};
  hwloc_obj_t core = NULL;
  while ((core = hwloc_get_next_obj_by_type(topology, core_type(topology), core)) != NULL)
    if (hwloc_bitmap_intersects(core->cpuset, cpus))
      titan_core_set_add(&set, number_of(core));
  return set;
}

// OMP_NUM_THREADS: "8", or "8,2" for nested regions. 0 where it is not set, *valid is false where it is no number.
static int threads_asked_for(bool *valid) {
  const char *text = getenv("OMP_NUM_THREADS");
  char *end = NULL;
  long threads = text != NULL ? strtol(text, &end, 10) : 0;
  if (text != NULL)
    end += strspn(end, " \t");
  *valid = text == NULL || *text == '\0' || ((*end == '\0' || *end == ',') && threads > 0 && threads < 65536);
  return *valid ? (int)threads : 0;
}

// What the launcher was given, of what the control group allows.
static void find_usable_cpus(hwloc_topology_t topology, const titan_launcher *launcher, hwloc_const_bitmap_t bound,
                             hwloc_bitmap_t out) {
  hwloc_bitmap_copy(out, hwloc_topology_get_allowed_cpuset(topology));
  if (launcher->found) {
    hwloc_bitmap_t cpus = hwloc_bitmap_alloc();
    hwloc_cpuset_from_glibc_sched_affinity(topology, cpus, &launcher->cpus, sizeof launcher->cpus);
    hwloc_bitmap_and(out, out, cpus);
    hwloc_bitmap_free(cpus);
  }
  hwloc_bitmap_or(out, out, bound);
}

static titan_rank_binding read_binding(hwloc_topology_t topology, hwloc_bitmap_t usable) {
  titan_launcher launcher = titan_launcher_find();
  bool valid;
  titan_rank_binding binding = {.wanted_threads = threads_asked_for(&valid),
                                .binding_is_default = launcher.binding_is_default};
  hwloc_bitmap_t bound = hwloc_bitmap_alloc();
  if (hwloc_get_cpubind(topology, bound, HWLOC_CPUBIND_THREAD) != 0 || hwloc_bitmap_iszero(bound))
    hwloc_bitmap_copy(bound, hwloc_topology_get_allowed_cpuset(topology));
  find_usable_cpus(topology, &launcher, bound, usable);
  binding.bound = cores_in(topology, bound);
  binding.usable = cores_in(topology, usable);
  binding.allowed = cores_in(topology, hwloc_topology_get_allowed_cpuset(topology));
  hwloc_bitmap_free(bound);
  return binding;
}

// Binds the whole process to its run of the usable cores, in hwloc's order, in which neighbours share caches.
static bool bind_anew(hwloc_topology_t topology, hwloc_const_bitmap_t usable, const titan_topology_plan *plan) {
  hwloc_bitmap_t cpus = hwloc_bitmap_alloc();
  hwloc_obj_t core = NULL;
  int index = 0;
  while ((core = hwloc_get_next_obj_by_type(topology, core_type(topology), core)) != NULL) {
    if (!hwloc_bitmap_intersects(core->cpuset, usable))
      continue;
    if (index >= plan->first && index < plan->first + plan->count)
      hwloc_bitmap_or(cpus, cpus, core->cpuset);
    index++;
  }
  hwloc_bitmap_and(cpus, cpus, usable);
  bool bound = !hwloc_bitmap_iszero(cpus) && hwloc_set_cpubind(topology, cpus, HWLOC_CPUBIND_PROCESS) == 0;
  hwloc_bitmap_free(cpus);
  return bound;
}

// Adds to the message, which is for the log, whole sentences without their ends.
__attribute__((format(printf, 3, 4))) static void say(titan_topology *out, bool warning, const char *format, ...) {
  size_t used = strlen(out->message);
  va_list arguments;
  if (used > 0)
    used += (size_t)snprintf(out->message + used, sizeof out->message - used, "; ");
  va_start(arguments, format);
  if (used < sizeof out->message)
    vsnprintf(out->message + used, sizeof out->message - used, format, arguments);
  va_end(arguments);
  out->warning = out->warning || warning;
}

// How this rank is bound.
static void describe_binding(titan_topology *out, const titan_topology_plan *plan, int bound_before) {
  bool valid;
  if (out->rebound)
    say(out, false,
        "Open MPI's default binding left this rank %d of %d cores; the %d rank(s) of this node are now bound to %d "
        "core(s) each (mpirun --bind-to or --map-by prevents this)",
        bound_before, out->node_cores, out->node_size, out->bound_cores);
  else if (plan->rebind)
    say(out, true,
        "this rank is bound to %d of %d cores and the system does not allow a change: start it with mpirun "
        "--bind-to none",
        out->bound_cores, out->node_cores);
  else if (out->threads < plan->fair_cores && threads_asked_for(&valid) == 0)
    say(out, false,
        "this rank is bound to %d core(s) of %d, shared by %d rank(s), and uses %d thread(s); mpirun --map-by "
        "slot:PE=%d gives it its share",
        out->bound_cores, out->node_cores, out->sharing_ranks, out->threads, plan->fair_cores);
}

static void describe_threads(titan_topology *out, const titan_topology_crowd *crowd) {
  bool valid;
  threads_asked_for(&valid);
  if (!valid)
    say(out, true, "OMP_NUM_THREADS = \"%.40s\" is not a number of threads of at least 1: each rank uses %d",
        getenv("OMP_NUM_THREADS"), out->threads);
  if (crowd->ranks > crowd->cores && crowd->free_cores > 0)
    say(out, true,
        "%d ranks are bound to the same %d core(s), and %d more core(s) of this host are free: start without a binding "
        "(mpirun --bind-to none, no taskset) or with a binding that spreads them (mpirun --map-by core)",
        crowd->ranks, crowd->cores, crowd->free_cores);
  else if (out->threads > out->bound_cores)
    say(out, true,
        "%d threads (OMP_NUM_THREADS) share the %d core(s) that this rank is bound to, which is slow: start with "
        "mpirun --map-by slot:PE=%d or --bind-to none, or srun --cpus-per-task=%d",
        out->threads, out->bound_cores, out->threads, out->threads);
  else if (crowd->threads > crowd->cores)
    say(out, out->threads > 1, "%d rank(s) with %d threads in all share %d core(s), which is slow%s", crowd->ranks,
        crowd->threads, crowd->cores, out->threads > 1 ? ": lower OMP_NUM_THREADS, or start fewer ranks" : "");
}

// The domain that this rank is bound to by now; -1: several, or the system has none.
static int numa_of_binding(hwloc_topology_t topology) {
  hwloc_bitmap_t bound = hwloc_bitmap_alloc(), domains = hwloc_bitmap_alloc();
  int numa = -1;
  if (hwloc_get_cpubind(topology, bound, HWLOC_CPUBIND_THREAD) == 0) {
    hwloc_cpuset_to_nodeset(topology, bound, domains);
    numa = hwloc_bitmap_weight(domains) == 1 ? hwloc_bitmap_first(domains) : -1;
  }
  hwloc_bitmap_free(bound);
  hwloc_bitmap_free(domains);
  return numa;
}

// What the other ranks of the node look like now.
static titan_status find_crowd(titan_comm *node, hwloc_topology_t topology, titan_rank_binding *ranks, int *threads,
                               const titan_topology *out, titan_topology_crowd *crowd) {
  int self = titan_comm_rank(node), size = titan_comm_size(node);
  if (out->rebound) {
    hwloc_bitmap_t bound = hwloc_bitmap_alloc();
    hwloc_get_cpubind(topology, bound, HWLOC_CPUBIND_THREAD);
    ranks[self].bound = cores_in(topology, bound);
    hwloc_bitmap_free(bound);
  }
  threads[self] = out->threads;
  TITAN_TRY(titan_comm_all_gather(node, &ranks[self], ranks, sizeof *ranks, TITAN_BYTE, NULL));
  TITAN_TRY(titan_comm_all_gather(node, &threads[self], threads, sizeof *threads, TITAN_BYTE, NULL));
  *crowd = titan_topology_crowd_of(ranks, threads, size, self);
  return TITAN_OK;
}

static void describe_folders(titan_topology *out, int size) {
  char text[600];
  titan_temporary_describe(size, text, sizeof text);
  if (text[0] != '\0')
    say(out, true, "%s", text);
}

static titan_status decide(titan_comm *node, hwloc_topology_t topology, hwloc_bitmap_t usable,
                           titan_rank_binding *ranks, int *threads, titan_topology *out) {
  int self = titan_comm_rank(node), size = titan_comm_size(node);
  ranks[self] = read_binding(topology, usable);
  TITAN_TRY(titan_comm_all_gather(node, &ranks[self], ranks, sizeof *ranks, TITAN_BYTE, NULL));
  titan_topology_plan plan = titan_topology_plan_create(ranks, size, self, true);
  out->node_cores = titan_core_set_count(&ranks[self].usable);
  if (plan.rebind) {
    out->rebound = bind_anew(topology, usable, &plan);
    if (!out->rebound) {
      plan = titan_topology_plan_create(ranks, size, self, false);
      plan.rebind = true;
    }
  }
  out->bound_cores = plan.cores;
  out->sharing_ranks = plan.sharing_ranks;
  out->threads = plan.threads;
  out->numa = numa_of_binding(topology);
  int bound_before = titan_core_set_count(&ranks[self].bound);
  titan_topology_crowd crowd;
  TITAN_TRY(find_crowd(node, topology, ranks, threads, out, &crowd));
  describe_binding(out, &plan, bound_before);
  describe_threads(out, &crowd);
  if (self == 0) // one rank of a node asks its file systems
    describe_folders(out, size);
  return TITAN_OK;
}

titan_status titan_topology_query(titan_comm *node, titan_topology *out) {
  *out = (titan_topology){.node_rank = titan_comm_rank(node), .node_size = titan_comm_size(node)};
  hwloc_topology_t topology = NULL;
  hwloc_bitmap_t usable = hwloc_bitmap_alloc();
  titan_rank_binding *ranks = NULL;
  int *threads = NULL;
  titan_status status =
      titan_memory_allocate_zeroed(TITAN_MEMORY_COMMUNICATION, (size_t)out->node_size, sizeof *ranks, &ranks);
  if (status == TITAN_OK)
    status =
        titan_memory_allocate_zeroed(TITAN_MEMORY_COMMUNICATION, (size_t)out->node_size, sizeof *threads, &threads);
  if (status == TITAN_OK)
    status = load(&topology);
  TITAN_TRY_CLEANUP(titan_comm_agree(node, status));
  TITAN_TRY_CLEANUP(decide(node, topology, usable, ranks, threads, out));
  titan_topology_memory(&out->node_bytes, &out->rank_bytes);
cleanup:
  if (topology != NULL)
    hwloc_topology_destroy(topology);
  hwloc_bitmap_free(usable);
  titan_memory_free(ranks);
  titan_memory_free(threads);
  return status;
}

titan_status titan_topology_tell(titan_comm *world, const titan_topology *own, titan_topology *told, char *host,
                                 size_t host_size) {
  int size = titan_comm_size(world);
  // Warnings first, then by rank.
  int32_t order = titan_comm_rank(world) + (own->warning ? 0 : size), first;
  char name[256] = "";
  if (own->message[0] == '\0')
    order = 2 * size;
  *told = *own;
  TITAN_TRY(titan_comm_all_reduce(world, &order, &first, 1, TITAN_INT32, TITAN_MIN, NULL));
  if (first == 2 * size) {
    told->message[0] = '\0';
    return TITAN_OK;
  }
  gethostname(name, sizeof name - 1);
  TITAN_TRY(titan_comm_broadcast(world, told, sizeof *told, TITAN_BYTE, first % size, NULL));
  TITAN_TRY(titan_comm_broadcast(world, name, sizeof name, TITAN_BYTE, first % size, NULL));
  snprintf(host, host_size, "%s", name);
  return TITAN_OK;
}
