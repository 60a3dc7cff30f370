// SPDX-License-Identifier: Apache-2.0
#include "corpus_generator/corpus_generate.h"

#include "base/memory.h"
#include "base/random.h"
#include "corpus_generator/corpus_generate_internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { DOCUMENT_BYTES_MIN = 200, DOCUMENT_BYTES_MAX = 20000, DOCUMENT_BYTES_MEDIAN = 1450 };
static const double document_bytes_sigma = 0.7;

// --- random numbers ---

void titan_generate_random_start(titan_generate_random *random, uint64_t seed, uint64_t index) {
  titan_random_stream stream = titan_random_stream_create(seed, "corpus");
  *random = (titan_generate_random){.key = {stream.key[0], stream.key[1]}, .document = index, .used = 4};
}

uint32_t titan_generate_random_bits(titan_generate_random *random) {
  if (random->used == 4) {
    uint32_t counter[4] = {(uint32_t)random->document, (uint32_t)(random->document >> 32), random->next_block++, 0};
    titan_philox4x32(random->key, counter, random->block);
    random->used = 0;
  }
  return random->block[random->used++];
}

uint32_t titan_generate_random_below(titan_generate_random *random, uint32_t count) {
  return (uint32_t)((uint64_t)titan_generate_random_bits(random) * count >> 32);
}

uint32_t titan_generate_random_skewed(titan_generate_random *random, uint32_t count) {
  uint64_t product = (uint64_t)titan_generate_random_bits(random) * titan_generate_random_bits(random) >> 32;
  return (uint32_t)(product * count >> 32);
}

// --- expansion ---

static titan_status emit_text(titan_corpus_generator *generator, const char *text) {
  return titan_generate_emit(generator, text, strlen(text));
}

static titan_status expand(titan_corpus_generator *generator, int index);

static uint32_t choose(titan_corpus_generator *generator, int index) {
  const titan_rule *rule = titan_grammar_rule(generator->grammar, index);
  uint32_t count = (uint32_t)rule->count, choice = titan_generate_random_below(&generator->random, count);
  if (rule->name[0] == '\0' || index >= TITAN_GENERATE_RULES_MAX)
    return choice;
  for (int attempt = 0; attempt < 3 && (int)choice == generator->last_choice[index]; attempt++)
    choice = attempt == 0 ? titan_generate_random_skewed(&generator->random, count)
                          : titan_generate_random_below(&generator->random, count);
  generator->last_choice[index] = (int)choice;
  return choice;
}

static titan_status expand_rule(titan_corpus_generator *generator, int index) {
  uint32_t choice = choose(generator, index);
  return expand(generator, titan_grammar_rule(generator->grammar, index)->alternatives[choice]);
}

static titan_status expand_node(titan_corpus_generator *generator, const titan_node *node) {
  switch (node->slot) {
  case TITAN_SLOT_TEXT:
    return titan_generate_emit(generator, node->text, node->length);
  case TITAN_SLOT_CHOICE:
    return expand_rule(generator, node->rule);
  case TITAN_SLOT_WORD:
    return titan_generate_word(generator, node);
  case TITAN_SLOT_PERSON:
    return titan_generate_person(generator, node);
  case TITAN_SLOT_TOWN:
    return titan_generate_town(generator, node);
  case TITAN_SLOT_NUMBER:
    return titan_generate_number(generator, node);
  case TITAN_SLOT_CALENDAR:
    return titan_generate_calendar(generator, node);
  case TITAN_SLOT_ARTICLE:
    TITAN_TRY(titan_generate_emit(generator, "a", 1));
    generator->article = generator->out->length;
    return TITAN_OK;
  case TITAN_SLOT_CAPITAL:
    generator->capital = true;
    return TITAN_OK;
  case TITAN_SLOT_NAME:
    return emit_text(generator, generator->document.names[node->variable]);
  case TITAN_SLOT_TOPIC:
    return emit_text(generator, titan_generate_topics[generator->document.topic].name);
  }
  return titan_error(TITAN_ERROR_INTERNAL, "grammar: slot %d", (int)node->slot);
}

static titan_status expand(titan_corpus_generator *generator, int index) {
  for (; index >= 0; index = titan_grammar_node(generator->grammar, index)->next)
    TITAN_TRY(expand_node(generator, titan_grammar_node(generator->grammar, index)));
  return TITAN_OK;
}

