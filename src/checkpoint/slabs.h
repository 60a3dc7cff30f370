// SPDX-License-Identifier: Apache-2.0
// Checksums of files of format version 1: one for each slab, a rectangle that one rank wrote. The table has a row for
// each, as the ranks wrote them, and is read part by part. Private to file.c and check.c.
#ifndef TITAN_CHECKPOINT_SLABS_H
#define TITAN_CHECKPOINT_SLABS_H

#include "checkpoint/file.h"

// A row of the dataset /checksums.
typedef struct titan_checkpoint_slab {
  titan_checkpoint_section section;
  uint64_t checksum; // xxHash64 of its bytes, row after row, as they lie in the file
} titan_checkpoint_slab;

// Whether the slabs make up the tensors: all lie within, and their areas add up to the tensors'.
// TITAN_ERROR_CHECKPOINT.
titan_status titan_checkpoint_slabs_check(const titan_checkpoint_file *file, titan_checkpoint_fault *fault);

// titan_checkpoint_file_verify for a file with slabs.
titan_status titan_checkpoint_slabs_verify(const titan_checkpoint_file *file,
                                           bool (*wanted)(void *context, int64_t tensor), void *context,
                                           titan_checkpoint_fault *fault);

#endif
