// Property: a corpus is the files that its name or path stands for, in order, and its reader goes round them without
// end. Oracle: files written here. Bad input gives the documented status and a message that names what is wrong.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four above first
#include <cmocka.h>

#include "base/memory.h"
#include "data/assets.h"
#include "data/corpus.h"
#include "data_folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char line[] = "{\"text\": \"x\"}\n";

static void expect_failure(titan_status got, titan_status status, const char *part) {
  assert_int_equal(got, status);
  if (strstr(titan_error_message(), part) == NULL)
    fail_msg("'%s' is not in: %s", part, titan_error_message());
}

static void a_folder_is_its_json_files_in_the_order_of_their_names(void **state) {
  (void)state;
  static const char *const names[] = {"c.jsonl",    "b.json.gz",       "a10.jsonl.gz", "a2.json",
                                      "readme.txt", "a.jsonl.partial", ".b.json"};
  static const char *const expected[] = {"a10.jsonl.gz", "a2.json", "b.json.gz", "c.jsonl"};
  titan_corpus *corpus;
  data_folder_make();
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    data_folder_write(names[i], line, strlen(line));
  assert_int_equal(mkdir(data_folder_path("folder.json"), 0755), 0);
  assert_int_equal(titan_corpus_create("c4", data_folder_path(""), &corpus), TITAN_OK);
  assert_int_equal(titan_corpus_file_count(corpus), 4);
  for (int i = 0; i < 4; i++)
    assert_string_equal(titan_corpus_file(corpus, i), data_folder_path(expected[i]));
  titan_corpus_destroy(&corpus);
  data_folder_remove();
}

static void names_and_paths_that_do_not_fit_are_refused(void **state) {
  (void)state;
  titan_corpus *corpus;
  data_folder_make();
  data_folder_write("readme.txt", line, strlen(line));
  data_folder_write("empty.jsonl", "", 0);
  expect_failure(titan_corpus_create("c5", NULL, &corpus), TITAN_ERROR_USAGE, "c4_mini");
  expect_failure(titan_corpus_create("c5", data_folder_path("empty.jsonl"), &corpus), TITAN_ERROR_USAGE,
                 "'c5' is unknown");
  expect_failure(titan_corpus_create("c4", NULL, &corpus), TITAN_ERROR_USAGE, "needs training.dataset_path");
  expect_failure(titan_corpus_create("c4", "", &corpus), TITAN_ERROR_USAGE, "needs training.dataset_path");
  expect_failure(titan_corpus_create("c4_test", "/nowhere/x.json", &corpus), TITAN_ERROR_USAGE,
                 "/nowhere/x.json: No such file");
  expect_failure(titan_corpus_create("c4", data_folder_path("empty.jsonl"), &corpus), TITAN_ERROR_DATA, "is empty");
  assert_int_equal(mkdir(data_folder_path("none"), 0755), 0);
  expect_failure(titan_corpus_create("c4", data_folder_path("none"), &corpus), TITAN_ERROR_DATA, "holds no file");
  assert_null(corpus);
  data_folder_remove();
}

static void installed_corpora_are_found_by_name(void **state) {
  (void)state;
  titan_corpus *corpus;
  data_folder_make();
  setenv("TITAN_ASSETS", data_folder_path(""), 1);
  expect_failure(titan_corpus_create("c4_test", NULL, &corpus), TITAN_ERROR_USAGE,
                 data_folder_path("c4_test.jsonl.gz"));
  data_folder_write("c4_test.jsonl.gz", line, strlen(line));
  assert_int_equal(titan_corpus_create("c4_test", NULL, &corpus), TITAN_OK);
  assert_string_equal(titan_corpus_file(corpus, 0), data_folder_path("c4_test.jsonl.gz"));
  assert_string_equal(titan_corpus_name(corpus), "c4_test");
  titan_corpus_destroy(&corpus);
  unsetenv("TITAN_ASSETS");
  titan_text path = {0};
  expect_failure(titan_assets_find("no_such_thing", &path), TITAN_ERROR_USAGE, "share/titan-hpc/assets");
  titan_text_destroy(&path);
  data_folder_remove();
}

