// SPDX-License-Identifier: Apache-2.0
// Unicode as the tokenizer needs it: classes of code points, and repair of invalid UTF-8.
#ifndef TITAN_TOKENIZER_UNICODE_H
#define TITAN_TOKENIZER_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TITAN_UNICODE_OTHER = 0, TITAN_UNICODE_LETTER = 1, TITAN_UNICODE_NUMBER = 2, TITAN_UNICODE_SPACE = 3 };

// Two bits for each code point: \p{L}, \p{N}, \s or none, as of Unicode 16.0.0.
typedef struct titan_unicode_classes {
  uint8_t packed[0x110000 / 4];
} titan_unicode_classes;

void titan_unicode_classes_fill(titan_unicode_classes *classes);

static inline unsigned titan_unicode_class(const titan_unicode_classes *classes, uint32_t code_point) {
  return classes->packed[code_point >> 2] >> ((code_point & 3) * 2) & 3u;
}

// Decodes the code point at `text`, which must be valid UTF-8; *length is its number of bytes.
static inline uint32_t titan_utf8_decode(const unsigned char *text, unsigned *length) {
  uint32_t c = text[0];
  if (c < 0x80) {
    *length = 1;
    return c;
  }
  if (c < 0xe0) {
    *length = 2;
    return (c & 0x1f) << 6 | (text[1] & 0x3fu);
  }
  if (c < 0xf0) {
    *length = 3;
    return (c & 0x0f) << 12 | (text[1] & 0x3fu) << 6 | (text[2] & 0x3fu);
  }
  *length = 4;
  return (c & 0x07) << 18 | (text[1] & 0x3fu) << 12 | (text[2] & 0x3fu) << 6 | (text[3] & 0x3fu);
}

// Number of bytes before the first that is not valid UTF-8 (surrogates and overlong forms are not); `length` when all
// are.
size_t titan_utf8_valid_prefix(const char *text, size_t length);

// Bytes of the maximal invalid subpart at `text` (the Unicode Standard, chapter 3.9, "U+FFFD Substitution of Maximal
// Subparts"), where titan_utf8_valid_prefix stopped: what one U+FFFD replaces. At least 1, at most 3.
size_t titan_utf8_invalid_length(const char *text, size_t length);

#endif
