// SPDX-License-Identifier: Apache-2.0
// Private to data/: what the files of the tokenizer share.
#ifndef TITAN_TOKENIZER_TOKENIZER_INTERNAL_H
#define TITAN_TOKENIZER_TOKENIZER_INTERNAL_H

#include "base/memory.h"
#include "tokenizer/byte_strings.h"
#include "tokenizer/split.h"
#include "tokenizer/tokenizer.h"

enum { TITAN_TOKENIZER_NO_RANK = INT32_MAX };

struct titan_tokenizer {
  titan_byte_strings tokens; // number = rank
  int32_t byte_ranks[256];
  uint64_t fingerprint;
  titan_unicode_classes classes;
};

// Rank of the token with these bytes, TITAN_TOKENIZER_NO_RANK when there is none.
static inline int32_t titan_tokenizer_rank(const titan_tokenizer *tokenizer, const unsigned char *bytes,
                                           size_t length) {
  if (length > tokenizer->tokens.longest)
    return TITAN_TOKENIZER_NO_RANK;
  int32_t number = titan_byte_strings_find(&tokenizer->tokens, bytes, length);
  return number < 0 ? TITAN_TOKENIZER_NO_RANK : number;
}

enum { TITAN_MERGE_SPACE_LARGE = 1 << 22 }; // bytes; more is given back after use, and is subject to a limit

// Working memory of titan_tokenizer_merge and titan_utf8_repair. Start with {0}.
typedef struct titan_merge_space {
  char *bytes;
  size_t capacity;
  size_t limit; // of capacity; 0: none
} titan_merge_space;

// Makes the space `bytes` large at least; what it held is lost. TITAN_ERROR_DATA, with `what` takes so much, beyond the
// limit.
titan_status titan_merge_space_reserve(titan_merge_space *space, size_t bytes, const char *what);
// Gives back what is large.
void titan_merge_space_shrink(titan_merge_space *space);

// Appends to `out` the ids that byte-pair merging gives for one piece of `length` >= 1 bytes: of all neighbours whose
// joined bytes are a token, those of the lowest rank are joined first, the leftmost among equals.
titan_status titan_tokenizer_merge(const titan_tokenizer *tokenizer, titan_merge_space *space,
                                   const unsigned char *piece, size_t length, titan_token_buffer *out);

// Points *text to valid UTF-8: the text itself, or a copy with U+FFFD for each invalid subpart in *repaired, grown as
// needed. *replaced is how many there were.
titan_status titan_utf8_repair(const char **text, size_t *length, titan_merge_space *repaired, uint64_t *replaced);

#endif
