// SPDX-License-Identifier: Apache-2.0
// NCCL, opened when groups are made: a program with a GPU runs without it.
#ifndef TITAN_CUDA_NCCL_LIBRARY_H
#define TITAN_CUDA_NCCL_LIBRARY_H

#include "base/status.h"

#include <nccl.h>

// The oldest version that groups work with: the first with a configuration that names a communicator.
enum { TITAN_NCCL_OLDEST = NCCL_VERSION(2, 18, 0) };

typedef struct titan_nccl_library {
#define FUNCTION(name) __typeof__(name) *name;
#define LATER(name) __typeof__(name) *name; // NULL: this version lacks it
#include "cuda/nccl_functions.def"
#undef FUNCTION
#undef LATER
  int version; // as NCCL_VERSION
  // Of a group of more ranks than the first number, one rank in as many as the second makes an identifier.
  int most_at_one_identifier, ranks_per_identifier;
} titan_nccl_library;

// The library of this process, opened by the first call: the file that the environment variable TITAN_NCCL_LIBRARY
// names, or libnccl.so.2. TITAN_ERROR_DEVICE with the reason where it is missing, older than TITAN_NCCL_OLDEST, or
// lacks a function.
titan_status titan_nccl_library_open(const titan_nccl_library **out);
// "2.28.9"
void titan_nccl_version_text(int version, char *text, size_t size);

#endif
