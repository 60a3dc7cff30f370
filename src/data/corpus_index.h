// SPDX-License-Identifier: Apache-2.0
// Where the documents of a plain file of JSON lines begin. The index of FILE is FILE.index. titan-corpus writes it; the
// reader of a corpus goes to its own documents with it.
//
// Its form, in the byte order of the machine: a header and then blocks, of BLOCK_BYTES each (corpus_index.c). The
// header names the size and the time of change of FILE, which tell an index of before. A block has the places of
// BLOCK_DOCUMENTS documents and an XXH64 of its own, so that a reader holds one block whatever the size of the corpus.
#ifndef TITAN_DATA_CORPUS_INDEX_H
#define TITAN_DATA_CORPUS_INDEX_H

#include "base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TITAN_CORPUS_INDEX_ENDING ".index"

// Not collective. Writes the index of the file `path`; an older one is replaced once the new one is complete.
// *documents: those of the file. TITAN_ERROR_USAGE: a file that is missing, cannot be read, is a folder, a device or a
// pipe, or is gzip, which cannot be entered in its middle; TITAN_ERROR_DATA: a read error, a file that changes
// meanwhile; TITAN_ERROR_OUTPUT: an index that cannot be written.
titan_status titan_corpus_index_write(const char *path, int64_t *documents);

// --- reading ---

typedef struct titan_corpus_index titan_corpus_index; // belongs to one thread

enum { TITAN_CORPUS_INDEX_REASON_BYTES = 256 };

// Opens the index of the file `path`. *out is NULL where there is none, and where it does not fit the file or is
// damaged; reason[TITAN_CORPUS_INDEX_REASON_BYTES] says what differs then, and is "" otherwise. TITAN_ERROR_MEMORY.
titan_status titan_corpus_index_open(const char *path, char *reason, titan_corpus_index **out);
// NULL handle is fine; the handle becomes NULL.
void titan_corpus_index_close(titan_corpus_index **index);

int64_t titan_corpus_index_documents(const titan_corpus_index *index);
int64_t titan_corpus_index_file_size(const titan_corpus_index *index);

typedef struct titan_corpus_index_range {
  uint64_t begin, end; // bytes of the file; blank lines may lie before the end
  uint64_t line;       // of the first document, counted from 1
} titan_corpus_index_range;

// The range of documents document .. document+count-1 of the file, count at least 1. It ends earlier where the file or
// the index's block does. False where the block cannot be read or is damaged; `reason` as above.
bool titan_corpus_index_find(titan_corpus_index *index, int64_t document, int64_t count,
                             titan_corpus_index_range *range, char *reason);

// Bytes that an open index takes.
size_t titan_corpus_index_bytes(void);

#endif
