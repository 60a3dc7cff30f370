// SPDX-License-Identifier: Apache-2.0
// A tokenizer in the form of Hugging Face's tokenizers: tokenizer.json and tokenizer_config.json, which AutoTokenizer
// reads.
#ifndef TITAN_TOKENIZER_TOKENIZER_EXPORT_H
#define TITAN_TOKENIZER_TOKENIZER_EXPORT_H

#include "base/text.h"
#include "tokenizer/tokenizer.h"

// Append the file's text. The tokenizer there gives the ids of titan_tokenizer_encode, with BOS before them; but the
// text of a special token in a document is that token there, and ordinary text here. `length`: tokens of the longest
// sequence that the model was trained on. Errors: TITAN_ERROR_MEMORY.
titan_status titan_tokenizer_to_json(const titan_tokenizer *tokenizer, titan_text *text);
titan_status titan_tokenizer_config_to_json(const titan_tokenizer *tokenizer, int64_t length, titan_text *text);

#endif
