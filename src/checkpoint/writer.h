// SPDX-License-Identifier: Apache-2.0
// Writing one checkpoint file by all ranks of a communicator. The file is made as PATH.partial and becomes PATH when it
// is complete and on the disk: whoever looks sees a whole file or none.
//
// Rank 0 alone deals with HDF5: it makes the structure with all datasets in their final places, and takes the room, so
// that a full disk is found before any data is written. All ranks then write their slabs to those places by plain
// writes of their own. No call in which ranks wait for each other touches the disk, so a failure of it, on one rank or
// on all, is a status that all get.
#ifndef TITAN_CHECKPOINT_WRITER_H
#define TITAN_CHECKPOINT_WRITER_H

#include "checkpoint/file.h"

#include <mpi.h>

// Bytes of working memory that a writer takes where slabs are converted, and the longest piece that is written at once.
enum { TITAN_CHECKPOINT_STAGING_BYTES = 16 << 20 };

typedef struct titan_checkpoint_writer titan_checkpoint_writer;

typedef struct titan_checkpoint_writer_options {
  MPI_Comm comm;     // borrowed; of one rank for a serial program. Nothing else may use it meanwhile
  bool patient;      // wait for other ranks asleep: another thread computes
  bool staging;      // take the working memory; without, slabs must be float32
  bool apart;        // ranks are on several nodes: no two of them write into one page of the file
  size_t piece;      // bytes, instead of TITAN_CHECKPOINT_STAGING_BYTES; 0: those
  const char *path;  // of the finished file
  bool replace;      // a file that is there already; without, that is a failure
  bool verify;       // read the file back before it gets its name; a difference is a failure of the save
  const char *hints; // MPI-IO's, "name=value,...", or NULL
  const titan_checkpoint_contents *contents; // on rank 0
  int tensor_count;                          // alike on all ranks; `offset` is not looked at
  const titan_checkpoint_tensor *tensors;
  size_t tile_bytes;  // instead of TITAN_CHECKPOINT_TILE_BYTES; 0: those
  int64_t slab_count; // slabs, rectangles of tensors, that this rank will write
  int64_t
      sum_count; // numbers of tiles that they touch at most (tiles.h), for which memory is taken at once; 0: not known
} titan_checkpoint_writer_options;

// Collective. TITAN_ERROR_CHECKPOINT on all ranks, with what went wrong on the lowest failing one, and no file left;
// PATH.partial must not be there.
titan_status titan_checkpoint_writer_create(const titan_checkpoint_writer_options *options,
                                            titan_checkpoint_writer **out);

// Not collective. Writes a slab, given as float32 rows of slab->columns elements that begin `stride` elements apart,
// in the tensor's type. TITAN_ERROR_CHECKPOINT for a finite value that the type cannot hold.
titan_status titan_checkpoint_writer_write(titan_checkpoint_writer *writer, const titan_checkpoint_section *slab,
                                           const float *data, int64_t stride);

// Not collective. The same in parts: `rows` rows after those that came before, until the slab has all of its own.
titan_status titan_checkpoint_writer_begin(titan_checkpoint_writer *writer, const titan_checkpoint_section *slab);
titan_status titan_checkpoint_writer_add(titan_checkpoint_writer *writer, int64_t rows, const float *data,
                                         int64_t stride);
titan_status titan_checkpoint_writer_end(titan_checkpoint_writer *writer);

typedef struct titan_checkpoint_written {
  uint64_t bytes; // the file's length (rank 0)
  // Seconds of this rank, in the order in which they pass: until the file is made and open; from there to the last
  // slab; waiting for other ranks' slabs; bringing it to the disk, verifying it, and its name.
  double create_seconds, write_seconds, wait_seconds, flush_seconds;
} titan_checkpoint_written;

// Bytes of memory (tag CHECKPOINT) that verifying takes on a rank that has written so many bytes, when the working
// memory of `staging` has been given back. Tables of slabs and tiles, 40 and 16 bytes for each of the rank's, have the
// tag GENERAL.
size_t titan_checkpoint_writer_verify_bytes(uint64_t bytes);

// Collective. Completes the file, or, where a rank passes a failure or meets one, removes it; frees the writer.
// *written (may be NULL) is set on success.
titan_status titan_checkpoint_writer_finish(titan_checkpoint_writer **writer, titan_status status,
                                            titan_checkpoint_written *written);

#endif
