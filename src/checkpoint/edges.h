// SPDX-License-Identifier: Apache-2.0
// The parts of pages at the ends of what a rank writes. On a network file system two nodes that write into one page of
// a file may undo each other's bytes: each has the whole page in its cache. So every page has one rank that writes all
// of it; parts that other ranks hold are sent there.
#ifndef TITAN_CHECKPOINT_EDGES_H
#define TITAN_CHECKPOINT_EDGES_H

#include "checkpoint/file.h"

#include <mpi.h>

enum { TITAN_CHECKPOINT_PAGE_BYTES = 4096 };

typedef struct titan_checkpoint_edge {
  uint64_t offset;
  int32_t bytes, owner; // within one page; the rank that writes that page
} titan_checkpoint_edge;

// Start with {0}.
typedef struct titan_checkpoint_edges {
  int64_t count, capacity;
  titan_checkpoint_edge *edges;
  size_t length, room;
  char *data; // of the edges, one after another
} titan_checkpoint_edges;

// The rank of `ranks` that writes the page of a tensor's data. Pages that are not the tensor's alone are rank 0's, as
// what HDF5 keeps beside tensors is.
int titan_checkpoint_page_owner(const titan_checkpoint_tensor *tensor, uint64_t page, int ranks);

// Of `bytes` bytes at `offset`, those before the first and behind the last page border; all where no whole page is
// between them.
void titan_checkpoint_page_split(uint64_t offset, size_t bytes, size_t *before, size_t *behind);

// Keeps a copy of `bytes` bytes of the tensor's data for those who write their pages.
titan_status titan_checkpoint_edges_add(titan_checkpoint_edges *edges, const titan_checkpoint_tensor *tensor,
                                        uint64_t offset, const void *data, size_t bytes, int ranks);

// Collective over comm. What this rank was sent, of pages that it writes, by offset; *received is to be destroyed.
// A failure comes back on all ranks.
titan_status titan_checkpoint_edges_exchange(titan_checkpoint_edges *edges, MPI_Comm comm, bool patient,
                                             titan_checkpoint_edges *received);

void titan_checkpoint_edges_destroy(titan_checkpoint_edges *edges);

#endif
