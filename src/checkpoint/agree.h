// SPDX-License-Identifier: Apache-2.0
// Agreement over an MPI communicator of its own: what titan_comm_agree does, for a thread beside the one that computes.
#ifndef TITAN_CHECKPOINT_AGREE_H
#define TITAN_CHECKPOINT_AGREE_H

#include "base/status.h"

#include <mpi.h>
#include <stdbool.h>
#include <stdint.h>

// All collective over comm. `patient`: waits asleep, not spinning, as the processor belongs to the training.

// TITAN_OK when every rank passes TITAN_OK, else status and message of the lowest failing rank, on all.
titan_status titan_checkpoint_agree(MPI_Comm comm, titan_status status, bool patient);
// Waits for an operation that has been begun; for several.
titan_status titan_checkpoint_wait(int count, MPI_Request *requests, bool patient);
// Rank 0's bytes for all.
titan_status titan_checkpoint_broadcast(MPI_Comm comm, void *data, size_t bytes, bool patient);
// *before: the sum over lower ranks; *all: over all.
titan_status titan_checkpoint_count(MPI_Comm comm, int64_t mine, int64_t *before, int64_t *all, bool patient);

#endif
