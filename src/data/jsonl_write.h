// SPDX-License-Identifier: Apache-2.0
// Files of JSON lines, written whole: a file has its name once it is complete (see storage/output.h).
#ifndef TITAN_DATA_JSONL_WRITE_H
#define TITAN_DATA_JSONL_WRITE_H

#include "base/status.h"

typedef struct titan_jsonl_writer titan_jsonl_writer;

// Begins the file `path`, gzip where its name ends in ".gz". TITAN_ERROR_OUTPUT when it cannot be written.
titan_status titan_jsonl_create(const char *path, titan_jsonl_writer **out);

// Writes the line {"text": "..."} with these bytes, which are valid UTF-8. TITAN_ERROR_OUTPUT as above.
titan_status titan_jsonl_write(titan_jsonl_writer *writer, const char *text, size_t length);

// Completes the file; the handle becomes NULL. On failure an older file of the name is as it was.
titan_status titan_jsonl_finish(titan_jsonl_writer **writer);

// Removes what was written. NULL handle is fine; the handle becomes NULL.
void titan_jsonl_discard(titan_jsonl_writer **writer);

#endif
