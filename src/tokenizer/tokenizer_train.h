// SPDX-License-Identifier: Apache-2.0
// Byte-pair training of a vocabulary for titan_tokenizer, with its split pattern. Deterministic: the result depends on
// the texts alone, and not on their order.
#ifndef TITAN_TOKENIZER_TOKENIZER_TRAIN_H
#define TITAN_TOKENIZER_TOKENIZER_TRAIN_H

#include "base/status.h"
#include "base/text.h"
#include <stdint.h>

typedef struct titan_tokenizer_trainer titan_tokenizer_trainer;

titan_status titan_tokenizer_trainer_create(titan_tokenizer_trainer **out);

// Splits a text into pieces and counts them; invalid UTF-8 counts as U+FFFD, as in encoding.
titan_status titan_tokenizer_trainer_add(titan_tokenizer_trainer *trainer, const char *text, size_t length);

// Trains a vocabulary of `vocabulary_size` >= 256 tokens and appends the .model file's text to `model`; once for a
// trainer. Tokens 0 to 255 are the bytes. Each further token joins the pair of neighbours that is met most often; of
// equally frequent pairs the one with the smallest left rank, and among those the smallest right rank. TITAN_ERROR_DATA
// when no pair is met twice before the size is reached; TITAN_ERROR_USAGE for a size that is too small.
titan_status titan_tokenizer_trainer_finish(titan_tokenizer_trainer *trainer, int64_t vocabulary_size,
                                            titan_text *model);

// Distinct pieces and bytes counted so far.
uint64_t titan_tokenizer_trainer_pieces(const titan_tokenizer_trainer *trainer);
uint64_t titan_tokenizer_trainer_bytes(const titan_tokenizer_trainer *trainer);

void titan_tokenizer_trainer_destroy(titan_tokenizer_trainer **trainer);

#endif
