// SPDX-License-Identifier: Apache-2.0
// Property: a validation corpus that cannot be used is told with the option that names it and the file, as early as it
// can be known. Oracle: damaged files written here.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four above first
#include <cmocka.h>

#include "base/memory.h"
#include "base/text.h"
#include "data/validation.h"
#include "data_folder.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LENGTH = 7 };

static titan_tokenizer *tokenizer;

static int set_up(void **state) {
  (void)state;
  tokenizer = data_bytes_tokenizer();
  data_folder_make();
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  titan_tokenizer_destroy(&tokenizer);
  data_folder_remove();
  return titan_memory_report_leaks() == 0 ? 0 : -1;
}

static void write_string(const char *name, const char *text) {
  data_folder_write(name, text, strlen(text));
}

static titan_status open_data(const char *name, titan_corpus **corpus, titan_validation_data **data) {
  *data = NULL;
  TITAN_TRY(titan_corpus_create_for("validation", "c4_test", data_folder_path(name), corpus));
  return titan_validation_data_create(
      &(titan_validation_data_options){.corpus = *corpus, .tokenizer = tokenizer, .seq_len = LENGTH, .quiet = true},
      data);
}

static titan_status next_window(titan_validation_data *data, int64_t window) {
  int32_t tokens[LENGTH], labels[LENGTH];
  return titan_validation_data_next(data, window, 1, tokens, labels);
}

// Opening fails, with a message that begins with the option and holds the file's name and `part`.
static void expect_refused(const char *name, titan_status expected, const char *part) {
  titan_corpus *corpus = NULL;
  titan_validation_data *data = NULL;
  assert_int_equal(open_data(name, &corpus, &data), expected);
  assert_null(data);
  const char *message = titan_error_message();
  if (strncmp(message, "validation.dataset_path: ", 25) != 0 || strstr(message, data_folder_path(name)) == NULL ||
      strstr(message, part) == NULL)
    fail_msg("%s: \"%s\", expected \"%s\"", name, message, part);
  titan_corpus_destroy(&corpus);
}

static void corpora_without_a_whole_window_are_refused_at_once(void **state) {
  (void)state;
  write_string("empty.jsonl", "");
  write_string("blank.jsonl", "\n\n   \n");
  write_string("textless.jsonl", "{\"text\": \"\"}\n{\"text\": \"\"}\n");
  assert_int_equal(mkdir(data_folder_path("folder"), 0755), 0);
  write_string("seven.jsonl", "{\"text\": \"abcde\"}\n");
  expect_refused("missing.jsonl", TITAN_ERROR_USAGE, "No such file");
  expect_refused("folder", TITAN_ERROR_DATA, "holds no file");
  expect_refused("empty.jsonl", TITAN_ERROR_DATA, "is empty");
  expect_refused("blank.jsonl", TITAN_ERROR_DATA, "is empty: it holds no document");
  expect_refused("textless.jsonl", TITAN_ERROR_DATA, "holds no text");
  expect_refused("seven.jsonl", TITAN_ERROR_DATA,
                 "is shorter than one window: it has 7 tokens, and sequences of 7 need 8");
}

static void datasets_that_need_a_path_name_their_own_options(void **state) {
  (void)state;
  titan_corpus *corpus;
  assert_int_equal(titan_corpus_create_for("validation", "c4_validation", NULL, &corpus), TITAN_ERROR_USAGE);
  assert_non_null(strstr(titan_error_message(), "validation.dataset c4_validation needs validation.dataset_path"));
  assert_int_equal(titan_corpus_create_for("validation", "pile", NULL, &corpus), TITAN_ERROR_USAGE);
  assert_non_null(strstr(titan_error_message(), "validation.dataset: 'pile' is unknown"));
  assert_int_equal(titan_corpus_create("c4_validation", NULL, &corpus), TITAN_ERROR_USAGE);
  assert_non_null(strstr(titan_error_message(), "training.dataset c4_validation needs training.dataset_path"));
}

