// SPDX-License-Identifier: Apache-2.0
// Where an MPI library keeps what the ranks of a node share: TMPDIR and /dev/shm.
#ifndef TITAN_COMM_TEMPORARY_H
#define TITAN_COMM_TEMPORARY_H

#include <stddef.h>

// Not collective. What is wrong with these folders for `ranks` ranks of this node, in a sentence without its end; ""
// where nothing is. TMPDIR: it is missing, or on a file system that several nodes share. /dev/shm: it has less room
// left than the ranks' messages need.
void titan_temporary_describe(int ranks, char *out, size_t size);

#endif
