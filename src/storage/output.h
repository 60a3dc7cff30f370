// SPDX-License-Identifier: Apache-2.0
// Files that are written whole: a file has its name only once all of it is on the disk.
#ifndef TITAN_STORAGE_OUTPUT_H
#define TITAN_STORAGE_OUTPUT_H

#include "base/status.h"
#include "base/text.h"

typedef struct titan_output titan_output;

typedef enum titan_output_mode {
  TITAN_OUTPUT_REPLACE, // the finished file replaces one of its name; what fails before leaves that one as it was
  TITAN_OUTPUT_NEW,     // a file of that name is an error, at the start and at the end
} titan_output_mode;

// Not collective. Begins the file `path` (copied), whose folder exists, under a name of its own beside it,
// "<path>.<process>.<number>.partial". Where `path` is a symbolic link, the file it leads to is the one replaced. A
// device, a pipe or a socket keeps its name: it is written to directly, and so is what /dev/stdout, /dev/fd and /proc
// name. TITAN_ERROR_OUTPUT, "cannot write <path>: <reason>", also for a folder.
titan_status titan_output_create(const char *path, titan_output_mode mode, titan_output **out);

// The open file, for libraries that write by themselves; titan_output_finish closes it.
int titan_output_descriptor(const titan_output *output);
const char *titan_output_path(const titan_output *output);

// Appends. TITAN_ERROR_OUTPUT as above.
titan_status titan_output_write(titan_output *output, const void *bytes, size_t count);

// Writes to the disk what the system still holds (fsync), and gives the file its name; the handle becomes NULL. On
// failure the partial file is removed, and an older file of the name is as it was.
titan_status titan_output_finish(titan_output **output);

// Gives the file up: removes what was written. NULL handle is fine; the handle becomes NULL.
void titan_output_discard(titan_output **output);

// Creates, writes and finishes.
titan_status titan_output_write_text(const char *path, titan_output_mode mode, const titan_text *text);

// Not collective. TITAN_ERROR_USAGE where the output would replace `input`: both names lead to one regular file. To be
// called before the input is read.
titan_status titan_output_check_input(const char *output, const char *input);

#endif
