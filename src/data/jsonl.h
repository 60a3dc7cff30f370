// SPDX-License-Identifier: Apache-2.0
// Documents of a JSON-lines file, plain or gzip (recognised by content): one JSON object a line, its "text" field is
// the document. A reader belongs to one thread at a time.
#ifndef TITAN_DATA_JSONL_H
#define TITAN_DATA_JSONL_H

#include "base/status.h"
#include <stdbool.h>
#include <stdint.h>

typedef struct titan_jsonl titan_jsonl;

// Opens `path` (copied) before its first document. TITAN_ERROR_USAGE when the file is missing, unreadable or a folder.
titan_status titan_jsonl_open(const char *path, titan_jsonl **out);

// From now on a line of more than `bytes` bytes is TITAN_ERROR_DATA, with file:line, in reading and in passing over; 0:
// no limit, as a reader begins.
void titan_jsonl_set_limit(titan_jsonl *reader, size_t bytes);
// Bytes that an open reader takes at most, when its lines have the limit `limit`.
size_t titan_jsonl_bytes(size_t limit);

// Reads the next document; blank lines are passed over. *text points to *length bytes that the reader owns, valid until
// the next call on it. The bytes may hold NUL (\u0000) and, where the file does, invalid UTF-8; an escaped surrogate
// without its partner becomes U+FFFD. Of repeated "text" fields the last counts. At the end of the file *end is true,
// *text NULL and *length 0. TITAN_ERROR_DATA, with file:line, for broken JSON, a line that is no object, a missing text
// field or one that is no string, and for damaged or truncated gzip data and what follows them (with the byte of the
// file).
titan_status titan_jsonl_next(titan_jsonl *reader, const char **text, size_t *length, bool *end);

// Passes over the next document without parsing it; *end as above.
titan_status titan_jsonl_skip(titan_jsonl *reader, bool *end);

// Goes back to before the first document.
titan_status titan_jsonl_rewind(titan_jsonl *reader);

// Of a plain file, when its documents' places are known (corpus_index.h): the next line read is number `line` (counted
// from 1), which begins at byte `begin`. TITAN_ERROR_DATA where no line begins there: the file has changed since.
titan_status titan_jsonl_seek(titan_jsonl *reader, uint64_t begin, uint64_t line);
// What will be read next ends before byte `end` of the file, so that no more is read ahead than that; 0: nothing is
// known, as a reader begins.
void titan_jsonl_expect(titan_jsonl *reader, uint64_t end);

// Where the line of the last document begins, in bytes of a plain file; and whether the file is gzip.
uint64_t titan_jsonl_begin(const titan_jsonl *reader);
bool titan_jsonl_is_gzip(const titan_jsonl *reader);

// Line of the last document, counted from 1 (0 before the first), and the file's name: for messages.
uint64_t titan_jsonl_line(const titan_jsonl *reader);
const char *titan_jsonl_path(const titan_jsonl *reader);

// How many lone surrogate escapes were replaced since the reader was opened.
uint64_t titan_jsonl_replaced(const titan_jsonl *reader);

// Closes the file and sets *reader to NULL; NULL is fine.
void titan_jsonl_close(titan_jsonl **reader);

#endif
