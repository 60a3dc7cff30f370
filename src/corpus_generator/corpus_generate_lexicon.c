// SPDX-License-Identifier: Apache-2.0
// Words with their derived forms: plural, tenses, agents, adverbs, opposites.
#include "base/memory.h"
#include "corpus_generator/corpus_generate_internal.h"

#include <string.h>

struct titan_lexicon {
  titan_word_list general[TITAN_WORD_CLASS_COUNT];
  titan_word_list (*topics)[TITAN_TOPIC_CLASS_COUNT];
  char *forms; // all forms, NUL-terminated, one after another
  size_t used, capacity;
};

enum { FORM_BYTES = 48, ALL_FORMS_BYTES = 1 << 20 };

static bool is_vowel(char c) {
  return strchr("aeiou", c) != NULL && c != '\0';
}

static bool ends_with(const char *word, const char *ending) {
  size_t length = strlen(word), tail = strlen(ending);
  return length >= tail && strcmp(word + length - tail, ending) == 0;
}

// word without its last `cut` bytes, and `ending`, kept in the lexicon.
static const char *keep(titan_lexicon *lexicon, const char *word, size_t cut, const char *ending) {
  size_t length = strlen(word) - cut, tail = strlen(ending);
  char *form = lexicon->forms + lexicon->used;
  if (lexicon->used + length + tail + 1 > lexicon->capacity)
    return "";
  memcpy(form, word, length);
  memcpy(form + length, ending, tail + 1);
  for (char *c = form; *c != '\0'; c++)
    if (*c == '_')
      *c = ' ';
  lexicon->used += length + tail + 1;
  return form;
}

static bool ends_in_consonant_y(const char *word) {
  size_t length = strlen(word);
  return length >= 2 && word[length - 1] == 'y' && !is_vowel(word[length - 2]);
}

static const char *with_s(titan_lexicon *lexicon, const char *word) {
  if (ends_in_consonant_y(word))
    return keep(lexicon, word, 1, "ies");
  bool hisses = ends_with(word, "s") || ends_with(word, "x") || ends_with(word, "z") || ends_with(word, "ch") ||
                ends_with(word, "sh");
  return keep(lexicon, word, 0, hisses ? "es" : "s");
}

// -ed, -er and -able are added alike: after a dropped e, a y that became i, or a doubled consonant.
static const char *with_vowel_ending(titan_lexicon *lexicon, const char *word, const char *ending, bool doubled) {
  char joined[16] = "";
  size_t cut = 0, used = 0;
  if (ends_with(word, "e"))
    cut = 1;
  else if (ends_in_consonant_y(word) && ending[0] != 'i')
    cut = 1, joined[used++] = 'i';
  else if (doubled)
    joined[used++] = word[strlen(word) - 1];
  strncpy(joined + used, ending, sizeof joined - used - 1);
  return keep(lexicon, word, cut, joined);
}

// "pay_for" is conjugated in front of its particle: its forms are given in full, so here only -s needs care.
static const char *third_person(titan_lexicon *lexicon, const char *word) {
  const char *particle = strchr(word, '_');
  if (particle == NULL)
    return with_s(lexicon, word);
  char stem[FORM_BYTES];
  size_t length = (size_t)(particle - word);
  memcpy(stem, word, length);
  stem[length] = '\0';
  const char *form = with_s(lexicon, stem);
  lexicon->used--; // over the NUL, to go on with the particle
  keep(lexicon, particle, 0, "");
  return form;
}

static void make_verb(titan_lexicon *lexicon, titan_word *word, char *parts[4], bool doubled) {
  const char *base = parts[0];
  word->forms[TITAN_FORM_S] = third_person(lexicon, base);
  word->forms[TITAN_FORM_PAST] =
      parts[1] != NULL ? keep(lexicon, parts[1], 0, "") : with_vowel_ending(lexicon, base, "ed", doubled);
  word->forms[TITAN_FORM_PARTICIPLE] = parts[2] != NULL ? keep(lexicon, parts[2], 0, "") : word->forms[TITAN_FORM_PAST];
  word->forms[TITAN_FORM_ING] = parts[3] != NULL        ? keep(lexicon, parts[3], 0, "")
                                : ends_with(base, "ee") ? keep(lexicon, base, 0, "ing")
                                                        : with_vowel_ending(lexicon, base, "ing", doubled);
  bool compound = strchr(base, '_') != NULL;
  word->forms[TITAN_FORM_AGENT] = compound ? "helper" : with_vowel_ending(lexicon, base, "er", doubled);
  word->forms[TITAN_FORM_ABLE] = compound ? "useful" : with_vowel_ending(lexicon, base, "able", doubled);
  char again[FORM_BYTES + 2] = "re";
  strncat(again, word->forms[TITAN_FORM_PAST], FORM_BYTES - 1);
  word->forms[TITAN_FORM_RE] = keep(lexicon, again, 0, "");
}

