// SPDX-License-Identifier: Apache-2.0
// How the ranks of a node share its cores: the decision of topology.c, apart from where its facts come from.
#ifndef TITAN_COMM_TOPOLOGY_PLAN_H
#define TITAN_COMM_TOPOLOGY_PLAN_H

#include <stdbool.h>
#include <stdint.h>

enum { TITAN_CORES_MAX = 2048 };

// A set of cores; a core's number is the lowest number of its hardware threads.
typedef struct titan_core_set {
  uint64_t words[TITAN_CORES_MAX / 64];
} titan_core_set;

void titan_core_set_add(titan_core_set *set, int core);
bool titan_core_set_has(const titan_core_set *set, int core);
int titan_core_set_count(const titan_core_set *set);

// What one rank knows.
typedef struct titan_rank_binding {
  titan_core_set usable;   // by all ranks of the node
  titan_core_set bound;    // this rank's binding
  titan_core_set allowed;  // that the system and the control group have for this rank; usable is a part of it
  int wanted_threads;      // OMP_NUM_THREADS; 0 where it is not set
  bool binding_is_default; // nobody asked for this binding, so it may be changed
} titan_rank_binding;

typedef struct titan_topology_plan {
  bool rebind; // all ranks bind anew; this one to `count` usable cores, the first `first` left out
  int first, count;
  int cores, sharing_ranks; // of the binding, after binding anew
  int fair_cores;           // a rank's share of the node's usable cores, >= 1
  int threads;
} titan_topology_plan;

// Decides for rank `self` of `size`, alike on every rank that has the same facts. `rebinding` false: as things stand.
titan_topology_plan titan_topology_plan_create(const titan_rank_binding *ranks, int size, int self, bool rebinding);

// How the ranks that share cores with rank `self`, itself included, fill them.
typedef struct titan_topology_crowd {
  int ranks, cores, threads; // of these ranks: their number, the cores that they are bound to, their threads in all
  int free_cores;            // allowed on this node, and no rank is bound to them
} titan_topology_crowd;

// As the ranks are bound now. threads: of each rank.
titan_topology_crowd titan_topology_crowd_of(const titan_rank_binding *ranks, const int *threads, int size, int self);

#endif
