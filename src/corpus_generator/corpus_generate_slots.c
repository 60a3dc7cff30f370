// SPDX-License-Identifier: Apache-2.0
// What stands for a word, a person, a town, a number, a date.
#include "corpus_generator/corpus_generate_internal.h"

#include <stdio.h>
#include <string.h>

static titan_status emit_string(titan_corpus_generator *generator, const char *text) {
  return titan_generate_emit(generator, text, strlen(text));
}

static const titan_word *pick_from(titan_corpus_generator *generator, const titan_word_list *list) {
  return &list->words[titan_generate_random_skewed(&generator->random, (uint32_t)list->count)];
}

static const titan_word *pick_word(titan_corpus_generator *generator, int class) {
  titan_generate_document *doc = &generator->document;
  uint32_t die = titan_generate_random_below(&generator->random, 20);
  if (die < 15)
    return doc->palette[class][titan_generate_random_skewed(&generator->random, (uint32_t)doc->palette_count[class])];
  return pick_from(generator, titan_lexicon_list(generator->lexicon, die < 18 ? doc->topic : -1, class));
}

// Whether another variable of the class holds the word.
static bool is_taken(const titan_generate_document *doc, const titan_node *node, const titan_word *word) {
  for (int i = 1; i < TITAN_GENERATE_VARIABLES; i++)
    if (i != node->variable && doc->words[node->word_class][i] == word)
      return true;
  return false;
}

titan_status titan_generate_word(titan_corpus_generator *generator, const titan_node *node) {
  const titan_word **kept = &generator->document.words[node->word_class][node->variable];
  if (node->variable == 0 || node->fresh || *kept == NULL) {
    *kept = pick_word(generator, node->word_class);
    for (int attempt = 0; attempt < 4 && node->variable > 0 && is_taken(&generator->document, node, *kept); attempt++)
      *kept = pick_word(generator, node->word_class);
  }
  return emit_string(generator, (*kept)->forms[node->form]);
}

// A person, more often than not of the document's topic, whose first name nobody else here has.
static const titan_person *person_of(titan_corpus_generator *generator, const titan_node *node) {
  titan_generate_document *doc = &generator->document;
  titan_person *person = &doc->people[node->variable];
  if (doc->person_set[node->variable] && !node->fresh)
    return person;
  for (int attempt = 0; attempt < 5; attempt++) {
    uint32_t topics = (uint32_t)titan_generate_topic_count;
    uint32_t topic = titan_generate_random_below(&generator->random, 10) < 7
                         ? (uint32_t)doc->topic
                         : titan_generate_random_below(&generator->random, topics);
    uint32_t index = topic + topics * titan_generate_random_skewed(&generator->random, TITAN_WORLD_PEOPLE / topics);
    titan_world_person(generator->lexicon, index, person);
    bool taken = false;
    for (int i = 0; i < TITAN_GENERATE_VARIABLES; i++)
      taken |= i != node->variable && doc->person_set[i] && strcmp(doc->people[i].first, person->first) == 0;
    if (!taken)
      break;
  }
  doc->person_set[node->variable] = true;
  return person;
}

static const titan_town *town_of(titan_corpus_generator *generator, int variable) {
  titan_generate_document *doc = &generator->document;
  if (!doc->town_set[variable]) {
    uint32_t index = titan_generate_random_skewed(&generator->random, TITAN_WORLD_TOWNS);
    if (variable == 1)
      index = (uint32_t)person_of(generator, &(titan_node){.variable = 1})->town;
    titan_world_town(generator->lexicon, index, &doc->towns[variable]);
    doc->town_set[variable] = true;
  }
  return &doc->towns[variable];
}

titan_status titan_generate_person(titan_corpus_generator *generator, const titan_node *node) {
  const titan_person *person = person_of(generator, node);
  const titan_lexicon *lexicon = generator->lexicon;
  char text[100];
  titan_town town;
  switch (node->attribute) {
  case TITAN_PERSON_FULL:
    snprintf(text, sizeof text, "%s %s", person->first, person->family);
    return emit_string(generator, text);
  case TITAN_PERSON_FAMILY:
    return emit_string(generator, person->family);
  case TITAN_PERSON_HE:
    return emit_string(generator, person->she ? "she" : "he");
  case TITAN_PERSON_HIM:
    return emit_string(generator, person->she ? "her" : "him");
  case TITAN_PERSON_HIS:
    return emit_string(generator, person->she ? "her" : "his");
  case TITAN_PERSON_HIMSELF:
    return emit_string(generator, person->she ? "herself" : "himself");
  case TITAN_PERSON_JOB:
    return emit_string(generator,
                       titan_lexicon_list(lexicon, person->topic, TITAN_WORD_JOB)->words[person->job].forms[0]);
  case TITAN_PERSON_TOWN:
    titan_world_town(lexicon, (uint32_t)person->town, &town);
    return emit_string(generator, town.name);
  case TITAN_PERSON_BORN:
    snprintf(text, sizeof text, "%d", person->born);
    return emit_string(generator, text);
  case TITAN_PERSON_PET:
    return emit_string(generator, titan_lexicon_list(lexicon, -1, TITAN_WORD_ANIMAL)->words[person->pet].forms[0]);
  case TITAN_PERSON_PETNAME:
    return emit_string(generator, person->pet_name);
  case TITAN_PERSON_COLOUR:
    return emit_string(generator, titan_lexicon_list(lexicon, -1, TITAN_WORD_COLOUR)->words[person->colour].forms[0]);
  case TITAN_PERSON_FOOD:
    return emit_string(generator, titan_lexicon_list(lexicon, -1, TITAN_WORD_FOOD)->words[person->food].forms[0]);
  case TITAN_PERSON_TITLE:
    return emit_string(generator, person->she ? "Mrs" : "Mr");
  default:
    return emit_string(generator, person->first);
  }
}

