// SPDX-License-Identifier: Apache-2.0
#ifndef TITAN_CHECKPOINT_WRITER_PRIVATE_H
#define TITAN_CHECKPOINT_WRITER_PRIVATE_H

#include "checkpoint/edges.h"
#include "checkpoint/tiles.h"
#include "checkpoint/writer.h"
#include "storage/hdf5_image.h"

#include <xxhash.h>

struct titan_checkpoint_writer {
  MPI_Comm comm;
  bool patient, apart, replace, verify;
  int rank, size;
  char *path, *partial;
  titan_checkpoint_tensor *tensors; // a copy
  int tensor_count;
  bool made;                       // whether `partial` was made here: rank 0
  int64_t step;                    // rank 0
  uint64_t regions_offset;         // rank 0: of the dataset /regions
  uint64_t checks_offset;          // rank 0: of the dataset /checksums
  uint64_t checks_hash;            // rank 0: of what was written there
  titan_hdf5_image *image;         // rank 0, with `verify`: what was written beside tensors and checksums
  int64_t slab_count, done_slabs;  // of this rank
  titan_checkpoint_section *slabs; // with `verify`: [slab_count]
  int64_t tile_count;              // of the file
  int64_t elements;                // that this rank has written
  titan_checkpoint_sums sums;
  int descriptor; // of `partial`, or -1
  size_t piece;
  char *staging; // [piece], or NULL
  // The slab that is being written.
  titan_checkpoint_section slab;
  int64_t added;                // rows
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
// Rank 0, when all data and checksums are on the disk: its first block (read back with `verify`), and its name.
titan_status titan_checkpoint_skeleton_complete(titan_checkpoint_writer *writer, uint64_t *bytes);

// Not collective; all ranks have brought what they wrote to the disk. Reads back the slabs that this rank has written,
// on rank 0 also /checksums and the structure, past the system's cache where it allows that. TITAN_ERROR_CHECKPOINT
// with the dataset and the place of the first difference.
titan_status titan_checkpoint_writer_verify(titan_checkpoint_writer *writer);
// Rank 0: the same for the first block of the sealed file.
titan_status titan_checkpoint_writer_verify_block(const titan_checkpoint_writer *writer);

#endif
