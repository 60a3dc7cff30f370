// SPDX-License-Identifier: Apache-2.0
// Property: a document takes no more memory than is planned for one of the limit, in training and in validation, or it
// is refused with its file and line. Oracle: the document's length for its tokens; titan_loader_reading_bytes for its
// memory, by the program's own account.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four above first
#include <cmocka.h>

#include "base/memory.h"
#include "base/text.h"
#include "data/loader.h"
#include "data/validation.h"
#include "data_folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIMIT = 7 << 20, LENGTH = 4096, WINDOW = LENGTH + 1 };
// Of the tokenizer's cache, and the ids of a part: in the bytes of the process.
static const size_t scratch_bytes = 4 << 20;

static titan_tokenizer *words;
static int32_t tokens[LENGTH], labels[LENGTH];

// A vocabulary of the 256 bytes and of " abcdef", seven bytes: a text of it has few tokens, any other one for each
// byte.
static titan_tokenizer *words_tokenizer(void) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  titan_text model = {0};
  titan_tokenizer *made;
  for (int i = 0; i < 256; i++)
    assert_int_equal(titan_text_printf(&model, "%c%c== %d\n", digits[i >> 2], digits[(i & 3) << 4], i), TITAN_OK);
  assert_int_equal(titan_text_printf(&model, "IGFiY2RlZg== 256\n"), TITAN_OK);
  assert_int_equal(titan_tokenizer_create(model.data, model.length, "words.model", &made), TITAN_OK);
  titan_text_destroy(&model);
  return made;
}

static int set_up(void **state) {
  (void)state;
  words = words_tokenizer();
  data_folder_make();
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  titan_tokenizer_destroy(&words);
  data_folder_remove();
  return titan_memory_report_leaks() == 0 ? 0 : -1;
}

// large.jsonl: a document "x", and DOCUMENTS alike of `begin` and `count` times `part`.
enum { DOCUMENTS = 2 };
static titan_corpus *make_corpus(const char *section, const char *begin, const char *part, int count) {
  titan_text text = {0};
  titan_corpus *corpus;
  assert_int_equal(titan_text_printf(&text, "{\"text\": \"x\"}\n"), TITAN_OK);
  for (int document = 0; document < DOCUMENTS; document++) {
    assert_int_equal(titan_text_printf(&text, "{\"text\": \"%s", begin), TITAN_OK);
    for (int i = 0; i < count; i++)
      assert_int_equal(titan_text_append(&text, part, strlen(part)), TITAN_OK);
    assert_int_equal(titan_text_printf(&text, "\"}\n"), TITAN_OK);
  }
  data_folder_write("large.jsonl", text.data, text.length);
  titan_text_destroy(&text);
  assert_int_equal(titan_corpus_create_for(section, "c4_test", data_folder_path("large.jsonl"), &corpus), TITAN_OK);
  return corpus;
}

static titan_loader_options options_of(const titan_corpus *corpus) {
  return (titan_loader_options){.corpus = corpus,
                                .tokenizer = words,
                                .seq_len = LENGTH,
                                .global_batch = 1,
                                .lane_count = 1,
                                .document_limit = LIMIT,
                                .quiet = true};
}

static size_t begin_measuring(void) {
  titan_memory_reset_peaks();
  return titan_memory_usage_of(TITAN_MEMORY_DATA).live_bytes;
}

static void expect_planned(const char *what, size_t before, size_t beside) {
  size_t peak = titan_memory_usage_of(TITAN_MEMORY_DATA).peak_bytes - before;
  if (peak > beside + titan_loader_reading_bytes(LIMIT) + scratch_bytes)
    fail_msg("%s: %zu bytes were taken, %zu are planned", what, peak, beside + titan_loader_reading_bytes(LIMIT));
}

enum {
  WORDS = 1000000, // of a document: 7 MB of text, 4 MB of tokens
  WINDOWS = (3 + DOCUMENTS * (WORDS + 2)) / WINDOW,
};

static int32_t expected_token(int64_t place) {
  if (place < 3)
    return place == 0 ? 257 : place == 1 ? 'x' : 258;
  int64_t within = (place - 3) % (WORDS + 2);
  return within == 0 ? 257 : within == WORDS + 1 ? 258 : 256;
}

