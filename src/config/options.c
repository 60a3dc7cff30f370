// SPDX-License-Identifier: Apache-2.0
#include "config/spelling.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

// The words of options.def, as initializers.
#define ANY                                                                                                            \
  { 0 }
#define NOT_EMPTY                                                                                                      \
  { .kind = TITAN_CONSTRAINT_NOT_EMPTY }
#define CHOICES(list)                                                                                                  \
  { .kind = TITAN_CONSTRAINT_CHOICES, .words = list }
#define CHOICES_ANY_CASE(list)                                                                                         \
  { .kind = TITAN_CONSTRAINT_CHOICES_ANY_CASE, .words = list }
#define AT_LEAST(limit)                                                                                                \
  { .kind = TITAN_CONSTRAINT_AT_LEAST, .minimum = limit }
#define ABOVE(limit)                                                                                                   \
  { .kind = TITAN_CONSTRAINT_ABOVE, .minimum = limit }
#define AT_LEAST_OR(limit, other)                                                                                      \
  { .kind = TITAN_CONSTRAINT_AT_LEAST_OR, .minimum = limit, .special = other }
#define AT_LEAST_BELOW(lowest, limit)                                                                                  \
  { .kind = TITAN_CONSTRAINT_AT_LEAST_BELOW, .minimum = lowest, .maximum = limit }
#define FROM_TO(lowest, highest)                                                                                       \
  { .kind = TITAN_CONSTRAINT_FROM_TO, .minimum = lowest, .maximum = highest }
#define FROM_TO_OR(lowest, highest, other)                                                                             \
  { .kind = TITAN_CONSTRAINT_FROM_TO_OR, .minimum = lowest, .maximum = highest, .special = other }
#define WORD_OR_COUNT(word)                                                                                            \
  { .kind = TITAN_CONSTRAINT_WORD_OR_COUNT, .words = word }
#define LIST_OF(list)                                                                                                  \
  { .kind = TITAN_CONSTRAINT_LIST_OF, .words = list }
#define AVAILABLE                                                                                                      \
  { .kind = TITAN_AVAILABLE }
#define LATER(value)                                                                                                   \
  { .kind = TITAN_LATER, .off = value }
#define LATER_WARNED(value, what)                                                                                      \
  { .kind = TITAN_LATER_WARNED, .off = value, .note = what }
#define NO_EFFECT(value, why)                                                                                          \
  { .kind = TITAN_NO_EFFECT, .off = value, .note = why }
#define REFUSED(value, why)                                                                                            \
  { .kind = TITAN_REFUSED, .off = value, .note = why }

const titan_option titan_options[TITAN_OPTION_COUNT] = {
#define OPTION(section_, key_, type_, default_, constraint_, origin_, availability_, help_)                            \
  [TITAN_OPTION_##section_##_##key_] = {.section = #section_,                                                          \
                                        .key = #key_,                                                                  \
                                        .name = #section_ "." #key_,                                                   \
                                        .type = TITAN_OPTION_##type_,                                                  \
                                        .offset = offsetof(titan_config, section_.key_),                               \
                                        .constraint = constraint_,                                                     \
                                        .origin = TITAN_ORIGIN_##origin_,                                              \
                                        .availability = availability_,                                                 \
                                        .help = help_},
#include "config/options.def"
};

const titan_config titan_config_defaults = {
#define SECTION(section, text) .section = {
#define END_SECTION(section)                                                                                           \
  }                                                                                                                    \
  ,
#define OPTION(section, key_, type, default_, ...) .key_ = default_,
#include "config/options.def"
};

const titan_option_section titan_option_sections[] = {
#define SECTION(section, text_) {#section, text_},
#include "config/options.def"
};
const size_t titan_option_section_count = sizeof titan_option_sections / sizeof titan_option_sections[0];

bool titan_option_is_text(const titan_option *option) {
  return option->type == TITAN_OPTION_STRING || option->type == TITAN_OPTION_PATH || option->type == TITAN_OPTION_LIST;
}

