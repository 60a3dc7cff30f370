#ifndef TITAN_CHECKPOINT_WRITER_PRIVATE_H
#define TITAN_CHECKPOINT_WRITER_PRIVATE_H

#include "checkpoint/writer.h"

#include <hdf5.h>

struct titan_checkpoint_writer {
  MPI_Comm comm;
  bool patient;
  int rank;
  char *path, *partial;
  titan_checkpoint_tensor *tensors; // a copy; offsets on rank 0 only
  int tensor_count;
  bool replace, made;                                // whether `partial` was made here: rank 0
  int64_t step;                                      // rank 0
  uint64_t regions_offset;                           // rank 0
  int64_t first_slab, slab_count, done_slabs, slabs; // of this rank: its place in /checksums; of all
  titan_checkpoint_slab *rows;                       // [slab_count]
  hid_t file, dataset;                               // open, or -1
  int64_t dataset_tensor;                            // that `dataset` is of
  float *staging;
  double begun, opened; // titan_clock_seconds
};

// Rank 0: makes the file with everything in it but tensor data and checksums, and takes the room.
titan_status titan_checkpoint_skeleton_create(titan_checkpoint_writer *writer, const char *hints,
                                              const titan_checkpoint_contents *contents);
// Rank 0, when all data is written and the file closed: its first block, and its name.
titan_status titan_checkpoint_skeleton_complete(titan_checkpoint_writer *writer, uint64_t *bytes);

#endif
