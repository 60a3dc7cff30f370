// SPDX-License-Identifier: Apache-2.0
// Collectives whose chunks come, or go, one by one, so that the product of one chunk can run while others travel.
//
// A chunk is what one rank of the group contributes (gathering), or what one rank is to get (reducing). They travel in
// ring order: a rank looks at its own chunk first, then at those of the ranks after it; it gives the chunk of the rank
// after it first, and its own last. So each rank waits for another one at a time, and no two for the same.
//
// No other operation of the group may begin before the work is waited for. Groups of at least two ranks. Traffic is
// counted as that of all_gather and reduce_scatter.
#ifndef TITAN_COMM_CHUNKS_H
#define TITAN_COMM_CHUNKS_H

#include "comm/comm.h"

// The rank whose chunk is number `index` (0 .. size-1).
static inline int titan_chunk_gathered(const titan_comm *comm, int index) {
  return (titan_comm_rank(comm) + index) % titan_comm_size(comm);
}
static inline int titan_chunk_reduced(const titan_comm *comm, int index) {
  return (titan_comm_rank(comm) + 1 + index) % titan_comm_size(comm);
}

// Whether titan_chunks_gather, or titan_chunks_reduce, can be used for any number of bytes.
bool titan_chunks_can_gather(const titan_comm *comm);
bool titan_chunks_can_reduce(const titan_comm *comm);

// Working memory of such an operation while it is in flight by messages; for titan_comm_reservation.
size_t titan_chunks_bytes(const titan_comm *comm);

// Collective, non-blocking. send [count]. recv [size*count]: where messages put the others' chunks; memory that the
// group shares (titan_comm_stage) is read in place and leaves recv as it is. *work is to be waited for.
titan_status titan_chunks_gather(titan_comm *comm, const void *send, void *recv, size_t count, titan_dtype dtype,
                                 titan_work **work);
// Not collective. Waits for the chunk of `rank`, in ring order; in a group of a device, COMPUTE does. *chunk [count]:
// valid until the work is waited for.
titan_status titan_chunks_take(titan_work *work, int rank, const void **chunk);

// Collective, non-blocking: recv [count] = the sum over ranks of the chunks that they give for this rank: the bits of
// titan_comm_reduce_scatter in a group of the host. buffer: for what travels by messages [2*size*count]; in a group of
// a device [(size+1)*count], which COMPUTE adds up after titan_work_wait. The work is complete only after a chunk was
// given for every rank.
titan_status titan_chunks_reduce(titan_comm *comm, void *buffer, void *recv, size_t count, titan_dtype dtype,
                                 titan_work **work);
// Not collective. Where the chunk [count] for `rank` is to be written, once the one before it was given.
void *titan_chunks_place(titan_work *work, int rank);
// Not collective. That chunk is written. In ring order.
titan_status titan_chunks_give(titan_work *work, int rank);

// Not collective. titan_comm_progress, with its time counted as the group's exposed seconds: messages inside a node
// are copied by whoever looks after them.
void titan_chunks_poll(titan_comm *comm);

#endif
