// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/split.h"

enum {
  OTHER = TITAN_UNICODE_OTHER,
  LETTER = TITAN_UNICODE_LETTER,
  NUMBER = TITAN_UNICODE_NUMBER,
  SPACE = TITAN_UNICODE_SPACE
};

// Class of the code point at `at` and its length in bytes.
static inline unsigned classify(const titan_unicode_classes *classes, const unsigned char *at, unsigned *length) {
  uint32_t c = titan_utf8_decode(at, length);
  return titan_unicode_class(classes, c);
}

// End of the run of code points of one class that starts at `at`.
static inline const unsigned char *run_end(const titan_unicode_classes *classes, const unsigned char *at,
                                           const unsigned char *end, unsigned class) {
  unsigned length;
  while (at < end && classify(classes, at, &length) == class)
    at += length;
  return at;
}

static inline bool is_newline(unsigned char c) {
  return c == '\r' || c == '\n';
}

// (?i:'s|'t|'re|'ve|'m|'ll|'d) behind the apostrophe: its length there, or 0. U+017F (long s) folds to s.
static unsigned contraction_length(const unsigned char *at, const unsigned char *end) {
  if (at == end)
    return 0;
  unsigned char first = at[0] | 0x20, second = end - at > 1 ? at[1] | 0x20 : 0;
  if ((at[0] & 0x80) != 0)
    return at[0] == 0xc5 && at[1] == 0xbf ? 2 : 0;
  if (first == 's' || first == 't' || first == 'm' || first == 'd')
    return 1;
  if ((first == 'r' || first == 'v') && second == 'e')
    return 2;
  return first == 'l' && second == 'l' ? 2 : 0;
}

// \s*[\r\n]+|\s+(?!\S)|\s+ : up to the last newline of the run; without one, the run but its last code point, which is
// left to what follows; all of it at the end of the text or when it is a single one.
static const unsigned char *space_end(const titan_unicode_classes *classes, const unsigned char *at,
                                      const unsigned char *end) {
  const unsigned char *last = at, *newline = 0, *p = at;
  unsigned length;
  while (p < end && classify(classes, p, &length) == SPACE) {
    if (is_newline(*p))
      newline = p;
    last = p;
    p += length;
  }
  if (newline)
    return newline + 1;
  return p == end || last == at ? p : last;
}

// The alternatives are tried in the pattern's order; each comment names the one that matches.
const unsigned char *titan_split_next(const titan_unicode_classes *classes, const unsigned char *at,
                                      const unsigned char *end) {
  unsigned length, next_length;
  unsigned class = classify(classes, at, &length);
  if (class == LETTER) // \p{L}+
    return run_end(classes, at + length, end, LETTER);
  if (*at == '\'') {
    unsigned contraction = contraction_length(at + 1, end);
    if (contraction > 0)
      return at + 1 + contraction;
  }
  const unsigned char *next = at + length;
  if (class == NUMBER) { // \p{N}{1,3}
    for (int i = 1; i < 3 && next < end && classify(classes, next, &length) == NUMBER; i++)
      next += length;
    return next;
  }
  unsigned next_class = next < end ? classify(classes, next, &next_length) : SPACE;
  if (next_class == LETTER && !is_newline(*at)) // [^\r\n\p{L}\p{N}]\p{L}+
    return run_end(classes, next + next_length, end, LETTER);
  if (class == OTHER || (*at == ' ' && next < end && next_class == OTHER)) { //  ?[^\s\p{L}\p{N}]+[\r\n]*
    next = run_end(classes, next, end, OTHER);
    while (next < end && is_newline(*next))
      next++;
    return next;
  }
  return space_end(classes, at, end);
}
