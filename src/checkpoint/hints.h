// SPDX-License-Identifier: Apache-2.0
// checkpoint.mpi_io_hints: "striping_factor=8,striping_unit=4194304".
#ifndef TITAN_CHECKPOINT_HINTS_H
#define TITAN_CHECKPOINT_HINTS_H

#include "base/status.h"

#include <mpi.h>

// Not collective. TITAN_ERROR_USAGE for a text that is no list of name=value, and for names and values that are longer
// than MPI takes. NULL and "" are fine.
titan_status titan_checkpoint_hints_check(const char *hints);

// Not collective. *info: MPI_INFO_NULL without hints, else the caller's to free.
titan_status titan_checkpoint_hints_create(const char *hints, MPI_Info *info);

#endif
