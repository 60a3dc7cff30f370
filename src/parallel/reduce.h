// SPDX-License-Identifier: Apache-2.0
// Sums of gradients over the data-parallel ranks, each begun and waited for where the step's list says.
//
// Over the sharding group: reduce-scatter, through shared memory inside a node, in two levels over nodes (where the
// group goes so: titan_comm_level), or through MPI. Over the replicas: all-reduce of what this rank then holds, in
// buckets of about 100 MB (units that were completed one after another, whose shards lie one after another), or unit by
// unit where shards do not.
#ifndef TITAN_PARALLEL_REDUCE_H
#define TITAN_PARALLEL_REDUCE_H

#include "comm/comm.h"
#include "device/device.h"
#include "parallel/unit.h"

typedef struct titan_reduce titan_reduce;

// At most so many are in flight at once; the next one waits for the oldest.
enum { TITAN_REDUCE_SCATTERS_IN_FLIGHT = 2, TITAN_REDUCE_SUMS_IN_FLIGHT = 4 };

typedef struct titan_reduce_options {
  titan_comm *shard, *replicate;
  titan_device *device;
  titan_intra_node intra_node;
  int unit_count;
  titan_unit *units;     // borrowed
  const int *order;      // borrowed: units in the order in which they are completed
  size_t exchange_bytes; // of the arena for whole gradients that are reduced
  bool own_shards;       // allocate units[i].gradient, one after another in that order; else the caller sets it
} titan_reduce_options;

// Collective over both groups.
titan_status titan_reduce_create(const titan_reduce_options *options, titan_reduce **out);
// Collective.
void titan_reduce_destroy(titan_reduce **reduce);

// Bytes that create will allocate on this rank, all under the tag GRADIENTS.
size_t titan_reduce_bytes_of(const titan_reduce_options *options);

// The arena, of exchange_bytes; NULL where the group has one rank (and then no bytes are needed for it).
void *titan_reduce_exchange(const titan_reduce *reduce);

// Begins the sum of a unit's whole gradients at byte `offset` of the arena. `part`: NULL where the sum overwrites the
// unit's shard, else memory for a shard, which is then added to it. last: this completes the unit's gradients.
typedef struct titan_reduce_request {
  int unit;
  size_t offset;
  float *part;
  bool last;
} titan_reduce_request;
// Collective, non-blocking. *number counts the requests of a step from 0. In a group of one rank the shard has the
// gradients already, and nothing is summed but replicas.
titan_status titan_reduce_begin(titan_reduce *reduce, const titan_reduce_request *request, int *number);
// Collective. The requests up to `number` are complete; the sums over replicas of units that they complete have begun
// as far as they fill a bucket.
titan_status titan_reduce_wait(titan_reduce *reduce, int number);
// Collective. As above, and the sums over replicas of all units completed so far are complete too.
titan_status titan_reduce_finish(titan_reduce *reduce);
// All is complete: a new step counts from 0.
titan_status titan_reduce_end_step(titan_reduce *reduce);

#endif
