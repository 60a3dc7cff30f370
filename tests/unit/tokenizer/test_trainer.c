// SPDX-License-Identifier: Apache-2.0
// Property: training is byte-pair training as its header defines it, for any text, in any order of the texts. Oracle: a
// trainer that encodes everything anew for each token (naive.c). Equality is exact: a vocabulary is a discrete thing.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four above first
#include <cmocka.h>

#include "base/memory.h"
#include "base/random.h"
#include "naive.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/tokenizer_train.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS = 60 };

// Words of lower-case letters, so that each is one piece of the split pattern; few letters give many tokens that can be
// joined in several ways.
static void make_words(uint32_t seed, uint32_t letters, uint32_t longest, char words[WORDS][80]) {
  titan_random_stream stream = titan_random_stream_create(seed, "trainer");
  for (uint32_t w = 0; w < WORDS; w++) {
    uint32_t random[4];
    titan_philox4x32(stream.key, (uint32_t[4]){w, 0, 0, 0}, random);
    uint32_t length = 1 + random[0] % longest;
    for (uint32_t i = 0; i < length; i++) {
      titan_philox4x32(stream.key, (uint32_t[4]){w, 1 + i, 0, 0}, random);
      words[w][i] = (char)('a' + random[1] % letters);
    }
    words[w][length] = '\0';
  }
}

static void train(char words[WORDS][80], bool reversed, int64_t size, titan_text *model) {
  titan_tokenizer_trainer *trainer;
  assert_int_equal(titan_tokenizer_trainer_create(&trainer), TITAN_OK);
  for (size_t i = 0; i < WORDS; i++) {
    size_t w = reversed ? WORDS - 1 - i : i;
    for (size_t repeat = 0; repeat < 1 + w % 5; repeat++)
      assert_int_equal(titan_tokenizer_trainer_add(trainer, words[w], strlen(words[w])), TITAN_OK);
  }
  assert_int_equal(titan_tokenizer_trainer_finish(trainer, size, model), TITAN_OK);
  titan_tokenizer_trainer_destroy(&trainer);
}

static int32_t train_naively(char words[WORDS][80], int32_t size, naive_vocabulary *vocabulary) {
  const unsigned char *pieces[WORDS];
  size_t lengths[WORDS];
  int64_t counts[WORDS];
  for (size_t w = 0; w < WORDS; w++) {
    pieces[w] = (const unsigned char *)words[w];
    lengths[w] = strlen(words[w]);
    counts[w] = (int64_t)(1 + w % 5);
  }
  naive_start(vocabulary, size);
  while (vocabulary->count < size && naive_train_step(vocabulary, pieces, lengths, counts, WORDS) >= 2)
    ;
  return vocabulary->count;
}

static void the_vocabulary_is_that_of_the_definition(void **state) {
  (void)state;
  for (uint32_t seed = 0; seed < 24; seed++) {
    char words[WORDS][80];
    naive_vocabulary expected;
    titan_text model = {0}, again = {0};
    titan_tokenizer *tokenizer;
    make_words(seed, 1 + seed % 4, 6 + seed * 2, words);
    int32_t size = train_naively(words, 256 + 30, &expected);
    train(words, false, size, &model);
    train(words, true, size, &again);
    assert_string_equal(model.data, again.data);
    assert_int_equal(titan_tokenizer_create(model.data, model.length, "model", &tokenizer), TITAN_OK);
    assert_int_equal(titan_tokenizer_base_size(tokenizer), size);
    for (int32_t id = 0; id < size; id++) {
      char *bytes;
      size_t length;
      assert_int_equal(titan_tokenizer_decode(tokenizer, &id, 1, &bytes, &length), TITAN_OK);
      assert_int_equal(length, expected.tokens[id].length);
      assert_memory_equal(bytes, expected.tokens[id].bytes, length);
      titan_memory_free(bytes);
    }
    titan_tokenizer_destroy(&tokenizer);
    titan_text_destroy(&model);
    titan_text_destroy(&again);
    free(expected.tokens);
  }
}

static void too_little_text_is_an_error_that_says_how_far_it_went(void **state) {
  (void)state;
  titan_tokenizer_trainer *trainer;
  titan_text model = {0};
  assert_int_equal(titan_tokenizer_trainer_create(&trainer), TITAN_OK);
  assert_int_equal(titan_tokenizer_trainer_add(trainer, "abab", 4), TITAN_OK);
  assert_int_equal(titan_tokenizer_trainer_finish(trainer, 300, &model), TITAN_ERROR_DATA);
  assert_non_null(strstr(titan_error_message(), "only 257 tokens, not 300"));
  assert_int_equal(titan_tokenizer_trainer_finish(trainer, 255, &model), TITAN_ERROR_USAGE);
  assert_int_equal(titan_tokenizer_trainer_finish(trainer, 257, &model), TITAN_OK);
  assert_non_null(strstr(model.data, "/w== 255\nYWI= 256\n"));
  titan_text_destroy(&model);
  titan_tokenizer_trainer_destroy(&trainer);
}

static int nothing_is_left(void **state) {
  (void)state;
  return titan_memory_report_leaks() == 0 ? 0 : -1;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_vocabulary_is_that_of_the_definition),
      cmocka_unit_test(too_little_text_is_an_error_that_says_how_far_it_went),
  };
  return cmocka_run_group_tests(tests, NULL, nothing_is_left);
}
