// SPDX-License-Identifier: Apache-2.0
// The windows of a validation corpus, the same ones in each round.
//
// The tokens of the corpus, once: its documents in order, each as BOS, text, EOS. They are cut into windows of
// L+1 = seq_len+1 tokens that do not overlap, as the lane of a global batch of 1 is (loader.h): window w begins at
// token w (L+1); its first L tokens are the input, its last L the labels. A last window of 2 to L tokens counts as
// well; what it lacks has the token 0 and the label TITAN_VALIDATION_NO_LABEL. So has each window behind the last one.
//
// A step of R data-parallel ranks with batches of B takes R*B windows, of which rank r takes r*B .. r*B+B-1: the
// windows of a round, and with them the sum and the number of their token losses, do not depend on R and B. Every rank
// reads the whole corpus and passes over other ranks' windows; it holds one document and one window.
#ifndef TITAN_DATA_VALIDATION_H
#define TITAN_DATA_VALIDATION_H

#include "data/corpus.h"
#include "tokenizer/tokenizer.h"

enum { TITAN_VALIDATION_NO_LABEL = -1 }; // the token that would be predicted is not there, and is not counted

typedef struct titan_validation_data_options {
  const titan_corpus *corpus;       // borrowed
  const titan_tokenizer *tokenizer; // borrowed
  int64_t seq_len;                  // L, at least 1
  size_t document_limit;            // bytes of a line at most; 0: none
  bool quiet;                       // leave warnings to another rank
} titan_validation_data_options;

typedef struct titan_validation_data titan_validation_data;

// Reads the corpus as far as its first text and the end of its first window, so that a corpus without these is told
// before a long run. Not collective. TITAN_ERROR_USAGE: a seq_len below 1, or a file that cannot be opened;
// TITAN_ERROR_DATA: a corpus without a document or without text, or of fewer than L+1 tokens, and what titan_jsonl_next
// reports.
titan_status titan_validation_data_create(const titan_validation_data_options *options, titan_validation_data **out);

// NULL handle is fine; the handle becomes NULL.
void titan_validation_data_destroy(titan_validation_data **data);

// *exists = whether the corpus has window `window`. Reads as far as that; windows before it cannot be had any more in
// this round. All ranks that ask for the same window get the same answer, so that a round ends for all in the same
// step. Not collective. Errors as titan_validation_data_next.
titan_status titan_validation_data_has(titan_validation_data *data, int64_t window, bool *exists);

// Overwrites tokens_BL and labels_BL, each [count][seq_len] int32, with windows first .. first+count-1. Windows come in
// rising order, some may be left out; one that was passed is TITAN_ERROR_INTERNAL. Not collective. TITAN_ERROR_USAGE: a
// file that cannot be opened; TITAN_ERROR_DATA: what titan_jsonl_next reports, and a corpus with another number of
// tokens than in the round before. After an error, titan_validation_data_rewind comes first.
titan_status titan_validation_data_next(titan_validation_data *data, int64_t first, int64_t count, int32_t *tokens_BL,
                                        int32_t *labels_BL);

// Begins the next round. Not collective.
titan_status titan_validation_data_rewind(titan_validation_data *data);

// Windows of the corpus; -1 until a round has come to its end.
int64_t titan_validation_data_window_count(const titan_validation_data *data);

// Bytes that it takes, as if a document had as many tokens as two windows.
size_t titan_validation_data_bytes(int64_t seq_len);

#endif