// A text of two bytes behind documents without any: BOS, EOS, BOS, EOS, BOS, a, b, EOS.
static void the_shortest_corpus_has_one_window(void **state) {
  (void)state;
  titan_corpus *corpus;
  titan_validation_data *data;
  int32_t tokens[LENGTH], labels[LENGTH];
  static const int32_t expected[] = {BYTES_BOS, BYTES_EOS, BYTES_BOS, BYTES_EOS, BYTES_BOS, 'a', 'b'};
  static const int32_t expected_labels[] = {BYTES_EOS, BYTES_BOS, BYTES_EOS, BYTES_BOS, 'a', 'b', BYTES_EOS};
  write_string("short.jsonl", "{\"text\": \"\"}\n{\"text\": \"\"}\n{\"text\": \"ab\"}\n");
  assert_int_equal(open_data("short.jsonl", &corpus, &data), TITAN_OK);
  assert_int_equal(titan_validation_data_next(data, 0, 1, tokens, labels), TITAN_OK);
  assert_memory_equal(tokens, expected, sizeof expected);
  assert_memory_equal(labels, expected_labels, sizeof expected_labels);
  bool exists;
  assert_int_equal(titan_validation_data_has(data, 1, &exists), TITAN_OK);
  assert_false(exists);
  assert_int_equal(titan_validation_data_window_count(data), 1);
  titan_validation_data_destroy(&data);
  titan_corpus_destroy(&corpus);
}

static void a_broken_line_is_named_in_every_round(void **state) {
  (void)state;
  titan_corpus *corpus;
  titan_validation_data *data;
  write_string("broken.jsonl", "{\"text\": \"abcdefghijklmnop\"}\n{\"text\": \"q\"}\n{\"text\": \n");
  assert_int_equal(open_data("broken.jsonl", &corpus, &data), TITAN_OK);
  for (int round = 0; round < 2; round++) {
    assert_int_equal(next_window(data, 0), TITAN_OK);
    assert_int_equal(next_window(data, 1), TITAN_OK);
    assert_int_equal(next_window(data, 2), TITAN_ERROR_DATA);
    assert_non_null(strstr(titan_error_message(), "broken.jsonl:3"));
    assert_int_equal(titan_validation_data_rewind(data), TITAN_OK);
  }
  titan_validation_data_destroy(&data);
  titan_corpus_destroy(&corpus);
}

static void a_corpus_that_changes_or_vanishes_during_the_run_is_refused(void **state) {
  (void)state;
  titan_corpus *corpus;
  titan_validation_data *data;
  bool exists;
  write_string("changed.jsonl", "{\"text\": \"abcdefghijklmnop\"}\n");
  assert_int_equal(open_data("changed.jsonl", &corpus, &data), TITAN_OK);
  assert_int_equal(titan_validation_data_has(data, 100, &exists), TITAN_OK);
  assert_int_equal(titan_validation_data_window_count(data), 3); // 18 tokens
  write_string("changed.jsonl", "{\"text\": \"abcdefghijklmnopq\"}\n");
  assert_int_equal(titan_validation_data_rewind(data), TITAN_OK);
  assert_int_equal(titan_validation_data_has(data, 100, &exists), TITAN_ERROR_DATA);
  assert_non_null(strstr(titan_error_message(), "validation.dataset_path: the corpus "));
  assert_non_null(strstr(titan_error_message(), "changed.jsonl has 19 tokens, and had 18 in the previous validation"));
  assert_int_equal(unlink(data_folder_path("changed.jsonl")), 0);
  assert_int_equal(titan_validation_data_rewind(data), TITAN_OK);
  assert_int_equal(next_window(data, 0), TITAN_ERROR_USAGE);
  assert_non_null(strstr(titan_error_message(), "changed.jsonl"));
  titan_validation_data_destroy(&data);
  titan_corpus_destroy(&corpus);
}

static void a_window_of_no_tokens_is_refused(void **state) {
  (void)state;
  titan_corpus *corpus;
  titan_validation_data *data;
  write_string("fine.jsonl", "{\"text\": \"abc\"}\n");
  assert_int_equal(titan_corpus_create_for("validation", "c4", data_folder_path("fine.jsonl"), &corpus), TITAN_OK);
  titan_validation_data_options options = {.corpus = corpus, .tokenizer = tokenizer, .seq_len = 0};
  assert_int_equal(titan_validation_data_create(&options, &data), TITAN_ERROR_USAGE);
  assert_non_null(strstr(titan_error_message(), "validation.seq_len = 0: expected at least 1"));
  assert_null(data);
  titan_corpus_destroy(&corpus);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(corpora_without_a_whole_window_are_refused_at_once),
      cmocka_unit_test(datasets_that_need_a_path_name_their_own_options),
      cmocka_unit_test(the_shortest_corpus_has_one_window),
      cmocka_unit_test(a_broken_line_is_named_in_every_round),
      cmocka_unit_test(a_corpus_that_changes_or_vanishes_during_the_run_is_refused),
      cmocka_unit_test(a_window_of_no_tokens_is_refused),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
