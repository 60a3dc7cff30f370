// SPDX-License-Identifier: Apache-2.0
// Appending text: capital letters, and "a" or "an".
#include "corpus_generator/corpus_generate_internal.h"

#include <ctype.h>
#include <string.h>

// "a" becomes "an" by the next word's first letter; sounds that spelling hides: a useful unit, an hour.
static bool wants_an(const char *word) {
  if (strncasecmp(word, "hour", 4) == 0 || strncasecmp(word, "honest", 6) == 0)
    return true;
  if (strncasecmp(word, "us", 2) == 0 || strncasecmp(word, "uni", 3) == 0 || strncasecmp(word, "one", 3) == 0)
    return false;
  return word[0] != '\0' && strchr("aeiouAEIOU8", word[0]) != NULL;
}

static titan_status settle_article(titan_corpus_generator *generator, const char *word) {
  size_t at = generator->article;
  if (at == 0 || word[0] == ' ' || word[0] == '\0')
    return TITAN_OK;
  generator->article = 0;
  if (!wants_an(word))
    return TITAN_OK;
  titan_text *out = generator->out;
  TITAN_TRY(titan_text_append(out, "n", 1));
  memmove(out->data + at + 1, out->data + at, out->length - 1 - at);
  out->data[at] = 'n';
  return TITAN_OK;
}

static bool last_is(const titan_text *out, const char *set) {
  size_t length = out->length;
  while (length > 0 && out->data[length - 1] == ' ')
    length--;
  return length == 0 || strchr(set, out->data[length - 1]) != NULL;
}

titan_status titan_generate_emit(titan_corpus_generator *generator, const char *text, size_t length) {
  static const char open_quote[] = "“", close_quote[] = "”";
  if (generator->article != 0)
    TITAN_TRY(settle_article(generator, text));
  titan_text *out = generator->out;
  for (size_t i = 0; i < length; i++) {
    char c = text[i];
    if (c == '.' || c == '!' || c == '?')
      generator->ended = true;
    else if (c == ' ' || c == '\n') {
      generator->capital |= generator->ended || (c == '\n' && out->length > 0 && out->data[out->length - 1] == '\n');
      generator->ended = false;
    } else if (strncmp(text + i, open_quote, 3) == 0) {
      generator->capital |= last_is(out, ",:.!?\n");
      TITAN_TRY(titan_text_append(out, open_quote, 3));
      i += 2;
      continue;
    } else if (strncmp(text + i, close_quote, 3) == 0) {
      generator->ended &= last_is(out, "."); // “Really?” she said. “Go home.” He went.
      TITAN_TRY(titan_text_append(out, close_quote, 3));
      i += 2;
      continue;
    } else {
      if (generator->capital && islower((unsigned char)c))
        c = (char)toupper((unsigned char)c);
      generator->capital = generator->ended = false;
    }
    TITAN_TRY(titan_text_append(out, &c, 1));
  }
  return TITAN_OK;
}
