// SPDX-License-Identifier: Apache-2.0
#include "config/spelling.h"

#include "config/format.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The words of spellings.def, as initializers.
#define SAME                                                                                                           \
  { .kind = TITAN_MEANING_SAME }
#define OPPOSITE                                                                                                       \
  { .kind = TITAN_MEANING_OPPOSITE }
#define IS_WORD(word_, words_)                                                                                         \
  { .kind = TITAN_MEANING_IS_WORD, .word = word_, .words = words_ }

const titan_spelling titan_spellings[] = {
#define SPELLING(section_, key_, target_section, target_key, meaning_)                                                 \
  {#section_, #key_, #section_ "." #key_, TITAN_OPTION_##target_section##_##target_key, meaning_},
#define FIXED(section_, key_, accepted, text_)                                                                         \
  {#section_, #key_, #section_ "." #key_, -1, {TITAN_MEANING_FIXED, NULL, accepted, text_}},
#define UNUSED(section_, key_, text_)                                                                                  \
  {#section_, #key_, #section_ "." #key_, -1, {TITAN_MEANING_UNUSED, NULL, NULL, text_}},
#include "config/spellings.def"
};
const size_t titan_spelling_count = sizeof titan_spellings / sizeof titan_spellings[0];

const titan_spelling *titan_spelling_find(const char *name) {
  for (size_t i = 0; i < titan_spelling_count; i++)
    if (strcmp(name, titan_spellings[i].name) == 0)
      return &titan_spellings[i];
  return NULL;
}

bool titan_spelling_section_exists(const char *section) {
  for (size_t i = 0; i < titan_spelling_count; i++)
    if (strcmp(section, titan_spellings[i].section) == 0)
      return true;
  return false;
}

titan_status titan_spelling_describe(const titan_spelling *spelling, titan_text *text) {
  const titan_meaning *meaning = &spelling->meaning;
  switch (meaning->kind) {
  case TITAN_MEANING_SAME:
    return titan_text_printf(text, "%s", titan_options[spelling->target].name);
  case TITAN_MEANING_OPPOSITE:
    return titan_text_printf(text, "the opposite of %s", titan_options[spelling->target].name);
  case TITAN_MEANING_IS_WORD:
    return titan_text_printf(text, "%s is true for \"%s\"", titan_options[spelling->target].name, meaning->word);
  case TITAN_MEANING_FIXED:
    if (meaning->words == NULL)
      return titan_text_printf(text, "an error: %s", meaning->text);
    TITAN_TRY(titan_text_printf(text, "an error unless it is "));
    TITAN_TRY(titan_words_append(meaning->words, " or ", true, text));
    return titan_text_printf(text, ": %s", meaning->text);
  case TITAN_MEANING_UNUSED:
    return titan_text_printf(text, "accepted without effect: %s", meaning->text);
  }
  return titan_error(TITAN_ERROR_INTERNAL, "%s: unknown meaning", spelling->name);
}

static bool are_equal_numbers(const char *a, const char *b) {
  char *end_a, *end_b;
  double x = strtod(a, &end_a), y = strtod(b, &end_b);
  return end_a != a && end_b != b && *end_a == '\0' && *end_b == '\0' && x == y;
}

// Whether the value's text, or its number, is one of "a|b".
static bool is_one_of(const char *words, const char *value) {
  for (const char *start = words;; start++) {
    size_t length = strcspn(start, "|");
    char word[64];
    snprintf(word, sizeof word, "%.*s", (int)length, start);
    if (strcmp(word, value) == 0 || are_equal_numbers(word, value))
      return true;
    start += length;
    if (*start == '\0')
      return false;
  }
}

static titan_status refuse(const titan_spelling *spelling, const titan_value *value, const titan_option_place *place,
                           titan_problems *problems) {
  const titan_meaning *meaning = &spelling->meaning;
  titan_text found = {0}, expected = {0};
  titan_status status = TITAN_OK;
  TITAN_TRY_CLEANUP(titan_value_describe(value, &found));
  if (meaning->words != NULL) {
    TITAN_TRY_CLEANUP(titan_text_printf(&expected, ": expected "));
    TITAN_TRY_CLEANUP(titan_words_append(meaning->words, " or ", true, &expected));
    TITAN_TRY_CLEANUP(titan_text_printf(&expected, ", got %s", found.data));
  }
  TITAN_TRY_CLEANUP(titan_problems_add(
      problems, "%s: %s%s%s%s", place->origin, spelling->name, expected.data != NULL ? expected.data : "",
      meaning->kind != TITAN_MEANING_FIXED ? ""
      : meaning->words != NULL             ? "; "
                                           : ": titan-hpc has no counterpart of this option of TorchTitan; ",
      meaning->kind == TITAN_MEANING_FIXED ? meaning->text : ""));
cleanup:
  titan_text_destroy(&found);
  titan_text_destroy(&expected);
  return status;
}

static titan_status assign_spelling(titan_config *config, const titan_spelling *spelling, titan_value value,
                                    const titan_option_place *place, titan_problems *problems) {
  const titan_meaning *meaning = &spelling->meaning;
  titan_text text = {0};
  titan_status status = TITAN_OK;
  if (meaning->kind == TITAN_MEANING_UNUSED)
    return TITAN_OK;
  TITAN_TRY_CLEANUP(titan_value_text(&value, &text));
  if (meaning->words == NULL || !is_one_of(meaning->words, text.data)) {
    TITAN_TRY_CLEANUP(refuse(spelling, &value, place, problems));
  } else if (meaning->kind == TITAN_MEANING_IS_WORD) {
    titan_value boolean = {.kind = TITAN_VALUE_BOOL, .boolean = strcmp(text.data, meaning->word) == 0};
    TITAN_TRY_CLEANUP(titan_option_assign(config, spelling->target, false, boolean, place, problems));
  }
cleanup:
  titan_text_destroy(&text);
  return status;
}

titan_status titan_name_assign(titan_config *config, const char *name, titan_value value,
                               const titan_option_place *place, titan_problems *problems, bool *known) {
  bool negated;
  int index = titan_option_find(name, &negated);
  const titan_spelling *spelling = index < 0 ? titan_spelling_find(name) : NULL;
  *known = index >= 0 || spelling != NULL;
  if (index >= 0)
    return titan_option_assign(config, index, negated, value, place, problems);
  return spelling != NULL ? assign_spelling(config, spelling, value, place, problems) : TITAN_OK;
}
