// SPDX-License-Identifier: Apache-2.0
// Byte-pair training: Sennrich, Haddow, Birch, "Neural machine translation of rare words with subword units", ACL 2016,
// with counts that are kept up to date instead of taken anew for each merge.
#include "tokenizer/tokenizer_train.h"
#include "tokenizer/tokenizer_internal.h"
#include "tokenizer/train_pairs.h"

#include <assert.h>

struct titan_tokenizer_trainer {
  titan_byte_strings pieces;
  int64_t *counts; // by piece
  size_t counts_capacity;
  uint64_t bytes;
  titan_merge_space repaired;
  titan_unicode_classes classes;
};

// A distinct piece: symbols[start .. start+length-1], met `count` times.
typedef struct word {
  size_t start;
  uint32_t length;
  int64_t count;
} word;

typedef struct training {
  titan_byte_strings tokens;
  int32_t *symbols;
  word *words;
  titan_train_pairs pairs;
  uint32_t *touched; // pairs whose count has grown in this step
  size_t touched_count, touched_capacity;
} training;

titan_status titan_tokenizer_trainer_create(titan_tokenizer_trainer **out) {
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_DATA, 1, sizeof **out, out));
  titan_unicode_classes_fill(&(*out)->classes);
  return TITAN_OK;
}

void titan_tokenizer_trainer_destroy(titan_tokenizer_trainer **trainer) {
  if (!*trainer)
    return;
  titan_byte_strings_destroy(&(*trainer)->pieces);
  titan_memory_free((*trainer)->counts);
  titan_memory_free((*trainer)->repaired.bytes);
  titan_memory_free(*trainer);
  *trainer = NULL;
}

uint64_t titan_tokenizer_trainer_pieces(const titan_tokenizer_trainer *trainer) {
  return trainer->pieces.count;
}

uint64_t titan_tokenizer_trainer_bytes(const titan_tokenizer_trainer *trainer) {
  return trainer->bytes;
}

titan_status titan_tokenizer_trainer_add(titan_tokenizer_trainer *trainer, const char *text, size_t length) {
  uint64_t replaced;
  TITAN_TRY(titan_utf8_repair(&text, &length, &trainer->repaired, &replaced));
  trainer->bytes += length;
  const unsigned char *at = (const unsigned char *)text, *end = at + length, *next;
  for (; at < end; at = next) {
    int32_t piece;
    bool added;
    next = titan_split_next(&trainer->classes, at, end);
    TITAN_TRY(titan_byte_strings_add(&trainer->pieces, at, (size_t)(next - at), &piece, &added));
    if (trainer->pieces.count > trainer->counts_capacity) {
      size_t capacity = 2 * trainer->counts_capacity + 4096;
      TITAN_TRY(titan_memory_resize(TITAN_MEMORY_DATA, capacity * sizeof *trainer->counts, &trainer->counts));
      trainer->counts_capacity = capacity;
    }
    if (added)
      trainer->counts[piece] = 0;
    trainer->counts[piece]++;
  }
  return TITAN_OK;
}

// Adds a value to a growing array of 32-bit numbers.
static titan_status append(uint32_t **array, size_t *count, size_t *capacity, uint32_t value) {
  if (*count == *capacity) {
    size_t grown = 2 * *capacity + 256;
    TITAN_TRY(titan_memory_resize(TITAN_MEMORY_DATA, grown * sizeof value, array));
    *capacity = grown;
  }
  (*array)[(*count)++] = value;
  return TITAN_OK;
}

