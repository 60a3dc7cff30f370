// SPDX-License-Identifier: Apache-2.0
// The steps of making a plan, in the order in which plan.c takes them.
#ifndef TITAN_GRAPH_PLAN_PRIVATE_H
#define TITAN_GRAPH_PLAN_PRIVATE_H

#include "graph/pack.h"
#include "graph/plan.h"

// Nodes in the order in which they run, by phase. Nodes that nothing wants are left out.
typedef struct titan_schedule {
  int *nodes[TITAN_PHASES]; // owned
  int counts[TITAN_PHASES];
} titan_schedule;

titan_status titan_schedule_create(const titan_graph *graph, bool merge_phases, titan_schedule *out);
void titan_schedule_destroy(titan_schedule *schedule);

#endif
