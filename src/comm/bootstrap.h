// Beginning and end of MPI in a process.
#ifndef TITAN_COMM_BOOTSTRAP_H
#define TITAN_COMM_BOOTSTRAP_H

#include "base/status.h"
#include <mpi.h>

typedef struct titan_mpi {
  int rank, size;   // in MPI_COMM_WORLD
  int thread_level; // granted: MPI_THREAD_MULTIPLE, _SERIALIZED or _FUNNELED
} titan_mpi;

// Collective over all processes that were started together; also without mpirun (one rank). Asks for
// MPI_THREAD_MULTIPLE and is content with MPI_THREAD_FUNNELED, in which case *out says so. Sets MPI_ERRORS_RETURN on
// MPI_COMM_WORLD. Does nothing but fill *out where MPI has been initialized before. Open MPI refuses to start as root
// unless OMPI_ALLOW_RUN_AS_ROOT and OMPI_ALLOW_RUN_AS_ROOT_CONFIRM are 1: that is for the person who starts mpirun to
// decide.
titan_status titan_mpi_initialize(int *argc, char ***argv, titan_mpi *out);

// Collective. Fine to call when MPI was never initialized, or is finalized.
void titan_mpi_finalize(void);

// "multiple", "serialized", "funneled" or "single".
const char *titan_mpi_thread_level_name(int level);

#endif
