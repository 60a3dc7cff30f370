// SPDX-License-Identifier: Apache-2.0
// Files in the safetensors format: a length of 8 bytes, a JSON header of that length, then the tensors' bytes. The
// format: https://github.com/huggingface/safetensors (README, "Format"). Not collective, all of it.
#ifndef TITAN_WEIGHTS_SAFETENSORS_H
#define TITAN_WEIGHTS_SAFETENSORS_H

#include "base/text.h"
#include "weights/number.h"

enum { TITAN_SAFETENSORS_DIMS = 8 };

typedef struct titan_safetensors_tensor {
  char *name;
  const char *type; // as in the file: "BF16"; static
  bool is_number;   // whether `number` says what the elements are; integers, say, cannot be read
  titan_number number;
  int rank;
  int64_t dims[TITAN_SAFETENSORS_DIMS], count; // elements
  uint64_t offset, bytes;                      // of the data, from the beginning of the file
} titan_safetensors_tensor;

typedef struct titan_safetensors_entry {
  char *key, *value;
} titan_safetensors_entry;

typedef struct titan_safetensors {
  char *path;
  int descriptor;
  int count, entry_count;
  titan_safetensors_tensor *tensors; // in the order of the header
  titan_safetensors_entry *entries;  // of "__metadata__"
} titan_safetensors;

// Opens a file and checks its header against the file's length: every tensor's bytes lie in the file, none overlap and
// none are left over. TITAN_ERROR_CHECKPOINT with the path and what was expected.
titan_status titan_safetensors_open(const char *path, titan_safetensors **out);
// NULL handle is fine; the handle becomes NULL.
void titan_safetensors_close(titan_safetensors **file);

// NULL when there is none.
const titan_safetensors_tensor *titan_safetensors_find(const titan_safetensors *file, const char *name);
const char *titan_safetensors_metadata(const titan_safetensors *file, const char *key);

// out[count] = elements [first, first + count) of the tensor, which must be a number, as float32.
titan_status titan_safetensors_read(const titan_safetensors *file, const titan_safetensors_tensor *tensor,
                                    int64_t first, int64_t count, float *out);

// Lays tensors (name, number, rank and dims set) out one after another in a file: sets type, count, offset and bytes
// of each, and appends to *header what the file begins with, its length included. *file_bytes: the whole file's.
titan_status titan_safetensors_layout(int count, titan_safetensors_tensor *tensors, int entry_count,
                                      const titan_safetensors_entry *entries, titan_text *header, uint64_t *file_bytes);

// Writes elements [first, first + count) of a tensor that titan_safetensors_layout has placed.
titan_status titan_safetensors_write(int descriptor, const char *path, const titan_safetensors_tensor *tensor,
                                     int64_t first, int64_t count, const float *values);

#endif
