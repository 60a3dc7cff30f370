// SPDX-License-Identifier: Apache-2.0
// A block of memory that the processes of one node share, with every page there before anybody touches it.
#ifndef TITAN_COMM_SEGMENT_H
#define TITAN_COMM_SEGMENT_H

#include "comm/comm.h"

// Collective over comm, whose ranks are on one node. Maps one block of `bytes` bytes, filled with zeros, into every
// rank; each rank takes the pages of its own bytes [first, first + count) from the system, which places them near it.
// The block has no name in any file system by the time this returns, so that nothing stays behind however the processes
// end. Gives an address at a page's boundary. A failure of one rank is one of all, with nothing left:
// TITAN_ERROR_MEMORY where the node has too little shared memory, or its processes cannot open what one has made.
titan_status titan_segment_create(titan_comm *comm, size_t bytes, size_t first, size_t count, char **base);

// Not collective.
void titan_segment_destroy(char *base, size_t bytes);

#endif
