// SPDX-License-Identifier: Apache-2.0
// The commands of the program titan-checkpoint. Every one is collective over the ranks of `world`, which share the
// work; rank 0 prints to stdout. Failures come back agreed by all ranks.
#ifndef TITAN_TOOL_TOOL_H
#define TITAN_TOOL_TOOL_H

#include "comm/comm.h"
#include "weights/number.h"

typedef struct titan_tool {
  titan_comm *world;
  int rank, size;
  const char *program; // name and version, for files that are made
} titan_tool;

typedef struct titan_tool_arguments {
  int path_count;
  const char *const *paths; // what is no option, in order
  double tolerance;         // compare
  bool weights;             // compare: the model's tensors only
  bool has_number;          // export: whether `number` was given
  titan_number number;
  bool hugging_face;          // export
  uint64_t shard_bytes;       // export: largest file of a Hugging Face folder
  const char *tokenizer;      // export: file of the tokenizer; NULL where not given
  const char *model, *flavor; // import: NULL where not given
  bool untie;                 // import: an output tied to the embedding gets weights of its own
} titan_tool_arguments;

titan_status titan_tool_list(const titan_tool *tool, const titan_tool_arguments *arguments);
titan_status titan_tool_show(const titan_tool *tool, const titan_tool_arguments *arguments);
titan_status titan_tool_verify(const titan_tool *tool, const titan_tool_arguments *arguments);
titan_status titan_tool_compare(const titan_tool *tool, const titan_tool_arguments *arguments);
titan_status titan_tool_export(const titan_tool *tool, const titan_tool_arguments *arguments);
titan_status titan_tool_import(const titan_tool *tool, const titan_tool_arguments *arguments);

#endif
