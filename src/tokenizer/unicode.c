// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/unicode.h"
#include "tokenizer/unicode_ranges.h"

#include <string.h>

static void fill_ranges(titan_unicode_classes *classes, const uint32_t (*ranges)[2], size_t count, unsigned value) {
  for (size_t i = 0; i < count; i++)
    for (uint32_t c = ranges[i][0]; c <= ranges[i][1]; c++)
      classes->packed[c >> 2] |= (uint8_t)(value << ((c & 3) * 2));
}

#define COUNT(array) (sizeof(array) / sizeof *(array))

void titan_unicode_classes_fill(titan_unicode_classes *classes) {
  memset(classes, 0, sizeof *classes);
  fill_ranges(classes, titan_unicode_letters, COUNT(titan_unicode_letters), TITAN_UNICODE_LETTER);
  fill_ranges(classes, titan_unicode_numbers, COUNT(titan_unicode_numbers), TITAN_UNICODE_NUMBER);
  fill_ranges(classes, titan_unicode_spaces, COUNT(titan_unicode_spaces), TITAN_UNICODE_SPACE);
}

// Length of the code point at `s` with `left` bytes; or, negated, of the invalid subpart there.
// The second byte's bounds rule out overlong forms, surrogates and what is beyond U+10FFFF (table 3-7 of the standard).
static int sequence_length(const unsigned char *s, size_t left) {
  unsigned char lead = s[0], low = 0x80, high = 0xbf;
  if (lead < 0x80)
    return 1;
  if (lead < 0xc2 || lead > 0xf4)
    return -1;
  int need = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  if (lead == 0xe0)
    low = 0xa0;
  else if (lead == 0xed)
    high = 0x9f;
  else if (lead == 0xf0)
    low = 0x90;
  else if (lead == 0xf4)
    high = 0x8f;
  for (int i = 1; i < need; i++) {
    if ((size_t)i >= left || s[i] < low || s[i] > high)
      return -i;
    low = 0x80;
    high = 0xbf;
  }
  return need;
}

size_t titan_utf8_valid_prefix(const char *text, size_t length) {
  const unsigned char *s = (const unsigned char *)text;
  size_t i = 0;
  while (i < length) {
    uint64_t word;
    if (length - i >= sizeof word) {
      memcpy(&word, s + i, sizeof word);
      if (!(word & 0x8080808080808080u)) {
        i += sizeof word;
        continue;
      }
    }
    int count = sequence_length(s + i, length - i);
    if (count < 0)
      return i;
    i += (size_t)count;
  }
  return length;
}

size_t titan_utf8_invalid_length(const char *text, size_t length) {
  int count = sequence_length((const unsigned char *)text, length);
  return (size_t)(count < 0 ? -count : count);
}
