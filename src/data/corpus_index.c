// SPDX-License-Identifier: Apache-2.0
#include "data/corpus_index.h"

#include "base/memory.h"
#include "base/text.h"
#include "data/corpus_index_format.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct titan_corpus_index {
  int descriptor;
  int64_t documents, file_size;
  int64_t number; // of the block that is held; -1: none
  index_block block;
};

#define EXPLAIN(reason, ...) snprintf((reason), TITAN_CORPUS_INDEX_REASON_BYTES, __VA_ARGS__)

// Reads the block at `offset`, whole.
static bool read_block(int descriptor, void *bytes, int64_t offset, char *reason) {
  for (size_t done = 0; done < INDEX_BLOCK_BYTES;) {
    ssize_t got = pread(descriptor, (char *)bytes + done, INDEX_BLOCK_BYTES - done, offset + (int64_t)done);
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0) {
      EXPLAIN(reason, "%s", got < 0 ? strerror(errno) : "it is truncated");
      return false;
    }
    done += (size_t)got;
  }
  return true;
}

static bool fits_file(const index_facts *made_of, const char *path, char *reason) {
  struct stat facts;
  if (stat(path, &facts) != 0) {
    EXPLAIN(reason, "the file: %s", strerror(errno));
    return false;
  }
  index_facts now = index_facts_of(&facts);
  if (now.size != made_of->size)
    EXPLAIN(reason, "it was made of %" PRId64 " bytes, and the file has %" PRId64, made_of->size, now.size);
  else if (now.seconds != made_of->seconds || now.nanoseconds != made_of->nanoseconds)
    EXPLAIN(reason, "the file was changed at %" PRId64 ".%09" PRId64 " s, and the index is of %" PRId64 ".%09" PRId64,
            now.seconds, now.nanoseconds, made_of->seconds, made_of->nanoseconds);
  else
    return true;
  return false;
}

static bool check_header(titan_corpus_index *index, const char *path, char *reason) {
  index_header header;
  struct stat facts;
  if (!read_block(index->descriptor, &header, 0, reason))
    return false;
  if (memcmp(header.magic, INDEX_MAGIC, sizeof header.magic) != 0)
    EXPLAIN(reason, "it is no index of documents");
  else if (header.version != INDEX_VERSION || header.block_documents != INDEX_BLOCK_DOCUMENTS)
    EXPLAIN(reason, "it has version %" PRIu32 ", expected %d", header.version, INDEX_VERSION);
  else if (header.hash != index_header_hash(&header))
    EXPLAIN(reason, "it is damaged (checksum of the header)");
  else if (fstat(index->descriptor, &facts) != 0)
    EXPLAIN(reason, "%s", strerror(errno));
  else if (facts.st_size != (index_block_count(header.documents) + 1) * INDEX_BLOCK_BYTES)
    EXPLAIN(reason, "it has %" PRId64 " bytes, expected %" PRId64, (int64_t)facts.st_size,
            (index_block_count(header.documents) + 1) * INDEX_BLOCK_BYTES);
  else if (fits_file(&header.file, path, reason)) {
    index->documents = header.documents;
    index->file_size = header.file.size;
    return true;
  }
  return false;
}

titan_status titan_corpus_index_open(const char *path, char *reason, titan_corpus_index **out) {
  titan_text name = {0};
  titan_corpus_index *index = NULL;
  titan_status status;
  bool fits = false;
  *out = NULL;
  reason[0] = '\0';
  TITAN_TRY_CLEANUP(titan_text_printf(&name, "%s%s", path, TITAN_CORPUS_INDEX_ENDING));
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_DATA, 1, sizeof *index, &index));
  index->number = -1;
  index->descriptor = open(name.data, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (index->descriptor >= 0)
    fits = check_header(index, path, reason);
  else if (errno != ENOENT)
    EXPLAIN(reason, "%s", strerror(errno));
cleanup:
  if (!fits)
    titan_corpus_index_close(&index);
  *out = index;
  titan_text_destroy(&name);
  return status;
}

void titan_corpus_index_close(titan_corpus_index **index) {
  if (*index == NULL)
    return;
  if ((*index)->descriptor >= 0)
    close((*index)->descriptor);
  titan_memory_free(*index);
  *index = NULL;
}

int64_t titan_corpus_index_documents(const titan_corpus_index *index) {
  return index->documents;
}

int64_t titan_corpus_index_file_size(const titan_corpus_index *index) {
  return index->file_size;
}

static bool hold_block(titan_corpus_index *index, int64_t number, char *reason) {
  if (index->number == number)
    return true;
  index->number = -1;
  if (!read_block(index->descriptor, &index->block, (number + 1) * INDEX_BLOCK_BYTES, reason))
    return false;
  if (index->block.hash != index_block_hash(&index->block, number)) {
    EXPLAIN(reason, "it is damaged (checksum of block %" PRId64 ")", number);
    return false;
  }
  index->number = number;
  return true;
}

bool titan_corpus_index_find(titan_corpus_index *index, int64_t document, int64_t count,
                             titan_corpus_index_range *range, char *reason) {
  int64_t number = document / INDEX_BLOCK_DOCUMENTS, first = document % INDEX_BLOCK_DOCUMENTS;
  int64_t in_block = index->documents - number * INDEX_BLOCK_DOCUMENTS;
  if (in_block > INDEX_BLOCK_DOCUMENTS)
    in_block = INDEX_BLOCK_DOCUMENTS;
  if (!hold_block(index, number, reason))
    return false;
  int64_t behind = count < in_block - first ? first + count : in_block;
  *range = (titan_corpus_index_range){.begin = index->block.begins[first],
                                      .end = index->block.begins[behind],
                                      .line = index->block.first_line + index->block.lines[first]};
  return true;
}

size_t titan_corpus_index_bytes(void) {
  return sizeof(titan_corpus_index);
}
