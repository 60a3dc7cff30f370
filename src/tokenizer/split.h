// SPDX-License-Identifier: Apache-2.0
// Private to data/: the Llama 3 split pattern.
#ifndef TITAN_TOKENIZER_SPLIT_H
#define TITAN_TOKENIZER_SPLIT_H

#include "tokenizer/unicode.h"

// What titan_split_next implements. It is written by hand, and not given to a regular expression library, because ids
// must not depend on the Unicode version of a node's library, nor long runs on its stack and its limits; the tests
// hold it equal to PCRE2 running this very text.
#define TITAN_SPLIT_PATTERN                                                                                            \
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"             \
  "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

// End of the piece that starts at `at` < `end`; [at, end) must be valid UTF-8. Every byte belongs to a piece. Time is
// linear in the text: no byte is looked at more than a fixed number of times.
const unsigned char *titan_split_next(const titan_unicode_classes *classes, const unsigned char *at,
                                      const unsigned char *end);

#endif
