// SPDX-License-Identifier: Apache-2.0
// Private to the corpus generator: its tables, its world of people and towns, and the compiled grammar.
#ifndef TITAN_CORPUS_GENERATOR_CORPUS_GENERATE_INTERNAL_H
#define TITAN_CORPUS_GENERATOR_CORPUS_GENERATE_INTERNAL_H

#include "corpus_generator/corpus_generate.h"
#include <stdbool.h>
#include <stdint.h>

// --- random numbers of one document: a Philox stream counted by the document's index, so that document i does not
// depend on the documents before it ---

typedef struct titan_generate_random {
  uint32_t key[2], block[4];
  uint64_t document;
  uint32_t next_block;
  int used;
} titan_generate_random;

void titan_generate_random_start(titan_generate_random *random, uint64_t seed, uint64_t document);
uint32_t titan_generate_random_bits(titan_generate_random *random);
// Uniform in 0 .. count-1; count > 0.
uint32_t titan_generate_random_below(titan_generate_random *random, uint32_t count);
// In 0 .. count-1, small numbers much more often than large ones (product of two uniform numbers, in integers).
uint32_t titan_generate_random_skewed(titan_generate_random *random, uint32_t count);

// --- words ---

typedef enum titan_word_class {
  TITAN_WORD_NOUN,
  TITAN_WORD_VERB,
  TITAN_WORD_ADJECTIVE,
  TITAN_WORD_PLACE,
  TITAN_WORD_JOB,
  TITAN_WORD_MATERIAL,
  TITAN_WORD_FOOD,
  TITAN_WORD_ANIMAL,
  TITAN_WORD_COLOUR,
  TITAN_WORD_ADVERB,
  TITAN_WORD_FEELING,
  TITAN_WORD_CLASS_COUNT
} titan_word_class;

enum { TITAN_TOPIC_CLASS_COUNT = TITAN_WORD_MATERIAL + 1 }; // the classes that each topic has words of its own for

// Words are separated by blanks; '_' stands for a blank inside a word. Irregular forms follow after slashes: a noun's
// plural; a verb's past and participle. A verb with '+' at its end doubles its last letter.
typedef struct titan_topic_source {
  const char *name;
  const char *classes[TITAN_TOPIC_CLASS_COUNT];
} titan_topic_source;

extern const titan_topic_source titan_generate_topics[];
extern const int titan_generate_topic_count;
extern const char *const titan_generate_general_words[TITAN_WORD_CLASS_COUNT];

typedef enum titan_word_form {
  TITAN_FORM_BASE,
  TITAN_FORM_S,          // plural; third person
  TITAN_FORM_PAST,       // verbs
  TITAN_FORM_PARTICIPLE, // verbs
  TITAN_FORM_ING,        // verbs
  TITAN_FORM_AGENT,      // verbs: one who does
  TITAN_FORM_ABLE,       // verbs: that can be done
  TITAN_FORM_RE,         // verbs: past, done again
  TITAN_FORM_LY,         // adjectives
  TITAN_FORM_NESS,       // adjectives
  TITAN_FORM_UN,         // adjectives: the opposite
  TITAN_FORM_COUNT
} titan_word_form;

typedef struct titan_word {
  const char *forms[TITAN_FORM_COUNT]; // those that the class has; the others are the base
} titan_word;

typedef struct titan_word_list {
  titan_word *words;
  int count;
} titan_word_list;

typedef struct titan_lexicon titan_lexicon;
titan_status titan_lexicon_create(titan_lexicon **out);
void titan_lexicon_destroy(titan_lexicon **lexicon);
// Words of a class; topic -1: the general ones (a class past TITAN_TOPIC_CLASS_COUNT has only those).
const titan_word_list *titan_lexicon_list(const titan_lexicon *lexicon, int topic, titan_word_class class);

// --- the world: people and towns whose facts are the same in every document of every corpus ---

enum { TITAN_WORLD_PEOPLE = 6000, TITAN_WORLD_TOWNS = 1500 };

typedef struct titan_town {
  char name[40], river[40];
  int region, founded, people, product_topic, product;
} titan_town;

typedef struct titan_person {
  char first[40], family[40];
  bool she;
  int topic, job, town, born, pet, colour, food; // topic and job: what the person does; the others index word lists
  char pet_name[40];
} titan_person;

void titan_world_person(const titan_lexicon *lexicon, uint32_t index, titan_person *out);
void titan_world_town(const titan_lexicon *lexicon, uint32_t index, titan_town *out);
const char *titan_world_region(int region);
const char *titan_world_month(uint32_t month);
const char *titan_world_weekday(uint32_t day);
// A name of two or three syllables, first letter large, for `bits`.
void titan_world_invent_name(uint64_t bits, char out[40]);

// --- grammar: see corpus_generate_grammar.c for the notation ---

typedef struct titan_rule_source {
  const char *name, *text;
} titan_rule_source;

// Tables of rules; rows of one name stand together. Each ends with a row of NULLs.
extern const titan_rule_source titan_generate_rules_sentences[];
extern const titan_rule_source titan_generate_rules_stories[];
extern const titan_rule_source titan_generate_rules_papers[];
// The kinds of document: each has rules KIND.open, KIND.body, KIND.close. Ends with NULL.
extern const char *const titan_generate_kinds[];

typedef enum titan_slot {
  TITAN_SLOT_TEXT,     // text
  TITAN_SLOT_CHOICE,   // rule: one of its alternatives
  TITAN_SLOT_WORD,     // word_class, variable, form
  TITAN_SLOT_PERSON,   // variable, attribute
  TITAN_SLOT_TOWN,     // variable, attribute
  TITAN_SLOT_NUMBER,   // variable, attribute, arithmetic
  TITAN_SLOT_CALENDAR, // attribute
  TITAN_SLOT_ARTICLE,
  TITAN_SLOT_CAPITAL,
  TITAN_SLOT_NAME, // variable: an invented name
  TITAN_SLOT_TOPIC,
} titan_slot;