static void make_adjective(titan_lexicon *lexicon, titan_word *word, const char *base) {
  bool y = ends_in_consonant_y(base);
  const char *un = ends_with(base, "ful") ? "not_so_" : "un";
  char opposite[FORM_BYTES + 8];
  strcpy(opposite, un);
  strncat(opposite, base, FORM_BYTES - 1);
  word->forms[TITAN_FORM_LY] = y                       ? keep(lexicon, base, 1, "ily")
                               : ends_with(base, "le") ? keep(lexicon, base, 1, "y")
                               : ends_with(base, "ic") ? keep(lexicon, base, 0, "ally")
                               : ends_with(base, "ll") ? keep(lexicon, base, 0, "y")
                                                       : keep(lexicon, base, 0, "ly");
  word->forms[TITAN_FORM_NESS] = y ? keep(lexicon, base, 1, "iness") : keep(lexicon, base, 0, "ness");
  word->forms[TITAN_FORM_UN] = keep(lexicon, opposite, 0, "");
}

// source: one word of a table, "catch/caught/caught" or "plan+"; changed.
static void make_word(titan_lexicon *lexicon, titan_word_class class, char *source, titan_word *word) {
  char *parts[4] = {source, NULL, NULL, NULL};
  for (int i = 1; i < 4 && (parts[i] = strchr(parts[i - 1], '/')) != NULL; i++)
    *parts[i]++ = '\0';
  char *last = parts[3] != NULL ? parts[3] : parts[2] != NULL ? parts[2] : parts[0];
  bool doubled = ends_with(last, "+");
  if (doubled)
    last[strlen(last) - 1] = '\0';
  const char *base = keep(lexicon, parts[0], 0, "");
  for (int form = 0; form < TITAN_FORM_COUNT; form++)
    word->forms[form] = base;
  if (class == TITAN_WORD_VERB)
    make_verb(lexicon, word, parts, doubled);
  else if (class == TITAN_WORD_ADJECTIVE)
    make_adjective(lexicon, word, parts[0]);
  else
    word->forms[TITAN_FORM_S] = parts[1] != NULL ? keep(lexicon, parts[1], 0, "") : with_s(lexicon, parts[0]);
}

static titan_status make_list(titan_lexicon *lexicon, titan_word_class class, const char *source,
                              titan_word_list *list) {
  int count = 0;
  for (const char *c = source; *c != '\0'; c++)
    count += *c != ' ' && (c[1] == ' ' || c[1] == '\0');
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_DATA, (size_t)count, sizeof *list->words, &list->words));
  for (const char *c = source; *c != '\0';) {
    size_t length = strcspn(c, " ");
    char word[2 * FORM_BYTES];
    if (length >= sizeof word || lexicon->used + 16 * FORM_BYTES > lexicon->capacity)
      return titan_error(TITAN_ERROR_INTERNAL, "word too long or too many words at '%.40s'", c);
    memcpy(word, c, length);
    word[length] = '\0';
    make_word(lexicon, class, word, &list->words[list->count++]);
    c += length;
    c += strspn(c, " ");
  }
  return TITAN_OK;
}

static titan_status fill(titan_lexicon *lexicon) {
  lexicon->capacity = ALL_FORMS_BYTES;
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_DATA, lexicon->capacity, &lexicon->forms));
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_DATA, (size_t)titan_generate_topic_count, sizeof *lexicon->topics,
                                         &lexicon->topics));
  for (int class = 0; class < TITAN_WORD_CLASS_COUNT; class ++)
    TITAN_TRY(make_list(lexicon, class, titan_generate_general_words[class], &lexicon->general[class]));
  for (int topic = 0; topic < titan_generate_topic_count; topic++)
    for (int class = 0; class < TITAN_TOPIC_CLASS_COUNT; class ++)
      TITAN_TRY(make_list(lexicon, class, titan_generate_topics[topic].classes[class], &lexicon->topics[topic][class]));
  return TITAN_OK;
}

titan_status titan_lexicon_create(titan_lexicon **out) {
  *out = NULL;
  titan_lexicon *lexicon;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_DATA, 1, sizeof *lexicon, &lexicon));
  titan_status status = fill(lexicon);
  if (status != TITAN_OK) {
    titan_lexicon_destroy(&lexicon);
    return status;
  }
  *out = lexicon;
  return TITAN_OK;
}

void titan_lexicon_destroy(titan_lexicon **lexicon) {
  if (*lexicon == NULL)
    return;
  for (int class = 0; class < TITAN_WORD_CLASS_COUNT; class ++)
    titan_memory_free((*lexicon)->general[class].words);
  for (int topic = 0; (*lexicon)->topics != NULL && topic < titan_generate_topic_count; topic++)
    for (int class = 0; class < TITAN_TOPIC_CLASS_COUNT; class ++)
      titan_memory_free((*lexicon)->topics[topic][class].words);
  titan_memory_free((*lexicon)->topics);
  titan_memory_free((*lexicon)->forms);
  titan_memory_free(*lexicon);
  *lexicon = NULL;
}

const titan_word_list *titan_lexicon_list(const titan_lexicon *lexicon, int topic, titan_word_class class) {
  return topic < 0 || (int)class >= TITAN_TOPIC_CLASS_COUNT ? &lexicon->general[class] : &lexicon->topics[topic][class];
}
