// SPDX-License-Identifier: Apache-2.0
// The tensors of a model in one safetensors file, or in several that an index names ("model.safetensors.index.json").
#ifndef TITAN_WEIGHTS_SAFETENSORS_SET_H
#define TITAN_WEIGHTS_SAFETENSORS_SET_H

#include "weights/safetensors.h"

typedef struct titan_safetensors_set {
  char *path, *folder; // as given; where its files lie ("" for the working folder, else with a slash at the end)
  int file_count, count;
  titan_safetensors **files;
  struct titan_safetensors_place {
    int file;
    const titan_safetensors_tensor *tensor; // of that file
  } * tensors;                              // [count], sorted by name
} titan_safetensors_set;

// Not collective. `path` is a safetensors file, an index (".json"), or a folder that holds either. What the index
// names must be there. TITAN_ERROR_CHECKPOINT with the path and what was expected.
titan_status titan_safetensors_set_open(const char *path, titan_safetensors_set **out);
// NULL handle is fine; the handle becomes NULL.
void titan_safetensors_set_close(titan_safetensors_set **set);

// Index of a tensor, -1 when there is none.
int titan_safetensors_set_find(const titan_safetensors_set *set, const char *name);
// Of the first file that has the key; NULL when none does.
const char *titan_safetensors_set_metadata(const titan_safetensors_set *set, const char *key);

// As titan_safetensors_read, of tensor `index`.
titan_status titan_safetensors_set_read(const titan_safetensors_set *set, int index, int64_t first, int64_t count,
                                        float *out);

#endif
