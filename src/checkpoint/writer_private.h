// SPDX-License-Identifier: Apache-2.0
#ifndef TITAN_CHECKPOINT_WRITER_PRIVATE_H
#define TITAN_CHECKPOINT_WRITER_PRIVATE_H

#include "checkpoint/edges.h"
#include "checkpoint/writer.h"

#include <xxhash.h>

struct titan_checkpoint_writer {
  MPI_Comm comm;
  bool patient, apart, replace;
  int rank, size;
  char *path, *partial;
  titan_checkpoint_tensor *tensors; // a copy
  int tensor_count;
  bool made;                                         // whether `partial` was made here: rank 0
  int64_t step;                                      // rank 0
  uint64_t regions_offset, rows_offset;              // rank 0: of the datasets /regions and /checksums
  int64_t first_slab, slab_count, done_slabs, slabs; // of this rank: its place in /checksums; of all
  titan_checkpoint_slab *rows;                       // [slab_count]
  int descriptor;                                    // of `partial`, or -1
  size_t piece;
  char *staging; // [piece], or NULL
  // The slab that is being written.
  titan_checkpoint_slab slab;
  int64_t added; // rows
  XXH64_state_t *hash;
  titan_checkpoint_edges edges; // what other ranks write
  double begun, opened;         // titan_clock_seconds
};

// Not collective. All of the bytes, at their place. TITAN_ERROR_CHECKPOINT with the path and the system's reason.
titan_status titan_checkpoint_writer_put(const titan_checkpoint_writer *writer, uint64_t offset, const void *data,
                                         size_t bytes);

// Not collective. Frees the memory, and closes the file; NULL is fine.
void titan_checkpoint_writer_destroy(titan_checkpoint_writer *writer);

// Rank 0: makes the file with everything in it but tensor data and checksums, takes the room, and sets the tensors'
// offsets.
titan_status titan_checkpoint_skeleton_create(titan_checkpoint_writer *writer, const char *hints,
                                              const titan_checkpoint_contents *contents);
// Rank 0, when all data and checksums are on the disk: its first block, and its name.
titan_status titan_checkpoint_skeleton_complete(titan_checkpoint_writer *writer, uint64_t *bytes);

#endif
