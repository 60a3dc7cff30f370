// Inside the MPI backend: what mpi.c and mpi_reduce.c share.
#ifndef TITAN_COMM_MPI_H
#define TITAN_COMM_MPI_H

#include "comm/backend.h"

// Tags below this are the callers'; those from it to 32767, which every MPI library has, belong to reductions.
enum { TITAN_MPI_USER_TAGS = 16384 };

titan_status titan_mpi_reduce_scatter_start(titan_work *work);
titan_status titan_mpi_all_reduce_start(titan_work *work);

// Working memory of reductions, kept by the group from one to the next.
typedef struct titan_mpi_scratch titan_mpi_scratch;
struct titan_mpi_scratch {
  titan_mpi_scratch *next;
  size_t bytes; // of memory[], which is 64-byte aligned
  _Alignas(TITAN_MEMORY_ALIGNMENT) unsigned char memory[];
};
titan_status titan_mpi_scratch_take(titan_comm *comm, size_t bytes, titan_mpi_scratch **out);
void titan_mpi_scratch_give_back(titan_comm *comm, titan_mpi_scratch *scratch);

#endif