// Counts the pairs of a word. With `made` >= 0, only pairs that hold this token are new to the word.
static titan_status count_word(training *t, uint32_t number, int32_t made) {
  const word *w = &t->words[number];
  const int32_t *symbols = t->symbols + w->start;
  for (uint32_t i = 0; i + 1 < w->length; i++) {
    uint32_t pair;
    TITAN_TRY(titan_train_pairs_get(&t->pairs, symbols[i], symbols[i + 1], &pair));
    t->pairs.pairs[pair].count += w->count;
    if (made >= 0 && symbols[i] != made && symbols[i + 1] != made)
      continue;
    TITAN_TRY(titan_train_pairs_note(&t->pairs, pair, number));
    if (!t->pairs.pairs[pair].touched)
      TITAN_TRY(append(&t->touched, &t->touched_count, &t->touched_capacity, pair));
    t->pairs.pairs[pair].touched = true;
  }
  return TITAN_OK;
}

static void uncount_word(training *t, const word *w) {
  const int32_t *symbols = t->symbols + w->start;
  for (uint32_t i = 0; i + 1 < w->length; i++)
    t->pairs.pairs[titan_train_pairs_find(&t->pairs, symbols[i], symbols[i + 1])].count -= w->count;
}

// Joins all occurrences of the pair in a word, from the left.
static titan_status merge_in_word(training *t, uint32_t number, int32_t left, int32_t right, int32_t token) {
  word *w = &t->words[number];
  int32_t *symbols = t->symbols + w->start;
  uint32_t i = 0;
  while (i + 1 < w->length && !(symbols[i] == left && symbols[i + 1] == right))
    i++;
  if (i + 1 >= w->length)
    return TITAN_OK;
  uncount_word(t, w);
  uint32_t kept = i;
  while (i < w->length) {
    bool joined = i + 1 < w->length && symbols[i] == left && symbols[i + 1] == right;
    symbols[kept++] = joined ? token : symbols[i];
    i += joined ? 2 : 1;
  }
  w->length = kept;
  return count_word(t, number, token);
}

// Queues the pairs that have been made since the last call.
static titan_status queue_touched(training *t) {
  for (size_t i = 0; i < t->touched_count; i++) {
    titan_train_pair *pair = &t->pairs.pairs[t->touched[i]];
    pair->touched = false;
    if (pair->count > 0)
      TITAN_TRY(titan_train_pairs_queue(&t->pairs, t->touched[i]));
  }
  t->touched_count = 0;
  return TITAN_OK;
}

static titan_status merge_pair(training *t, uint32_t number, int32_t token) {
  titan_train_pair *pair = &t->pairs.pairs[number];
  int32_t left = pair->left, right = pair->right;
  uint32_t at = pair->words;
  pair->words = TITAN_TRAIN_NONE;
  while (at != TITAN_TRAIN_NONE) {
    titan_train_occurrence occurrence = t->pairs.occurrences[at];
    TITAN_TRY(merge_in_word(t, occurrence.word, left, right, token));
    at = occurrence.next;
  }
  return queue_touched(t);
}

// Makes the words from the pieces of two bytes and more.
static titan_status make_words(training *t, const titan_tokenizer_trainer *trainer) {
  const titan_byte_strings *pieces = &trainer->pieces;
  size_t total = pieces->count ? pieces->offsets[pieces->count] : 0, used = 0;
  for (int byte = 0; byte < 256; byte++) {
    unsigned char c = (unsigned char)byte;
    int32_t number;
    TITAN_TRY(titan_byte_strings_add(&t->tokens, &c, 1, &number, NULL));
  }
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_DATA, total * sizeof *t->symbols, &t->symbols));
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_DATA, pieces->count * sizeof *t->words, &t->words));
  for (size_t i = 0; i < pieces->count; i++) {
    size_t length = titan_byte_strings_length(pieces, i);
    if (length >= UINT32_MAX)
      return titan_error(TITAN_ERROR_DATA, "a single word of %zu bytes in the corpus", length);
    const char *bytes = titan_byte_strings_get(pieces, i);
    t->words[i] = (word){.start = used, .length = (uint32_t)length, .count = trainer->counts[i]};
    for (size_t k = 0; k < length; k++)
      t->symbols[used + k] = (unsigned char)bytes[k];
    used += length;
    TITAN_TRY(count_word(t, (uint32_t)i, -1));
  }
  return TITAN_OK;
}

