// SPDX-License-Identifier: Apache-2.0
// The Llama 3 tokenizer: byte-pair encoding of pieces that a split pattern cuts, with a vocabulary in tiktoken's
// ".model" form (one "base64-of-the-bytes rank" a line), followed by 256 special tokens.
#ifndef TITAN_TOKENIZER_TOKENIZER_H
#define TITAN_TOKENIZER_TOKENIZER_H

#include "base/status.h"
#include <stdint.h>

enum { TITAN_TOKENIZER_SPECIAL_COUNT = 256 };

typedef struct titan_tokenizer titan_tokenizer;                 // never changes after creation: any number of threads
typedef struct titan_tokenizer_scratch titan_tokenizer_scratch; // one for each thread that encodes

// A growing array of token ids, owned by whoever holds it. Start with {0}.
typedef struct titan_token_buffer {
  int32_t *ids;
  size_t count, capacity;
} titan_token_buffer;

// Reads a whole file into memory. The caller frees *bytes with titan_memory_free. TITAN_ERROR_USAGE when it is missing
// or unreadable.
titan_status titan_tokenizer_read_file(const char *path, char **bytes, size_t *length);

// Makes a tokenizer from the `length` bytes of a .model file (not kept); `path` is for messages. TITAN_ERROR_DATA, with
// file:line, for broken base64, a missing, repeated or non-numeric rank, a repeated token, gaps in the ranks, a single
// byte without a token, an empty file.
titan_status titan_tokenizer_create(const char *bytes, size_t length, const char *path, titan_tokenizer **out);
void titan_tokenizer_destroy(titan_tokenizer **tokenizer);

// Working memory of one thread: buffers and a cache of pieces met before. It fits any tokenizer; changing the
// tokenizer empties the cache.
titan_status titan_tokenizer_scratch_create(titan_tokenizer_scratch **out);
void titan_tokenizer_scratch_destroy(titan_tokenizer_scratch **scratch);

// From now on the copy of a text that is repaired, and the work on a single word (40 bytes for each of its own), may
// take `bytes` together; more is TITAN_ERROR_DATA. 0, as scratch begins: no limit. What is less than 4 MiB is
// always allowed.
void titan_tokenizer_scratch_set_limit(titan_tokenizer_scratch *scratch, size_t bytes);
// Bytes of the repaired copy that is kept at present; 0 where it is less than 4 MiB.
size_t titan_tokenizer_scratch_repaired(const titan_tokenizer_scratch *scratch);

// Appends the ids of `text` to `out`, without BOS and EOS. Every maximal invalid subpart of UTF-8 counts as U+FFFD;
// *replaced (may be NULL) is how many there were. The text of special tokens is ordinary text. Time is O(n log n) for
// any text. Errors: TITAN_ERROR_MEMORY; TITAN_ERROR_DATA for a single piece of 2 GiB and more, or what goes beyond the
// limit of scratch.
titan_status titan_tokenizer_encode(const titan_tokenizer *tokenizer, titan_tokenizer_scratch *scratch,
                                    const char *text, size_t length, titan_token_buffer *out, uint64_t *replaced);

// The two steps of titan_tokenizer_encode, for callers that take a long text's ids part by part. First the text is made
// valid UTF-8: *text stays, or becomes a copy that scratch owns until the next call.
titan_status titan_tokenizer_repair(titan_tokenizer_scratch *scratch, const char **text, size_t *length,
                                    uint64_t *replaced);
// Then the ids of its front are appended to `out`: of whole pieces, up to the first that ends at or behind byte `least`
// (at least 1), *used bytes in all. The rest of the text, encoded so in turn, gives the ids that the whole has.
titan_status titan_tokenizer_encode_part(const titan_tokenizer *tokenizer, titan_tokenizer_scratch *scratch,
                                         const char *text, size_t length, size_t least, size_t *used,
                                         titan_token_buffer *out);

// The bytes of `count` ids one after another (special tokens: their names). The caller frees *bytes with
// titan_memory_free; a NUL follows the *length bytes. TITAN_ERROR_DATA for an id outside the vocabulary.
titan_status titan_tokenizer_decode(const titan_tokenizer *tokenizer, const int32_t *ids, size_t count, char **bytes,
                                    size_t *length);

int32_t titan_tokenizer_base_size(const titan_tokenizer *tokenizer);       // tokens in the file
int32_t titan_tokenizer_vocabulary_size(const titan_tokenizer *tokenizer); // those and the special ones
int32_t titan_tokenizer_bos(const titan_tokenizer *tokenizer);             // <|begin_of_text|>
int32_t titan_tokenizer_eos(const titan_tokenizer *tokenizer);             // <|end_of_text|>
size_t titan_tokenizer_longest(const titan_tokenizer *tokenizer);          // bytes of the longest token in the file

// A hash of all tokens in order: equal for equal vocabularies, on every machine.
uint64_t titan_tokenizer_fingerprint(const titan_tokenizer *tokenizer);

// Name of special token `index`, 0 to 255, written into `name`.
void titan_tokenizer_special_name(int index, char name[40]);

// Makes room for `count` more ids; appends one id.
titan_status titan_token_buffer_reserve(titan_token_buffer *buffer, size_t count);
titan_status titan_token_buffer_append(titan_token_buffer *buffer, int32_t id);
void titan_token_buffer_destroy(titan_token_buffer *buffer);

#endif