static void the_reader_goes_round_and_can_begin_at_any_file(void **state) {
  (void)state;
  static char *const texts[] = {"zero", "one", "two", "three", "four"};
  titan_corpus *corpus;
  data_folder_make();
  data_folder_write_texts("a.jsonl", texts, 0, 2);
  data_folder_write("b.jsonl", "", 0);
  data_folder_write_texts("c.jsonl.gz", texts, 2, 3);
  assert_int_equal(titan_corpus_create("c4", data_folder_path(""), &corpus), TITAN_OK);
  static const titan_corpus_place places[] = {{0, 0}, {1, 2}, {2, 2}, {0, 5}, {2, 7}, {1, 12}};
  for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
    titan_corpus_reader *reader;
    assert_int_equal(titan_corpus_reader_create(corpus, places[i], &reader), TITAN_OK);
    for (int64_t n = places[i].document; n < 23; n++) {
      const char *text;
      size_t length;
      assert_int_equal(titan_corpus_reader_document(reader), n);
      if (n % 3 == 1) {
        assert_int_equal(titan_corpus_reader_skip(reader), TITAN_OK);
        continue;
      }
      assert_int_equal(titan_corpus_reader_next(reader, &text, &length), TITAN_OK);
      assert_int_equal(length, strlen(texts[n % 5]));
      assert_memory_equal(text, texts[n % 5], length);
      titan_corpus_place place = titan_corpus_reader_place(reader);
      assert_int_equal(place.file, n % 5 < 2 ? 0 : 2);
      assert_int_equal(place.document, n - n % 5 + (n % 5 < 2 ? 0 : 2));
    }
    titan_corpus_reader_destroy(&reader);
  }
  titan_corpus_reader *reader;
  expect_failure(titan_corpus_reader_create(corpus, (titan_corpus_place){3, 0}, &reader), TITAN_ERROR_DATA, "3 files");
  titan_corpus_destroy(&corpus);
  data_folder_remove();
}

static void the_fingerprint_follows_names_sizes_and_bytes(void **state) {
  (void)state;
  titan_corpus *corpus;
  uint64_t prints[5];
  static const char *const contents[] = {"{\"text\": \"abc\"}\n", "{\"text\": \"abd\"}\n", "{\"text\": \"abcd\"}\n"};
  for (int i = 0; i < 5; i++) { // 3: another name; 4: as 0, elsewhere
    const char *name = i == 3 ? "b.json" : "a.json", *content = contents[i < 3 ? i : 0];
    data_folder_make();
    data_folder_write(name, content, strlen(content));
    assert_int_equal(titan_corpus_create("c4", data_folder_path(name), &corpus), TITAN_OK);
    assert_int_equal(titan_corpus_fingerprint(corpus, &prints[i]), TITAN_OK);
    titan_corpus_destroy(&corpus);
    data_folder_remove();
  }
  assert_true(prints[0] == prints[4]);
  for (int i = 0; i < 4; i++)
    for (int k = 0; k < i; k++)
      assert_true(prints[i] != prints[k]);
}

static int nothing_is_left(void **state) {
  (void)state;
  return titan_memory_report_leaks() == 0 ? 0 : -1;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_folder_is_its_json_files_in_the_order_of_their_names),
      cmocka_unit_test(names_and_paths_that_do_not_fit_are_refused),
      cmocka_unit_test(installed_corpora_are_found_by_name),
      cmocka_unit_test(the_reader_goes_round_and_can_begin_at_any_file),
      cmocka_unit_test(the_fingerprint_follows_names_sizes_and_bytes),
  };
  return cmocka_run_group_tests(tests, NULL, nothing_is_left);
}
