// SPDX-License-Identifier: Apache-2.0
// From a document's text to its tokens, in bounded memory: what a document of `limit` bytes takes beside its line is at
// most `limit` too, or the document is refused.
#ifndef TITAN_DATA_DOCUMENT_H
#define TITAN_DATA_DOCUMENT_H

#include "tokenizer/tokenizer.h"

typedef struct titan_document_encoder {
  const titan_tokenizer *tokenizer; // borrowed
  titan_tokenizer_scratch *scratch; // borrowed
  size_t limit;                     // of bytes, see titan_document_encode; 0: none
  titan_token_buffer ids;           // of a part; owned, start with {0}
  uint64_t to_come;                 // while `sink` is called: of ids at most, those of this call included
} titan_document_encoder;

// Gets count int32 ids, in order; they are valid during the call.
typedef titan_status titan_document_sink(void *context, const int32_t *ids, int64_t count);

// Gives BOS, the ids of text[length] and EOS to `sink`, part by part. *replaced: invalid UTF-8 sequences, each of which
// counts as U+FFFD. TITAN_ERROR_DATA, naming `where` (a file and line), when the tokens (4 bytes each), the repaired
// copy of a text with invalid UTF-8, and the work on a single word (40 bytes for each of its own) would take more than
// `limit` together; 4 MiB are always allowed.
titan_status titan_document_encode(titan_document_encoder *encoder, const char *text, size_t length, const char *where,
                                   titan_document_sink *sink, void *context, uint64_t *replaced);

void titan_document_encoder_destroy(titan_document_encoder *encoder);

#endif