static void a_document_of_the_limit_takes_the_memory_that_is_planned(void **state) {
  (void)state;
  titan_loader *loader;
  titan_corpus *corpus = make_corpus("training", "", " abcdef", WORDS);
  titan_loader_options options = options_of(corpus);
  size_t before = begin_measuring();
  assert_int_equal(titan_loader_create(&options, &loader), TITAN_OK);
  for (int64_t window = 0; window < WINDOWS; window++) {
    assert_int_equal(titan_loader_next(loader, tokens, labels), TITAN_OK);
    for (int64_t i = 0; i < LENGTH; i++)
      assert_int_equal(tokens[i], expected_token(window * WINDOW + i));
  }
  expect_planned("training", before, titan_loader_bytes(1, LENGTH));
  titan_loader_destroy(&loader);
  titan_corpus_destroy(&corpus);
}

static void so_it_is_in_validation(void **state) {
  (void)state;
  titan_validation_data *data;
  titan_corpus *corpus = make_corpus("validation", "", " abcdef", WORDS);
  size_t before = begin_measuring();
  assert_int_equal(
      titan_validation_data_create(
          &(titan_validation_data_options){
              .corpus = corpus, .tokenizer = words, .seq_len = LENGTH, .document_limit = LIMIT, .quiet = true},
          &data),
      TITAN_OK);
  for (int64_t window = 0; window < WINDOWS; window++) {
    assert_int_equal(titan_validation_data_next(data, window, 1, tokens, labels), TITAN_OK);
    for (int64_t i = 0; i < LENGTH; i++)
      assert_int_equal(tokens[i], expected_token(window * WINDOW + i));
  }
  expect_planned("validation", before, titan_validation_data_bytes(LENGTH));
  titan_validation_data_destroy(&data);
  titan_corpus_destroy(&corpus);
}

// Lines within the limit that would take more than twice as much.
static const struct {
  const char *begin, *part;
  int count;
  const char *why;
} greedy[] = {
    {"", " b", 3000000, "the document takes more than 7 MiB (training.document_limit): it has more than 1"},
    {"", "b", 1000000, "a single word, without any space, digit or punctuation, takes 38.1 MiB of memory"},
    {"", "\xff", 3000000, "the text, in which invalid UTF-8 is replaced, takes 8.6 MiB of memory"},
    {"\xff", " abcdef", 900000, " tokens, and invalid UTF-8, which takes a copy of it"}, // 6.3 and 3.6 MB
};

static void a_document_that_would_take_more_is_refused_with_its_line(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof greedy / sizeof *greedy; i++) {
    titan_loader *loader;
    titan_corpus *corpus = make_corpus("training", greedy[i].begin, greedy[i].part, greedy[i].count);
    titan_loader_options options = options_of(corpus);
    size_t before = begin_measuring();
    assert_int_equal(titan_loader_create(&options, &loader), TITAN_OK);
    assert_int_equal(titan_loader_next(loader, tokens, labels), TITAN_ERROR_DATA);
    assert_non_null(strstr(titan_error_message(), "large.jsonl:2: "));
    assert_non_null(strstr(titan_error_message(), "training.document_limit"));
    if (strstr(titan_error_message(), greedy[i].why) == NULL)
      fail_msg("\"%s\" is not in: %s", greedy[i].why, titan_error_message());
    expect_planned(greedy[i].part, before, titan_loader_bytes(1, LENGTH));
    titan_loader_destroy(&loader);
    titan_corpus_destroy(&corpus);
  }
}

static void so_it_is_refused_in_validation(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof greedy / sizeof *greedy; i++) {
    titan_validation_data *data = NULL;
    titan_corpus *corpus = make_corpus("validation", greedy[i].begin, greedy[i].part, greedy[i].count);
    size_t before = begin_measuring();
    assert_int_equal(
        titan_validation_data_create(
            &(titan_validation_data_options){
                .corpus = corpus, .tokenizer = words, .seq_len = LENGTH, .document_limit = LIMIT, .quiet = true},
            &data),
        TITAN_ERROR_DATA);
    assert_non_null(strstr(titan_error_message(), "large.jsonl:2: "));
    expect_planned(greedy[i].part, before, titan_validation_data_bytes(LENGTH));
    titan_corpus_destroy(&corpus);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_document_of_the_limit_takes_the_memory_that_is_planned),
      cmocka_unit_test(so_it_is_in_validation),
      cmocka_unit_test(a_document_that_would_take_more_is_refused_with_its_line),
      cmocka_unit_test(so_it_is_refused_in_validation),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
