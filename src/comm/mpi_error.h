// SPDX-License-Identifier: Apache-2.0
// Failures of MPI calls as statuses, with the library's own text.
#ifndef TITAN_COMM_MPI_ERROR_H
#define TITAN_COMM_MPI_ERROR_H

#include "base/status.h"
#include <mpi.h>

// TITAN_OK for MPI_SUCCESS, else TITAN_ERROR_COMMUNICATION with `call` and the text of the MPI library.
titan_status titan_mpi_status(int code, const char *call, const char *file, int line);

#define TITAN_MPI(expression) titan_mpi_status((expression), #expression, __FILE__, __LINE__)
#define TITAN_TRY_MPI(expression) TITAN_TRY(TITAN_MPI(expression))

#endif
