// SPDX-License-Identifier: Apache-2.0
// Private to the index of a corpus file: its bytes. Numbers are in the byte order of the machine; where another machine
// reads them, the version does not fit.
#ifndef TITAN_DATA_CORPUS_INDEX_FORMAT_H
#define TITAN_DATA_CORPUS_INDEX_FORMAT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <xxhash.h>

#define INDEX_MAGIC "titanidx"

enum { INDEX_VERSION = 1, INDEX_BLOCK_BYTES = 4096, INDEX_BLOCK_DOCUMENTS = 339 };

// What tells a file of before.
typedef struct index_facts {
  int64_t size, seconds, nanoseconds; // bytes; time of the last change
} index_facts;

static inline index_facts index_facts_of(const struct stat *facts) {
  return (index_facts){facts->st_size, facts->st_mtim.tv_sec, facts->st_mtim.tv_nsec};
}

// At byte 0.
typedef struct index_header {
  char magic[8];
  uint32_t version, block_documents;
  index_facts file;
  int64_t documents;
  char unused[INDEX_BLOCK_BYTES - 56]; // zeros
  uint64_t hash;                       // of what is before it
} index_header;

// Block b is at byte (b + 1) * INDEX_BLOCK_BYTES: documents b * INDEX_BLOCK_DOCUMENTS and on. The entries of a last
// block that has fewer are zeros.
typedef struct index_block {
  uint64_t first_line;                        // of the first document, counted from 1
  uint64_t begins[INDEX_BLOCK_DOCUMENTS + 1]; // bytes; behind the last document: of the next block, or the file's end
  uint32_t lines[INDEX_BLOCK_DOCUMENTS];      // to be added to first_line
  uint32_t unused;                            // zero
  uint64_t hash;                              // of what is before it; its seed is b
} index_block;

_Static_assert(sizeof(index_header) == INDEX_BLOCK_BYTES, "a header takes a block");
_Static_assert(sizeof(index_block) == INDEX_BLOCK_BYTES, "a block has no gaps");

static inline uint64_t index_header_hash(const index_header *header) {
  return XXH64(header, offsetof(index_header, hash), 0);
}

static inline uint64_t index_block_hash(const index_block *block, int64_t number) {
  return XXH64(block, offsetof(index_block, hash), (uint64_t)number);
}

static inline int64_t index_block_count(int64_t documents) {
  return documents / INDEX_BLOCK_DOCUMENTS + (documents % INDEX_BLOCK_DOCUMENTS != 0);
}

#endif
