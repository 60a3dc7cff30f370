// SPDX-License-Identifier: Apache-2.0
// What makes a checkpoint whole: the first TITAN_CHECKPOINT_BLOCK_BYTES of the file, which HDF5 leaves to the
// application (its "user block"). They are written last, and hold the file's length and a hash of every byte that is
// not tensor data; tensor data has checksums of its own (tiles.h). So a file that was cut or damaged is
// known for one before HDF5 sees it. docs/checkpoints.md has the layout byte by byte.
#ifndef TITAN_CHECKPOINT_FORMAT_H
#define TITAN_CHECKPOINT_FORMAT_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

enum { TITAN_CHECKPOINT_VERSION = 2, TITAN_CHECKPOINT_BLOCK_BYTES = 4096 };

// Why a file cannot be used.
typedef enum titan_checkpoint_fault {
  TITAN_CHECKPOINT_SOUND,
  TITAN_CHECKPOINT_DAMAGED,         // cut or altered
  TITAN_CHECKPOINT_FOREIGN,         // of another program, or no file at all
  TITAN_CHECKPOINT_UNKNOWN_VERSION, // of a format version that this program does not know
  TITAN_CHECKPOINT_SYSTEM,          // the system does not let us read it, or memory ran out
} titan_checkpoint_fault;

// A range of the file that holds tensor data.
typedef struct titan_checkpoint_region {
  uint64_t offset, bytes;
} titan_checkpoint_region;

typedef struct titan_checkpoint_block {
  uint64_t version;
  int64_t step;
  uint64_t file_bytes;
  uint64_t region_count, regions_offset; // where the file holds the table of regions, sorted by offset
  uint64_t regions_hash;                 // xxHash64 of that table
  uint64_t metadata_hash;                // xxHash64 of all bytes behind the block that are in no region, in order
} titan_checkpoint_block;

// All of these: not collective; TITAN_ERROR_CHECKPOINT with the path and what is wrong.

// Opens the file for reading. What is no file (a folder, a pipe, a device) is FOREIGN.
titan_status titan_checkpoint_open_descriptor(const char *path, int *descriptor, titan_checkpoint_fault *fault);

// Whether something is at `path` that this program has not written: by its first bytes, so that a damaged checkpoint is
// still one. False where it cannot be looked at.
bool titan_checkpoint_is_foreign(const char *path);

// Computes the hashes of the complete file and writes its block. `block` comes with version, step, region_count and
// regions_offset.
titan_status titan_checkpoint_block_seal(int descriptor, const char *path, titan_checkpoint_block *block);

// Gets bytes of the file that are not tensor data, in order.
typedef titan_status titan_checkpoint_keep(void *context, uint64_t offset, const void *data, size_t bytes);

// Reads and checks the block, and with it every byte that is not tensor data, which `keep` gets. *fault tells how it
// failed.
titan_status titan_checkpoint_block_check(int descriptor, const char *path, titan_checkpoint_block *block,
                                          titan_checkpoint_keep *keep, void *context, titan_checkpoint_fault *fault);

// Reads exactly `bytes` bytes. *fault is set on failure only.
titan_status titan_checkpoint_read_bytes(int descriptor, const char *path, uint64_t offset, void *out, size_t bytes,
                                         titan_checkpoint_fault *fault);

#endif
