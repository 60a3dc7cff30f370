// SPDX-License-Identifier: Apache-2.0
// The compute copies of the units' parameters: each rank owns a shard, and a unit is whole where and while it is used.
//
// Three ways, chosen at creation: one rank holds all; the ranks of one node keep one copy in shared memory, where each
// writes its shard and all read the whole (no gathering at all); or shards are all-gathered into memory that the step's
// list names: through MPI, or in two levels over nodes where the group goes so (titan_comm_level).
#ifndef TITAN_PARALLEL_GATHER_H
#define TITAN_PARALLEL_GATHER_H

#include "comm/comm.h"
#include "device/device.h"
#include "parallel/unit.h"

typedef struct titan_gather titan_gather;

// Gathers in flight where units are gathered `prefetch` units ahead: those, the unit that is waited for, and what
// publishing takes.
static inline int titan_gathers_in_flight(int prefetch) {
  return prefetch + 2;
}

// Collective over comm (the group over which parameters are sharded). Sets units[i].compute. The shards are zero; their
// memory is under `tag`.
titan_status titan_gather_create(titan_comm *comm, titan_device *device, titan_dtype dtype, titan_memory_tag tag,
                                 titan_intra_node intra_node, int prefetch, int unit_count, titan_unit *units,
                                 titan_gather **out);
// Collective.
void titan_gather_destroy(titan_gather **gather);

// Collective, with as many bytes on every rank: the memory that units will be gathered in. It is freed after the gather
// is destroyed.
titan_status titan_gather_register(titan_gather *gather, void *memory, size_t bytes);

// Bytes of the shards that create will allocate on this rank.
size_t titan_gather_shard_bytes(titan_dtype dtype, int unit_count, const titan_unit *units);
// Whether units are whole only after a gather.
bool titan_gather_is_needed(const titan_comm *comm, titan_intra_node intra_node);

// Collective, non-blocking: starts to make a unit whole in `whole`, [flat_elements] of the compute type. Only where a
// gather is needed.
titan_status titan_gather_begin(titan_gather *gather, int unit, void *whole);
// Collective. Waits for the unit's gather, where one was begun. *parameters: [flat_elements].
titan_status titan_gather_wait(titan_gather *gather, int unit, const void **parameters);
// Collective. To be called after all shards were rewritten: wholes are stale before it, and fresh after.
titan_status titan_gather_publish(titan_gather *gather);

// "shared memory", "MPI", "shared memory inside nodes, MPI between them", "one rank": for the log.
const char *titan_gather_description(const titan_gather *gather);

#endif
