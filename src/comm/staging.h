// SPDX-License-Identifier: Apache-2.0
// A group's staging memory: what its blocking collectives move inside one node goes through memory that all its ranks
// see, not through messages. A transfer copies into the rank's own part, says so, and takes what it wants straight out
// of the others' parts.
//
// Parts have two slots, used in turn, which is why one synchronisation a transfer is enough: a rank writes to the slot
// of transfer t + 2 only after it has seen everybody at t + 1, and nobody gets there before having read all of t. It
// follows that transfers do not overlap: one is complete on this rank before the next begins.
#ifndef TITAN_COMM_STAGING_H
#define TITAN_COMM_STAGING_H

#include "comm/backend.h"

typedef struct titan_staging {
  titan_comm *comm; // borrowed
  titan_shared *shared;
  size_t slot_bytes;
  uint64_t ticket; // of the newest transfer
  const void **sources;
  int users; // titan_comm_stage less titan_comm_unstage
} titan_staging;

// Whether transfers that stage so many bytes on a rank go this way; the same on all ranks.
bool titan_staging_takes(const titan_comm *comm, size_t bytes);

// For titan_comm_begin. The way is the same as the backend's in what it gives, to the bit.
titan_status titan_staging_all_gather_start(titan_work *work);
titan_status titan_staging_reduce_scatter_start(titan_work *work);
titan_status titan_staging_all_reduce_start(titan_work *work);

// Up to this many bytes are summed by every rank for itself.
enum { TITAN_STAGING_ALL_REDUCE_BYTES = 64 << 10 };

// For transfers whose chunks are looked at one by one (chunks.c). The slot of a rank for the transfer `ticket`.
// By all threads where it is long.
void titan_staging_copy(void *to, const void *from, size_t bytes);
char *titan_staging_slot(const titan_staging *staging, int rank, uint64_t ticket);
uint64_t titan_staging_next(titan_staging *staging);
// Says that this rank's slot is complete; and whether another's is.
titan_status titan_staging_arrive(titan_staging *staging, uint64_t ticket);
bool titan_staging_has_arrived(const titan_staging *staging, int rank, uint64_t ticket);
// To be called after the last rank was seen to arrive, before its slot is read.
titan_status titan_staging_see(const titan_staging *staging);
// recv[count] = the sum over ranks of the elements count * `slice` .. of their slots.
titan_status titan_staging_reduce(titan_staging *staging, const titan_work *work, uint64_t ticket, int slice);

#endif
