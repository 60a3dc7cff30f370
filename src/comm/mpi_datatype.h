// SPDX-License-Identifier: Apache-2.0
// Messages of any length: MPI-3 counts are ints.
#ifndef TITAN_COMM_MPI_DATATYPE_H
#define TITAN_COMM_MPI_DATATYPE_H

#include "base/status.h"
#include <mpi.h>

// `count` elements of `type` are the message; its extent is the message's bytes, so that messages can lie in a row.
typedef struct titan_mpi_message {
  MPI_Datatype type;
  int count;
} titan_mpi_message;

// Not collective. Describes `bytes` bytes: as MPI_BYTE while bytes * messages <= limit (libraries multiply rank and
// count as ints), else as one element of a derived type built from blocks of at most `limit` bytes (2 at least; INT_MAX
// outside tests).
titan_status titan_mpi_message_create(size_t bytes, size_t messages, size_t limit, titan_mpi_message *out);
// MPI keeps the type for operations that have begun with it.
void titan_mpi_message_destroy(titan_mpi_message *message);

#endif
