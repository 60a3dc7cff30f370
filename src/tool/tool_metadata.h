// SPDX-License-Identifier: Apache-2.0
// What goes with weights into files of other formats, and how an import finds out which model they are. Private to
// tool_*.c.
#ifndef TITAN_TOOL_TOOL_METADATA_H
#define TITAN_TOOL_TOOL_METADATA_H

#include "checkpoint/file.h"
#include "tool/tool.h"
#include "weights/hugging_face.h"
#include "weights/safetensors_set.h"

enum { TITAN_TOOL_ENTRIES = 8 };

typedef struct titan_tool_metadata {
  char step[24], scaling[120];
} titan_tool_metadata;

// Entries for "__metadata__" of a safetensors file; they borrow from contents and metadata. On ranks other than 0,
// whose contents lack texts, the lengths may differ: only rank 0 writes headers, and their length is rank 0's to tell.
void titan_tool_metadata_of(const titan_tool *tool, bool hugging_face, const titan_checkpoint_contents *contents,
                            titan_tool_metadata *metadata, titan_safetensors_entry *entries, int *count);

// config.json for a checkpoint's model.
titan_hugging_face_config titan_tool_config_of(const titan_checkpoint_contents *contents);

// Which model the tensors are: name and flavor (static), and all its arguments.
typedef struct titan_tool_model {
  const titan_model_definition *definition;
  char flavor[32];
  titan_model_arguments arguments;
} titan_tool_model;

// Not collective. From what the user says (model, flavor; NULL: nothing), config.json (NULL: there is none), the
// metadata of our own exports, and the tensors' shapes. TITAN_ERROR_CHECKPOINT when no flavor fits, or several.
titan_status titan_tool_model_find(const titan_safetensors_set *set, bool hugging_face,
                                   const titan_hugging_face_config *config, const char *name, const char *flavor,
                                   titan_tool_model *out);

// The parameters of a model, in the order of units: names, shapes, float32. *tensors is the caller's.
titan_status titan_tool_model_tensors(const titan_tool_model *model, titan_checkpoint_tensor **tensors, int *count);

#endif
