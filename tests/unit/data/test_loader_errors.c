// SPDX-License-Identifier: Apache-2.0
// Property: what is wrong in a corpus comes out of titan_loader_next as TITAN_ERROR_DATA with a message that names the
// file and the line, again on each later call, and never hangs. Oracle: damaged files written here.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four above first
#include <cmocka.h>

#include "base/memory.h"
#include "base/text.h"
#include "data/loader.h"
#include "data_folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

static titan_loader_options options_of(const titan_corpus *corpus, int64_t seq_len) {
  return (titan_loader_options){.corpus = corpus,
                                .tokenizer = tokenizer,
                                .seq_len = seq_len,
                                .global_batch = 4,
                                .first_lane = 0,
                                .lane_count = 4,
                                .quiet = true};
}

// Reads batches of 16 tokens until one fails, and returns how many did not.
static int expect_failure(const char *name, int64_t seq_len, titan_status status, const char *part) {
  titan_corpus *corpus;
  titan_loader *loader;
  int32_t tokens[4 * 64], labels[4 * 64];
  int good = 0;
  assert_int_equal(titan_corpus_create("c4", data_folder_path(name), &corpus), TITAN_OK);
  titan_loader_options options = options_of(corpus, seq_len);
  assert_int_equal(titan_loader_create(&options, &loader), TITAN_OK);
  while (good < 1000 && titan_loader_next(loader, tokens, labels) == TITAN_OK)
    good++;
  for (int again = 0; again < 2; again++) {
    assert_int_equal(titan_loader_next(loader, tokens, labels), status);
    if (strstr(titan_error_message(), part) == NULL)
      fail_msg("'%s' is not in: %s", part, titan_error_message());
  }
  titan_loader_destroy(&loader);
  titan_corpus_destroy(&corpus);
  return good;
}

static void write_string(const char *name, const char *text) {
  data_folder_write(name, text, strlen(text));
}

static void broken_lines_are_named_after_the_batches_before_them(void **state) {
  (void)state;
  titan_text lines = {0};
  for (int i = 0; i < 40; i++)
    assert_int_equal(titan_text_printf(&lines, "{\"text\": \"document number %d\"}\n", i), TITAN_OK);
  size_t good = lines.length;
  assert_int_equal(titan_text_printf(&lines, "{\"text\": \"broken\n"), TITAN_OK);
  write_string("broken.jsonl", lines.data);
  assert_true(expect_failure("broken.jsonl", 16, TITAN_ERROR_DATA, "broken.jsonl:41") > 5);
  lines.length = good;
  assert_int_equal(titan_text_printf(&lines, "{\"txet\": \"no text\"}\n"), TITAN_OK);
  write_string("missing.jsonl", lines.data);
  assert_true(expect_failure("missing.jsonl", 16, TITAN_ERROR_DATA, "missing.jsonl:41") > 5);
  titan_text_destroy(&lines);
}

static void a_truncated_gzip_file_is_named(void **state) {
  (void)state;
  titan_text lines = {0};
  uint32_t seed = 1;
  for (int i = 0; i < 3000; i++) {
    seed = seed * 1664525u + 1013904223u;
    assert_int_equal(titan_text_printf(&lines, "{\"text\": \"%u\"}\n", seed), TITAN_OK);
  }
  write_string("cut.jsonl.gz", lines.data);
  titan_text_destroy(&lines);
  assert_int_equal(truncate(data_folder_path("cut.jsonl.gz"), 5000), 0);
  expect_failure("cut.jsonl.gz", 16, TITAN_ERROR_DATA, "cut.jsonl.gz");
}

static void corpora_that_fill_no_window_are_refused(void **state) {
  (void)state;
  write_string("blank.jsonl", "\n\n   \n");
  assert_int_equal(expect_failure("blank.jsonl", 16, TITAN_ERROR_DATA, "no document"), 0);
  write_string("textless.jsonl", "{\"text\": \"\"}\n{\"text\": \"\"}\n");
  assert_int_equal(expect_failure("textless.jsonl", 16, TITAN_ERROR_DATA, "holds no text"), 0);
  write_string("short.jsonl", "{\"text\": \"abc\"}\n{\"text\": \"defghij\"}\n"); // 5 + 9 tokens
  assert_int_equal(expect_failure("short.jsonl", 14, TITAN_ERROR_DATA, "shorter than one window: it has 14 tokens"), 0);
}

// 14 tokens fill a window of 13+1 even where each lane needs several passes to collect it.
static void a_corpus_of_one_window_is_enough_for_all_lanes(void **state) {
  (void)state;
  titan_corpus *corpus;
  titan_loader *loader;
  int32_t tokens[4 * 13], labels[4 * 13];
  write_string("enough.jsonl", "{\"text\": \"abc\"}\n{\"text\": \"defghij\"}\n");
  assert_int_equal(titan_corpus_create("c4", data_folder_path("enough.jsonl"), &corpus), TITAN_OK);
  titan_loader_options options = options_of(corpus, 13);
  assert_int_equal(titan_loader_create(&options, &loader), TITAN_OK);
  assert_int_equal(titan_loader_next(loader, tokens, labels), TITAN_OK);
  static const int32_t lane_0[13] = {BYTES_BOS, 'a', 'b',       'c',       BYTES_EOS, BYTES_BOS, 'a',
                                     'b',       'c', BYTES_EOS, BYTES_BOS, 'a',       'b'};
  assert_memory_equal(tokens, lane_0, sizeof lane_0);
  titan_loader_destroy(&loader);
  titan_corpus_destroy(&corpus);
}

