// SPDX-License-Identifier: Apache-2.0
#include "comm/topology_plan.h"

#include <string.h>

void titan_core_set_add(titan_core_set *set, int core) {
  if (core >= 0 && core < TITAN_CORES_MAX)
    set->words[core / 64] |= (uint64_t)1 << core % 64;
}

bool titan_core_set_has(const titan_core_set *set, int core) {
  return set->words[core / 64] >> core % 64 & 1;
}

int titan_core_set_count(const titan_core_set *set) {
  int count = 0;
  for (int w = 0; w < TITAN_CORES_MAX / 64; w++)
    count += __builtin_popcountll(set->words[w]);
  return count;
}

static bool intersect(const titan_core_set *a, const titan_core_set *b) {
  for (int w = 0; w < TITAN_CORES_MAX / 64; w++)
    if (a->words[w] & b->words[w])
      return true;
  return false;
}

// Cores that fall to rank `self` when each core is divided among the ranks bound to it.
static int cores_shared_fairly(const titan_rank_binding *ranks, int size, int self) {
  double share = 0;
  for (int core = 0; core < TITAN_CORES_MAX; core++) {
    if (!titan_core_set_has(&ranks[self].bound, core))
      continue;
    int users = 0;
    for (int r = 0; r < size; r++)
      users += titan_core_set_has(&ranks[r].bound, core);
    share += 1.0 / users;
  }
  return (int)(share + 1e-6);
}

static bool worth_binding_anew(const titan_rank_binding *ranks, int size, int usable, int fair) {
  bool short_of_cores = false;
  for (int r = 0; r < size; r++) {
    if (!ranks[r].binding_is_default || memcmp(&ranks[r].usable, &ranks[0].usable, sizeof ranks[r].usable) != 0)
      return false;
    int wanted = ranks[r].wanted_threads;
    int needed = wanted > 0 && wanted < fair ? wanted : fair;
    short_of_cores = short_of_cores || cores_shared_fairly(ranks, size, r) < needed;
  }
  return short_of_cores && usable >= size;
}

titan_topology_plan titan_topology_plan_create(const titan_rank_binding *ranks, int size, int self, bool rebinding) {
  int usable = titan_core_set_count(&ranks[self].usable), wanted = ranks[self].wanted_threads;
  titan_topology_plan plan = {.fair_cores = usable / size > 1 ? usable / size : 1};
  plan.rebind = rebinding && worth_binding_anew(ranks, size, usable, plan.fair_cores);
  if (plan.rebind) {
    plan.first = (int)((long)usable * self / size);
    plan.count = (int)((long)usable * (self + 1) / size) - plan.first;
    plan.cores = plan.threads = plan.count;
    plan.sharing_ranks = 1;
  } else {
    plan.cores = titan_core_set_count(&ranks[self].bound);
    plan.threads = cores_shared_fairly(ranks, size, self);
    for (int r = 0; r < size; r++)
      plan.sharing_ranks += r == self || intersect(&ranks[r].bound, &ranks[self].bound);
  }
  if (wanted > 0)
    plan.threads = wanted;
  if (plan.threads < 1)
    plan.threads = 1;
  return plan;
}

static void join(titan_core_set *to, const titan_core_set *from) {
  for (int w = 0; w < TITAN_CORES_MAX / 64; w++)
    to->words[w] |= from->words[w];
}

titan_topology_crowd titan_topology_crowd_of(const titan_rank_binding *ranks, const int *threads, int size, int self) {
  titan_topology_crowd crowd = {0};
  titan_core_set theirs = {0}, all = {0};
  for (int r = 0; r < size; r++) {
    join(&all, &ranks[r].bound);
    if (r != self && !intersect(&ranks[r].bound, &ranks[self].bound))
      continue;
    join(&theirs, &ranks[r].bound);
    crowd.ranks++;
    crowd.threads += threads[r];
  }
  crowd.cores = titan_core_set_count(&theirs);
  for (int core = 0; core < TITAN_CORES_MAX; core++)
    crowd.free_cores += titan_core_set_has(&ranks[self].allowed, core) && !titan_core_set_has(&all, core);
  return crowd;
}