// Chooses the words that this document likes: from its topic, and some general ones.
static void start_document(titan_corpus_generator *generator, uint64_t index) {
  titan_generate_document *doc = &generator->document;
  titan_generate_random *random = &generator->random;
  memset(doc, 0, sizeof *doc);
  titan_generate_random_start(random, generator->seed, index);
  doc->topic = (int)titan_generate_random_below(random, (uint32_t)titan_generate_topic_count);
  for (int class = 0; class < TITAN_WORD_CLASS_COUNT; class ++) {
    doc->palette_count[class] = 5 + (int)titan_generate_random_below(random, TITAN_GENERATE_PALETTE - 4);
    for (int i = 0; i < doc->palette_count[class]; i++) {
      int topic = titan_generate_random_below(random, 4) > 0 ? doc->topic : -1;
      const titan_word_list *list = titan_lexicon_list(generator->lexicon, topic, class);
      doc->palette[class][i] = &list->words[titan_generate_random_below(random, (uint32_t)list->count)];
    }
  }
  for (int i = 0; i < TITAN_GENERATE_VARIABLES; i++) {
    uint64_t bits = titan_generate_random_bits(random);
    titan_world_invent_name(bits << 32 | titan_generate_random_bits(random), doc->names[i]);
  }
  for (int i = 0; i < TITAN_GENERATE_RULES_MAX; i++)
    generator->last_choice[i] = -1;
  generator->capital = true;
  generator->ended = false;
  generator->article = 0;
}

static size_t draw_length(titan_generate_random *random) {
  double p = (titan_generate_random_bits(random) + 0.5) * 0x1p-32;
  double length = DOCUMENT_BYTES_MEDIAN * exp(document_bytes_sigma * titan_normal_quantile(p));
  return length < DOCUMENT_BYTES_MIN   ? DOCUMENT_BYTES_MIN
         : length > DOCUMENT_BYTES_MAX ? DOCUMENT_BYTES_MAX
                                       : (size_t)length;
}

titan_status titan_corpus_generator_document(titan_corpus_generator *generator, uint64_t index, titan_text *text) {
  text->length = 0;
  generator->out = text;
  start_document(generator, index);
  size_t length = draw_length(&generator->random);
  const titan_generate_kind *chosen =
      &generator->kinds[titan_generate_random_below(&generator->random, (uint32_t)generator->kind_count)];
  TITAN_TRY(expand_rule(generator, chosen->open));
  do {
    TITAN_TRY(titan_generate_emit(generator, "\n\n", 2));
    TITAN_TRY(expand_rule(generator, chosen->body));
  } while (text->length + 150 < length);
  TITAN_TRY(titan_generate_emit(generator, "\n\n", 2));
  return expand_rule(generator, chosen->close);
}

static titan_status find_kinds(titan_corpus_generator *generator) {
  for (int i = 0; i < TITAN_GENERATE_KINDS_MAX && titan_generate_kinds[i] != NULL; i++) {
    titan_generate_kind *found = &generator->kinds[generator->kind_count++];
    int *const parts[] = {&found->open, &found->body, &found->close};
    static const char *const names[] = {"open", "body", "close"};
    for (int part = 0; part < 3; part++) {
      char name[64];
      snprintf(name, sizeof name, "%s.%s", titan_generate_kinds[i], names[part]);
      *parts[part] = titan_grammar_find(generator->grammar, name);
      if (*parts[part] < 0)
        return titan_error(TITAN_ERROR_INTERNAL, "grammar: no rule %s", name);
    }
  }
  return TITAN_OK;
}

titan_status titan_corpus_generator_create(uint64_t seed, titan_corpus_generator **out) {
  titan_corpus_generator *generator;
  titan_status status;
  *out = NULL;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_DATA, 1, sizeof *generator, &generator));
  generator->seed = seed;
  TITAN_TRY_CLEANUP(titan_lexicon_create(&generator->lexicon));
  TITAN_TRY_CLEANUP(titan_grammar_create(&generator->grammar));
  TITAN_TRY_CLEANUP(find_kinds(generator));
  *out = generator;
  return TITAN_OK;
cleanup:
  titan_corpus_generator_destroy(&generator);
  return status;
}

void titan_corpus_generator_destroy(titan_corpus_generator **generator) {
  if (*generator == NULL)
    return;
  titan_lexicon_destroy(&(*generator)->lexicon);
  titan_grammar_destroy(&(*generator)->grammar);
  titan_memory_free(*generator);
  *generator = NULL;
}
