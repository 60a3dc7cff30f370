// SPDX-License-Identifier: Apache-2.0
// Loading weights in safetensors into a runtime, on any mesh.
#ifndef TITAN_STATE_LOAD_WEIGHTS_H
#define TITAN_STATE_LOAD_WEIGHTS_H

#include "checkpoint/weights.h"
#include "parallel/runtime.h"

// What there is to say of weights that were loaded.
typedef struct titan_weights_remarks {
  bool hugging_face; // their names
  bool untied;       // the output's weights are the embedding's there, and of their own in the run
  char unknown[200]; // of config.json, see titan_hugging_face_config
} titan_weights_remarks;

// Collective over the mesh. Each rank reads its part of the masters from `path` (see titan_safetensors_set_open) and
// publishes them; moments are left as they are. TITAN_ERROR_CHECKPOINT on all ranks: the files cannot be used,
// config.json is of another model (a list of what differs), the run's output is tied and theirs is not, tensors do not
// fit (a list with both shapes), or values are not finite; the masters are then undefined.
titan_status titan_checkpoint_load_weights(titan_runtime *runtime, const char *path, titan_weights_remarks *remarks);

#endif
