// SPDX-License-Identifier: Apache-2.0
// The safetensors files of an export: laid out, made by rank 0 as NAME.partial, written by all ranks, and given their
// names when all are complete. Nothing that is there is written over. Private to tool_*.c.
#ifndef TITAN_TOOL_TOOL_FILES_H
#define TITAN_TOOL_TOOL_FILES_H

#include "tool/tool.h"
#include "weights/safetensors.h"

typedef struct titan_tool_file {
  char *path, *partial; // owned
  int descriptor;
  bool made, named; // rank 0: under the one name, under the other
  int first, count; // of the tensors
  titan_text header;
  uint64_t bytes;
} titan_tool_file;

typedef struct titan_tool_files {
  int count, tensor_count;
  titan_tool_file *files;
  int *file_of;                      // [tensor_count]
  titan_safetensors_tensor *tensors; // borrowed
} titan_tool_files;

// Not collective. TITAN_ERROR_USAGE for what cannot be the name of an output: nothing, or, for a file, what ends in a
// slash.
titan_status titan_tool_check_name(const char *path, bool folder);
// TITAN_ERROR_USAGE, "<path> ends in <ending>, and <what is made>", where it has the ending of another kind of file.
titan_status titan_tool_check_ending(const char *path, const char *ending, const char *made);

// Not collective. Deals tensors, in order, to files of at most `limit` bytes of data each (0: one file). `path` is the
// file's, or, with `numbered`, that of a folder: model.safetensors in it, or model-00001-of-00003.safetensors and so
// on.
titan_status titan_tool_files_plan(const char *path, bool numbered, uint64_t limit, int tensor_count,
                                   titan_safetensors_tensor *tensors, int entry_count,
                                   const titan_safetensors_entry *entries, titan_tool_files *files);
// Collective. Makes and opens them; the room they need is taken. All ranks get the places of tensors that rank 0 has
// planned (what a header holds beside tensors, and so its length, need not be known to the others). The ranks' status
// is not agreed on.
titan_status titan_tool_files_create(const titan_tool *tool, titan_tool_files *files);
// Collective. With the ranks' status: everything is on the disk under its name, or nothing is left.
titan_status titan_tool_files_finish(const titan_tool *tool, titan_tool_files *files, titan_status status);
void titan_tool_files_destroy(titan_tool_files *files);

// Not collective. Writes a small file whole.
titan_status titan_tool_write_text(const char *path, const titan_text *text);

#endif
