// Sums of gradients over the data-parallel ranks, each started as soon as a unit's backward is done.
//
// Over the sharding group: reduce-scatter, through shared memory inside a node or through MPI, two units in flight.
// Over the replicas: all-reduce of what this rank then holds, in buckets of about 100 MB (consecutive units in the
// order of the backward, whose gradients lie one after another).
#ifndef TITAN_PARALLEL_REDUCE_H
#define TITAN_PARALLEL_REDUCE_H

#include "comm/comm.h"
#include "device/device.h"
#include "parallel/unit.h"

typedef struct titan_reduce titan_reduce;

// At most so many are in flight at once; the next one waits for the oldest.
enum { TITAN_REDUCE_SCATTERS_IN_FLIGHT = 2, TITAN_REDUCE_SUMS_IN_FLIGHT = 4 };

// Collective over both groups. Sets units[i].gradient.
titan_status titan_reduce_create(titan_comm *shard, titan_comm *replicate, titan_device *device,
                                 titan_intra_node intra_node, int unit_count, titan_unit *units, titan_reduce **out);
// Collective.
void titan_reduce_destroy(titan_reduce **reduce);

// Bytes that create will allocate on this rank, all under the tag GRADIENTS.
size_t titan_reduce_bytes_of(const titan_comm *shard, int unit_count, const titan_unit *units);

// Collective (it may wait for an earlier unit). *flat: [flat_elements] float32 to be overwritten with this rank's
// gradients.
titan_status titan_reduce_begin(titan_reduce *reduce, int unit, float **flat);
// Collective, non-blocking. The gradients of the unit are complete: starts the sums. Units come in descending order.
titan_status titan_reduce_end(titan_reduce *reduce, int unit);
// Collective. All sums are done; each unit's gradient shard holds the sum over all data-parallel ranks.
titan_status titan_reduce_finish(titan_reduce *reduce);

#endif