// Adds the token of a pair. Its bytes are never those of an older token: between two steps every word is cut as the
// encoder cuts it with the tokens so far, and the encoder leaves no neighbours that make a token. (Joining a new pair
// cannot make such neighbours either: an older token would have been joined in their place before.)
static titan_status add_token(training *t, uint32_t pair, int32_t *token) {
  size_t left = (size_t)t->pairs.pairs[pair].left, right = (size_t)t->pairs.pairs[pair].right;
  size_t left_length = titan_byte_strings_length(&t->tokens, left);
  size_t right_length = titan_byte_strings_length(&t->tokens, right);
  bool added;
  char *joined;
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_DATA, left_length + right_length, &joined));
  memcpy(joined, titan_byte_strings_get(&t->tokens, left), left_length);
  memcpy(joined + left_length, titan_byte_strings_get(&t->tokens, right), right_length);
  titan_status status = titan_byte_strings_add(&t->tokens, joined, left_length + right_length, token, &added);
  titan_memory_free(joined);
  assert(status != TITAN_OK || added);
  return status;
}

static titan_status train(training *t, size_t vocabulary_size) {
  TITAN_TRY(queue_touched(t));
  while (t->tokens.count < vocabulary_size) {
    uint32_t pair;
    int32_t token;
    TITAN_TRY(titan_train_pairs_next(&t->pairs, &pair));
    if (pair == TITAN_TRAIN_NONE || t->pairs.pairs[pair].count < 2)
      return titan_error(TITAN_ERROR_DATA,
                         "the text gives only %zu tokens, not %zu, because no further pair occurs twice; use a "
                         "smaller vocabulary or more text",
                         t->tokens.count, vocabulary_size);
    TITAN_TRY(add_token(t, pair, &token));
    TITAN_TRY(merge_pair(t, pair, token));
  }
  return TITAN_OK;
}

static titan_status write_model(const titan_byte_strings *tokens, titan_text *model) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t rank = 0; rank < tokens->count; rank++) {
    const unsigned char *bytes = (const unsigned char *)titan_byte_strings_get(tokens, rank);
    size_t length = titan_byte_strings_length(tokens, rank);
    for (size_t i = 0; i < length; i += 3) {
      size_t left = length - i;
      uint32_t bits =
          (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) | (left > 2 ? bytes[i + 2] : 0u);
      char quad[4] = {digits[bits >> 18], digits[bits >> 12 & 63], left > 1 ? digits[bits >> 6 & 63] : '=',
                      left > 2 ? digits[bits & 63] : '='};
      TITAN_TRY(titan_text_append(model, quad, 4));
    }
    TITAN_TRY(titan_text_printf(model, " %zu\n", rank));
  }
  return TITAN_OK;
}

titan_status titan_tokenizer_trainer_finish(titan_tokenizer_trainer *trainer, int64_t vocabulary_size,
                                            titan_text *model) {
  training t = {0};
  titan_status status = TITAN_OK;
  if (vocabulary_size < 256 || vocabulary_size > INT32_MAX - TITAN_TOKENIZER_SPECIAL_COUNT)
    return titan_error(TITAN_ERROR_USAGE, "a vocabulary of %lld tokens is not possible; it needs 256 (the bytes) to %d",
                       (long long)vocabulary_size, INT32_MAX - TITAN_TOKENIZER_SPECIAL_COUNT);
  TITAN_TRY_CLEANUP(make_words(&t, trainer));
  TITAN_TRY_CLEANUP(train(&t, (size_t)vocabulary_size));
  TITAN_TRY_CLEANUP(write_model(&t.tokens, model));
cleanup:
  titan_byte_strings_destroy(&t.tokens);
  titan_memory_free(t.symbols);
  titan_memory_free(t.words);
  titan_train_pairs_destroy(&t.pairs);
  titan_memory_free(t.touched);
  return status;
}