titan_status titan_generate_town(titan_corpus_generator *generator, const titan_node *node) {
  const titan_town *town = town_of(generator, node->variable);
  char text[32];
  switch (node->attribute) {
  case TITAN_TOWN_RIVER:
    return emit_string(generator, town->river);
  case TITAN_TOWN_REGION:
    return emit_string(generator, titan_world_region(town->region));
  case TITAN_TOWN_FOUNDED:
    snprintf(text, sizeof text, "%d", town->founded);
    return emit_string(generator, text);
  case TITAN_TOWN_PEOPLE:
    if (town->people >= 1000)
      snprintf(text, sizeof text, "%d,%03d", town->people / 1000, town->people % 1000);
    else
      snprintf(text, sizeof text, "%d", town->people);
    return emit_string(generator, text);
  case TITAN_TOWN_PRODUCT:
    return emit_string(generator, titan_lexicon_list(generator->lexicon, town->product_topic, TITAN_WORD_MATERIAL)
                                      ->words[town->product]
                                      .forms[0]);
  default:
    return emit_string(generator, town->name);
  }
}

// 0 .. 999 in words.
static void number_words(long value, char *text, size_t size) {
  static const char *const small[] = {"zero",     "one",     "two",     "three",     "four",     "five",    "six",
                                      "seven",    "eight",   "nine",    "ten",       "eleven",   "twelve",  "thirteen",
                                      "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"};
  static const char *const tens[] = {"",      "",      "twenty",  "thirty", "forty",
                                     "fifty", "sixty", "seventy", "eighty", "ninety"};
  long rest = value % 100;
  size_t used = 0;
  if (value < 0 || value > 999) {
    snprintf(text, size, "%ld", value);
    return;
  }
  if (value >= 100)
    used = (size_t)snprintf(text, size, "%s hundred%s", small[value / 100], rest > 0 ? " and " : "");
  if (rest >= 20)
    snprintf(text + used, size - used, "%s%s%s", tens[rest / 10], rest % 10 > 0 ? "-" : "",
             rest % 10 > 0 ? small[rest % 10] : "");
  else if (rest > 0 || value == 0)
    snprintf(text + used, size - used, "%s", small[rest]);
}

static const char *ordinal_ending(long value) {
  if (value % 100 / 10 == 1)
    return "th";
  return value % 10 == 1 ? "st" : value % 10 == 2 ? "nd" : value % 10 == 3 ? "rd" : "th";
}

static long compute_number(titan_corpus_generator *generator, const titan_node *node) {
  const long *numbers = generator->document.numbers;
  switch (node->arithmetic) {
  case TITAN_NUMBER_SUM:
    return numbers[node->low] + numbers[node->high];
  case TITAN_NUMBER_DIFFERENCE:
    return numbers[node->low] - numbers[node->high];
  case TITAN_NUMBER_PRODUCT:
    return numbers[node->low] * numbers[node->high];
  case TITAN_NUMBER_RANGE:
    return node->low + (long)titan_generate_random_below(&generator->random, (uint32_t)(node->high - node->low + 1));
  default:
    return 2 + (long)titan_generate_random_below(&generator->random, 19);
  }
}

titan_status titan_generate_number(titan_corpus_generator *generator, const titan_node *node) {
  titan_generate_document *doc = &generator->document;
  long *value = &doc->numbers[node->variable];
  if (!doc->number_set[node->variable] || node->fresh) {
    *value = compute_number(generator, node);
    doc->number_set[node->variable] = true;
  }
  char text[64];
  if (node->arithmetic != TITAN_NUMBER_PLAIN)
    return TITAN_OK;
  if (node->attribute == TITAN_NUMBER_WORDS)
    number_words(*value, text, sizeof text);
  else if (node->attribute == TITAN_NUMBER_ORDINAL)
    snprintf(text, sizeof text, "%ld%s", *value, ordinal_ending(*value));
  else if (node->attribute == TITAN_NUMBER_MONEY)
    snprintf(text, sizeof text, "%ld crowns", *value);
  else
    snprintf(text, sizeof text, "%s%ld", *value < 0 ? "−" : "", *value < 0 ? -*value : *value);
  return emit_string(generator, text);
}

titan_status titan_generate_calendar(titan_corpus_generator *generator, const titan_node *node) {
  titan_generate_document *doc = &generator->document;
  uint32_t bits = titan_generate_random_bits(&generator->random) >> 1;
  if (node->variable > 0 && doc->calendar_set[node->variable])
    bits = doc->calendar[node->variable];
  doc->calendar[node->variable] = bits;
  doc->calendar_set[node->variable] = true;
  char text[64];
  uint32_t year = 1700 + bits / 7 % 326, month = bits / 11 % 12, day = bits / 13 % 28 + 1;
  if (node->attribute == TITAN_CALENDAR_DATE)
    snprintf(text, sizeof text, "%s %u, %u", titan_world_month(month), day, year);
  else if (node->attribute == TITAN_CALENDAR_MONTH)
    snprintf(text, sizeof text, "%s", titan_world_month(month));
  else if (node->attribute == TITAN_CALENDAR_WEEKDAY)
    snprintf(text, sizeof text, "%s", titan_world_weekday(bits % 7));
  else if (node->attribute == TITAN_CALENDAR_YEAR)
    snprintf(text, sizeof text, "%u", year);
  else
    snprintf(text, sizeof text, "%u:%02u", bits / 5 % 18 + 5, bits / 3 % 12 * 5);
  return emit_string(generator, text);
}