static void a_file_that_vanishes_is_named(void **state) {
  (void)state;
  titan_corpus *corpus;
  titan_loader *loader;
  int32_t tokens[4 * 16], labels[4 * 16];
  write_string("gone.jsonl", "{\"text\": \"abc\"}\n");
  assert_int_equal(titan_corpus_create("c4", data_folder_path("gone.jsonl"), &corpus), TITAN_OK);
  assert_int_equal(unlink(data_folder_path("gone.jsonl")), 0);
  titan_loader_options options = options_of(corpus, 16);
  assert_int_equal(titan_loader_create(&options, &loader), TITAN_OK);
  assert_int_equal(titan_loader_next(loader, tokens, labels), TITAN_ERROR_USAGE);
  assert_non_null(strstr(titan_error_message(), "gone.jsonl"));
  titan_loader_destroy(&loader);
  titan_corpus_destroy(&corpus);
}

static void options_and_cursors_out_of_range_are_refused(void **state) {
  (void)state;
  titan_corpus *corpus;
  titan_loader *loader;
  write_string("fine.jsonl", "{\"text\": \"abcdefghijklmnopqrstuvwxyz\"}\n");
  assert_int_equal(titan_corpus_create("c4", data_folder_path("fine.jsonl"), &corpus), TITAN_OK);
  titan_loader_options good = options_of(corpus, 16), bad[6] = {good, good, good, good, good, good};
  bad[0].seq_len = 0, bad[1].global_batch = 0, bad[2].first_lane = 1, bad[3].lane_count = 0, bad[4].first_lane = -1,
  bad[5].prefetch = -1;
  for (int i = 0; i < 6; i++)
    assert_int_equal(titan_loader_create(&bad[i], &loader), TITAN_ERROR_USAGE);
  titan_loader_cursor cursors[4];
  static const titan_loader_cursor wrong[] = {{.document = 5},
                                              {.document = -3},
                                              {.document = 1, .token = -1},
                                              {.document = 1, .place = {1, 0}},
                                              {.document = 1, .place = {0, 2}}};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    for (int lane = 0; lane < 4; lane++)
      cursors[lane] = (titan_loader_cursor){.document = lane};
    cursors[i == 0 ? 2 : 1] = wrong[i]; // document 5 belongs to lane 1
    good.cursors = cursors;
    assert_int_equal(titan_loader_create(&good, &loader), TITAN_ERROR_DATA);
  }
  cursors[1] = (titan_loader_cursor){.document = 1};
  cursors[2] = (titan_loader_cursor){.document = 2};
  cursors[3] = (titan_loader_cursor){.document = 3, .token = 28}; // the document has 28 tokens
  int32_t tokens[4 * 16], labels[4 * 16];
  assert_int_equal(titan_loader_create(&good, &loader), TITAN_OK);
  assert_int_equal(titan_loader_next(loader, tokens, labels), TITAN_ERROR_DATA);
  assert_non_null(strstr(titan_error_message(), "fine.jsonl:1"));
  assert_int_equal(titan_loader_set_cursors(loader, NULL), TITAN_OK); // and it can start again
  assert_int_equal(titan_loader_next(loader, tokens, labels), TITAN_OK);
  titan_loader_destroy(&loader);
  titan_corpus_destroy(&corpus);
}

static void invalid_utf8_is_replaced_and_counted(void **state) {
  (void)state;
  titan_corpus *corpus;
  titan_loader *loader;
  int32_t tokens[4 * 16], labels[4 * 16];
  write_string("invalid.jsonl", "{\"text\": \"abc\xff...............................\"}\n");
  assert_int_equal(titan_corpus_create("c4", data_folder_path("invalid.jsonl"), &corpus), TITAN_OK);
  titan_loader_options options = options_of(corpus, 16);
  assert_int_equal(titan_loader_create(&options, &loader), TITAN_OK);
  assert_int_equal(titan_loader_next(loader, tokens, labels), TITAN_OK);
  static const int32_t lane_0[] = {BYTES_BOS, 'a', 'b', 'c', 0xef, 0xbf, 0xbd, '.'}; // U+FFFD in UTF-8
  assert_memory_equal(tokens, lane_0, sizeof lane_0);
  assert_true(titan_loader_replaced(loader) >= 4);
  titan_loader_destroy(&loader);
  titan_corpus_destroy(&corpus);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(broken_lines_are_named_after_the_batches_before_them),
      cmocka_unit_test(a_truncated_gzip_file_is_named),
      cmocka_unit_test(corpora_that_fill_no_window_are_refused),
      cmocka_unit_test(a_corpus_of_one_window_is_enough_for_all_lanes),
      cmocka_unit_test(a_file_that_vanishes_is_named),
      cmocka_unit_test(options_and_cursors_out_of_range_are_refused),
      cmocka_unit_test(invalid_utf8_is_replaced_and_counted),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
