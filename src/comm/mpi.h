// SPDX-License-Identifier: Apache-2.0
// Inside the MPI backend: what mpi.c and mpi_reduce.c share.
#ifndef TITAN_COMM_MPI_H
#define TITAN_COMM_MPI_H

#include "comm/backend.h"

// Tags below this are the callers'; those from it to 32767, which every MPI library has, belong to reductions.
enum { TITAN_MPI_USER_TAGS = 16384, TITAN_MPI_LANES = 2 };

// The tag of an operation's messages; an operation has as many as lanes.
static inline int titan_mpi_internal_tag(const titan_work *work, int lane) {
  int turn = (int)(work->operation.sequence % (TITAN_MPI_USER_TAGS / TITAN_MPI_LANES));
  return TITAN_MPI_USER_TAGS + turn * TITAN_MPI_LANES + lane;
}

titan_status titan_mpi_reduce_scatter_start(titan_work *work);
titan_status titan_mpi_all_reduce_start(titan_work *work);
// Not collective, but alike on all ranks, with nothing in flight and nothing reserved: the ranks that one exchanges
// with at once in a reduction, a power of two; 64 unless a test wants to see several windows.
void titan_mpi_set_window(int ranks);

// An all_reduce that takes no longer than its messages are on their way (mpi_small.c); and the bytes that the largest
// of those takes that have no more than `count` elements, without the header of a scratch.
bool titan_mpi_is_small(const titan_comm *comm, size_t count, titan_dtype dtype);
size_t titan_mpi_small_bytes(const titan_comm *comm, size_t count, titan_dtype dtype);
titan_status titan_mpi_small_start(titan_work *work);
// Of chunks, without the header of a scratch.
size_t titan_mpi_chunk_bytes(const titan_comm *comm);
titan_status titan_mpi_gather_chunks_start(titan_work *work);
titan_status titan_mpi_reduce_chunks_start(titan_work *work);
titan_status titan_mpi_give_chunk(titan_work *work, int rank);

// The elements of a reduction's buffer that a rank reduces.
typedef struct titan_mpi_span {
  size_t first, count;
} titan_mpi_span;

// Not collective, no communication. Of the block of `block_count` elements that begins at `block_first`, the part of
// `rank` of `ranks`: as it lies in the send buffer. A reduce_scatter has `count` elements for each rank, one rank's
// after another's, and a block of each; an all_reduce divides the block among the ranks.
titan_mpi_span titan_mpi_piece_of(titan_operation_kind kind, size_t count, int ranks, size_t block_first,
                                  size_t block_count, int rank);

// Working memory of reductions, kept by the group from one to the next.
typedef struct titan_mpi_scratch titan_mpi_scratch;
struct titan_mpi_scratch {
  titan_mpi_scratch *next;
  size_t bytes; // of memory[], which is 64-byte aligned
  _Alignas(TITAN_MEMORY_ALIGNMENT) unsigned char memory[];
};
titan_status titan_mpi_scratch_take(titan_comm *comm, size_t bytes, titan_mpi_scratch **out);
void titan_mpi_scratch_give_back(titan_comm *comm, titan_mpi_scratch *scratch);
// Gives all of them back to the system; takes `buffers` of `bytes` bytes, in place of those that are there.
void titan_mpi_drop_scratches(titan_comm *comm);
titan_status titan_mpi_reserve(titan_comm *comm, int buffers, size_t bytes);

// With the header; for ALL_GATHER, what chunks take; 0 for kinds that take none.
size_t titan_mpi_buffer_bytes(const titan_comm *comm, titan_operation_kind kind, size_t count, titan_dtype dtype);

#endif
