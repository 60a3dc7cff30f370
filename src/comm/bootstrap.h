// SPDX-License-Identifier: Apache-2.0
// Beginning and end of MPI in a process.
#ifndef TITAN_COMM_BOOTSTRAP_H
#define TITAN_COMM_BOOTSTRAP_H

#include "base/status.h"
#include "comm/launch.h"
#include <mpi.h>

typedef struct titan_mpi {
  int rank, size;      // in MPI_COMM_WORLD
  int thread_level;    // granted to every rank: MPI_THREAD_MULTIPLE, _SERIALIZED or _FUNNELED
  bool is_silent;      // after a failure: another rank, or another task of the launcher, tells of it
  titan_launch launch; // what the environment said before MPI began
} titan_mpi;

// Collective over all processes that were started together; also without mpirun (one rank). Asks for
// MPI_THREAD_MULTIPLE and is content with MPI_THREAD_FUNNELED, in which case *out says so. Sets MPI_ERRORS_RETURN on
// MPI_COMM_WORLD. Does nothing but fill *out where MPI has been initialized before. Open MPI refuses to start as root
// unless OMPI_ALLOW_RUN_AS_ROOT and OMPI_ALLOW_RUN_AS_ROOT_CONFIRM are 1: that is for the person who starts mpirun to
// decide. TITAN_ERROR_USAGE where a launcher started several tasks and each of them is a world of its own
// (titan_launch_check), TITAN_ERROR_COMMUNICATION where a rank gets a lower thread level: on all ranks, and one of them
// is to tell. After a failure titan_mpi_finalize ends MPI as usual.
titan_status titan_mpi_initialize(int *argc, char ***argv, titan_mpi *out);

// For ranks that fail without having agreed on it. Waits up to `seconds` for all ranks of MPI_COMM_WORLD to call this.
// Gives true when they did: MPI can then end as usual, and *speaker, the lowest rank, is the one to tell why. false:
// the others may be waiting for this rank in a collective, and MPI_Abort has to end them. To be called once.
bool titan_mpi_end_together(double seconds, int *speaker);

// Ends a run that failed. Where all ranks agreed on it (titan_comm_agree), or all have failed, one rank speaks; else a
// rank speaks for itself and ends the run for all. tell(status, speaks) is called once on each rank. Gives the
// exit code where everything may be freed as usual; else it does not return.
int titan_mpi_end_badly(int rank, titan_status status, void (*tell)(titan_status status, bool speaks));

// Collective. Fine to call when MPI was never initialized, or is finalized.
void titan_mpi_finalize(void);

// "multiple", "serialized", "funneled" or "single".
const char *titan_mpi_thread_level_name(int level);

#endif