int titan_option_find(const char *name, bool *negated) {
  *negated = false;
  for (int i = 0; i < TITAN_OPTION_COUNT; i++)
    if (strcmp(name, titan_options[i].name) == 0)
      return i;
  const titan_spelling *spelling = titan_spelling_find(name);
  if (spelling == NULL)
    return -1;
  *negated = spelling->meaning.kind == TITAN_MEANING_OPPOSITE;
  return *negated || spelling->meaning.kind == TITAN_MEANING_SAME ? spelling->target : -1;
}

bool titan_option_section_exists(const char *section) {
  for (size_t i = 0; i < titan_option_section_count; i++)
    if (strcmp(section, titan_option_sections[i].name) == 0)
      return true;
  return titan_spelling_section_exists(section);
}

// --- what a name that does not exist may have been meant to be ---

// More mistakes than this in a word make it another word.
static size_t most_mistakes(const char *word) {
  return (strlen(word) + 2) / 3;
}

typedef struct name_search {
  char section[TITAN_CONFIG_NAME_BYTES];
  const char *key;
  const char *nearest; // NULL while there is none
  size_t key_mistakes, section_mistakes;
} name_search;

// The first words of a key ("config" of config_file) count as one mistake.
static size_t mistakes_in(const char *word, const char *key) {
  size_t length = strlen(word);
  bool begins = length > 0 && strncmp(word, key, length) == 0 && key[length] == '_';
  return begins ? 1 : titan_text_distance(word, key);
}

static void consider(name_search *search, const char *section, const char *key, const char *name) {
  size_t key_mistakes = mistakes_in(search->key, key);
  size_t section_mistakes = titan_text_distance(search->section, section);
  if (key_mistakes > search->key_mistakes ||
      (key_mistakes == search->key_mistakes && section_mistakes >= search->section_mistakes))
    return;
  search->nearest = name;
  search->key_mistakes = key_mistakes;
  search->section_mistakes = section_mistakes;
}

// The name whose key is nearest, of several of these the one whose section is.
static name_search find_nearest(const char *name) {
  const char *dot = strchr(name, '.');
  name_search search = {.key = dot != NULL ? dot + 1 : name, .section_mistakes = SIZE_MAX};
  search.key_mistakes = most_mistakes(search.key);
  snprintf(search.section, sizeof search.section, "%.*s", dot != NULL ? (int)(dot - name) : 0, name);
  for (int i = 0; i < TITAN_OPTION_COUNT; i++)
    consider(&search, titan_options[i].section, titan_options[i].key, titan_options[i].name);
  for (size_t i = 0; i < titan_spelling_count; i++)
    if (titan_spellings[i].target >= 0)
      consider(&search, titan_spellings[i].section, titan_spellings[i].key, titan_spellings[i].name);
  return search;
}

titan_status titan_option_advise(const char *name, const char *before, titan_text *text) {
  name_search search = find_nearest(name);
  if (search.nearest != NULL)
    return titan_text_printf(text, "%s%s", before, search.nearest);
  return titan_option_section_exists(search.section)
             ? titan_text_printf(text, "titan-hpc --help %s lists the options of this section", search.section)
             : titan_text_printf(text, "titan-hpc --help lists all options");
}

titan_status titan_option_advise_section(const char *section, titan_text *text) {
  const char *nearest = NULL;
  size_t smallest = most_mistakes(section);
  for (size_t i = 0; i < titan_option_section_count; i++) {
    size_t distance = titan_text_distance(section, titan_option_sections[i].name);
    if (distance < smallest || (distance == smallest && nearest == NULL))
      smallest = distance, nearest = titan_option_sections[i].name;
  }
  if (nearest != NULL)
    return titan_text_printf(text, "the nearest known section is %s", nearest);
  TITAN_TRY(titan_text_printf(text, "the sections are "));
  for (size_t i = 0; i < titan_option_section_count; i++)
    TITAN_TRY(titan_text_printf(text, "%s%s", i > 0 ? ", " : "", titan_option_sections[i].name));
  return TITAN_OK;
}
