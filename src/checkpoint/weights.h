// SPDX-License-Identifier: Apache-2.0
// Weights in safetensors, with our names or Hugging Face's, and which of them is which tensor of a model. Not
// collective: each rank opens what it reads.
#ifndef TITAN_CHECKPOINT_WEIGHTS_H
#define TITAN_CHECKPOINT_WEIGHTS_H

#include "checkpoint/file.h"
#include "weights/hugging_face.h"
#include "weights/safetensors_set.h"

typedef struct titan_weights {
  titan_safetensors_set *set;
  bool hugging_face;                // their names
  bool has_config;                  // a config.json lies beside them
  titan_hugging_face_config config; // what it says
  bool tied;                        // the output's weights are the embedding's: by config.json, or by our metadata
  // By titan_weights_match, [count] each:
  int *sources;   // index in the set
  int64_t *units; // rows that are ordered otherwise there: the head size H of wq and wk in Hugging Face's form, else 1
} titan_weights;

// `path`: see titan_safetensors_set_open. TITAN_ERROR_CHECKPOINT: it cannot be used, or config.json cannot.
titan_status titan_weights_open(const char *path, titan_weights **out);
// NULL handle is fine; the handle becomes NULL.
void titan_weights_close(titan_weights **weights);

// Finds each of tensors[count], by our names, whose heads have head_size elements. With Hugging Face's names, an
// output that is tied to the embedding is read from there. TITAN_ERROR_CHECKPOINT lists what is missing, of another
// shape (with both shapes) or type, and what is not part of the model; `model` names it.
titan_status titan_weights_match(titan_weights *weights, const char *model, int64_t head_size, int count,
                                 const titan_checkpoint_tensor *tensors);

// out[count] = elements of matched tensor `index` from `first` on, in the order of the file. TITAN_ERROR_CHECKPOINT
// also for values that are not finite.
titan_status titan_weights_read(const titan_weights *weights, int index, int64_t first, int64_t count, float *out);

#endif
