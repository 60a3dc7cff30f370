// SPDX-License-Identifier: Apache-2.0
// What this rank may use of its node: cores, threads, memory.
#ifndef TITAN_COMM_TOPOLOGY_H
#define TITAN_COMM_TOPOLOGY_H

#include "base/status.h"
#include "comm/comm.h"

typedef struct titan_topology {
  int node_rank, node_size; // this rank among the node's ranks, and their number
  int node_cores;           // cores that the launcher and the control group let the node's ranks use
  int bound_cores;          // cores of this rank's binding (after mending)
  int sharing_ranks;        // ranks of the node whose binding has a core of this rank's, this one included
  int threads;              // that this rank should use, >= 1
  int numa;                 // the NUMA domain (the system's number) with all cores of the binding; -1: several
  bool rebound;             // the binding was mended
  bool warning;             // `message` is a warning
  char message[1024];       // for the log; "" when there is nothing to say
  // Bytes. UINT64_MAX where there is no limit.
  uint64_t node_bytes; // that the node's ranks together can still allocate: the smaller of what the system has
                       // available and what is left in this process's control group
  uint64_t rank_bytes; // that this process can still allocate under its address space limit (ulimit -v)
} titan_topology;

// Collective over `node`, a group as titan_comm_create_node makes it. Reads this rank's binding, and counts its
// threads: its cores, shared fairly with the ranks that are bound to the same, or OMP_NUM_THREADS where that is set.
//
// Open MPI binds each rank to one core when there are at most two, whatever the threads. Where that was its default
// (nobody asked for a binding) and leaves a rank with fewer cores than its share of the node, or than OMP_NUM_THREADS,
// all ranks of the node are bound anew, each to its own run of the node's cores. A binding that somebody asked for
// (--bind-to, --map-by, SLURM, OMP_PROC_BIND and the like) stays, with a warning where it leaves several threads on a
// core. The caller hands out->threads to OpenMP (omp_set_num_threads): OpenMP read the binding before main.
titan_status titan_topology_query(titan_comm *node, titan_topology *out);

// Collective over world. Of all ranks' messages the one that matters most, a warning first, on every rank: *told is
// the topology of the rank that has it, and host the name of its machine. told->message is "" where nobody has one.
titan_status titan_topology_tell(titan_comm *world, const titan_topology *own, titan_topology *told, char *host,
                                 size_t host_size);

// Not collective. The two byte counts of titan_topology alone; UINT64_MAX where there is no limit.
void titan_topology_memory(uint64_t *node_bytes, uint64_t *rank_bytes);

// Not collective. Bytes of this process that are in memory; pages shared with others count in equal parts where the
// system tells that (PSS), and in full else.
uint64_t titan_topology_resident(void);

#endif