typedef enum titan_arithmetic {
  TITAN_NUMBER_PLAIN,
  TITAN_NUMBER_RANGE,
  TITAN_NUMBER_SUM,
  TITAN_NUMBER_DIFFERENCE,
  TITAN_NUMBER_PRODUCT,
} titan_arithmetic;

enum { TITAN_GENERATE_VARIABLES = 10 }; // per class; 0 means "any, not remembered"

typedef struct titan_node {
  titan_slot slot;
  int next; // node after this one, -1: none
  int rule, word_class, variable, form, attribute, arithmetic;
  bool fresh;     // forget what the variable held
  long low, high; // range, or the two operands' variables
  const char *text;
  size_t length;
} titan_node;

typedef struct titan_rule {
  char name[32];     // "" for an inline choice
  int *alternatives; // first nodes, -1: nothing
  int count;
} titan_rule;

typedef struct titan_grammar titan_grammar;
// Compiles the tables; a mistake in them is TITAN_ERROR_INTERNAL with the row's text.
titan_status titan_grammar_create(titan_grammar **out);
void titan_grammar_destroy(titan_grammar **grammar);
int titan_grammar_find(const titan_grammar *grammar, const char *name); // -1: no such rule
const titan_rule *titan_grammar_rule(const titan_grammar *grammar, int rule);
const titan_node *titan_grammar_node(const titan_grammar *grammar, int node);

// Attributes, in the order of their names in the grammar's notation.
enum {
  TITAN_PERSON_FIRST,
  TITAN_PERSON_FULL,
  TITAN_PERSON_FAMILY,
  TITAN_PERSON_HE,
  TITAN_PERSON_HIM,
  TITAN_PERSON_HIS,
  TITAN_PERSON_HIMSELF,
  TITAN_PERSON_JOB,
  TITAN_PERSON_TOWN,
  TITAN_PERSON_BORN,
  TITAN_PERSON_PET,
  TITAN_PERSON_PETNAME,
  TITAN_PERSON_COLOUR,
  TITAN_PERSON_FOOD,
  TITAN_PERSON_TITLE
};
enum {
  TITAN_TOWN_NAME,
  TITAN_TOWN_RIVER,
  TITAN_TOWN_REGION,
  TITAN_TOWN_FOUNDED,
  TITAN_TOWN_PEOPLE,
  TITAN_TOWN_PRODUCT
};
enum { TITAN_NUMBER_DIGITS, TITAN_NUMBER_WORDS, TITAN_NUMBER_ORDINAL, TITAN_NUMBER_MONEY };
enum { TITAN_CALENDAR_DATE, TITAN_CALENDAR_MONTH, TITAN_CALENDAR_WEEKDAY, TITAN_CALENDAR_YEAR, TITAN_CALENDAR_TIME };

// --- the generator ---

enum { TITAN_GENERATE_PALETTE = 16, TITAN_GENERATE_KINDS_MAX = 32, TITAN_GENERATE_RULES_MAX = 512 };

typedef struct titan_generate_kind {
  int open, body, close;
} titan_generate_kind; // rules

// What one document has settled on so far; a variable is set when it is first written.
typedef struct titan_generate_document {
  int topic;
  const titan_word *palette[TITAN_WORD_CLASS_COUNT][TITAN_GENERATE_PALETTE]; // the words this document uses most
  int palette_count[TITAN_WORD_CLASS_COUNT];
  const titan_word *words[TITAN_WORD_CLASS_COUNT][TITAN_GENERATE_VARIABLES];
  titan_person people[TITAN_GENERATE_VARIABLES];
  titan_town towns[TITAN_GENERATE_VARIABLES];
  long numbers[TITAN_GENERATE_VARIABLES];
  uint32_t calendar[TITAN_GENERATE_VARIABLES];
  char names[TITAN_GENERATE_VARIABLES][40];
  bool person_set[TITAN_GENERATE_VARIABLES], town_set[TITAN_GENERATE_VARIABLES], number_set[TITAN_GENERATE_VARIABLES];
  bool calendar_set[TITAN_GENERATE_VARIABLES];
} titan_generate_document;

struct titan_corpus_generator {
  uint64_t seed;
  titan_lexicon *lexicon;
  titan_grammar *grammar;
  titan_generate_kind kinds[TITAN_GENERATE_KINDS_MAX];
  int kind_count;
  titan_generate_random random;
  titan_generate_document document;
  titan_text *out;
  int last_choice[TITAN_GENERATE_RULES_MAX]; // so that a rule does not say the same twice running
  bool capital, ended;                       // the next letter becomes a capital; a sentence may have ended
  size_t article;                            // where a lone "a" waits for its "n"; 0: nowhere
};

// Appends text, with capital letters at the beginning of sentences, paragraphs and quoted speech.
titan_status titan_generate_emit(titan_corpus_generator *generator, const char *text, size_t length);

// Writes what stands for a word, person, town, number or date, after choosing it where that was not done before.
titan_status titan_generate_word(titan_corpus_generator *generator, const titan_node *node);
titan_status titan_generate_person(titan_corpus_generator *generator, const titan_node *node);
titan_status titan_generate_town(titan_corpus_generator *generator, const titan_node *node);
titan_status titan_generate_number(titan_corpus_generator *generator, const titan_node *node);
titan_status titan_generate_calendar(titan_corpus_generator *generator, const titan_node *node);

#endif
