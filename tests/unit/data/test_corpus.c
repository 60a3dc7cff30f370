// SPDX-License-Identifier: Apache-2.0
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
  assert_int_equal(mkfifo(data_folder_path("pipe.jsonl"), 0600), 0);
  expect_failure(titan_corpus_create("c4", data_folder_path("pipe.jsonl"), &corpus), TITAN_ERROR_USAGE,
                 "pipe.jsonl is a device or a pipe");
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
        assert_int_equal(titan_corpus_reader_skip(reader, 1), TITAN_OK);
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

static uint64_t fingerprint_of(const char *path) {
  titan_corpus *corpus;
  uint64_t digests[4];
  assert_int_equal(titan_corpus_create("c4", path, &corpus), TITAN_OK);
  int64_t count = titan_corpus_file_count(corpus);
  assert_true(count <= 4);
  for (int64_t i = 0; i < count; i++) {
    int64_t size;
    assert_int_equal(titan_corpus_digest(corpus, i, &digests[i], &size), TITAN_OK);
    assert_int_equal(size, titan_corpus_file_size(corpus, i));
  }
  titan_corpus_destroy(&corpus);
  return titan_corpus_fingerprint(digests, count);
}

static void the_fingerprint_follows_contents_and_not_names(void **state) {
  (void)state;
  static const char *const contents[] = {"{\"text\": \"abc\"}\n", "{\"text\": \"abd\"}\n", "{\"text\": \"abcd\"}\n"};
  uint64_t prints[4], again;
  data_folder_make();
  for (int i = 0; i < 3; i++) {
    data_folder_write("a.json", contents[i], strlen(contents[i]));
    prints[i] = fingerprint_of(data_folder_path("a.json"));
    // The same bytes under another name, and as the only file of a folder.
    data_folder_write("b.json", contents[i], strlen(contents[i]));
    assert_true(fingerprint_of(data_folder_path("b.json")) == prints[i]);
    assert_int_equal(remove(data_folder_path("b.json")), 0);
    assert_true(fingerprint_of(data_folder_path("")) == prints[i]);
  }
  // Two files; a name that puts them into another order makes it another corpus.
  data_folder_write("b.json", contents[0], strlen(contents[0]));
  prints[3] = fingerprint_of(data_folder_path(""));
  assert_int_equal(rename(data_folder_path("b.json"), data_folder_path("c.json")), 0);
  assert_true(fingerprint_of(data_folder_path("")) == prints[3]);
  assert_int_equal(rename(data_folder_path("c.json"), data_folder_path("0.json")), 0);
  again = fingerprint_of(data_folder_path(""));
  assert_true(again != prints[3]);
  for (int i = 0; i < 4; i++)
    for (int k = 0; k < i; k++)
      assert_true(prints[i] != prints[k]);
  data_folder_remove();
}

// Of files of more than 64 KiB three places count; of smaller ones every byte.
static void a_digest_sees_the_places_that_it_names(void **state) {
  (void)state;
  static char bytes[200000];
  static const struct {
    size_t size, place;
    bool seen;
  } cases[] = {{65536, 0, true},        {65536, 30000, true},   {65536, 65535, true},   {200000, 4095, true},
               {200000, 4096, false},   {200000, 100000, true}, {200000, 104095, true}, {200000, 150000, false},
               {200000, 195903, false}, {200000, 195904, true}, {200000, 199999, true}};
  memset(bytes, ' ', sizeof bytes);
  data_folder_make();
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    data_folder_write("a.json", bytes, cases[i].size);
    uint64_t before = fingerprint_of(data_folder_path("a.json"));
    bytes[cases[i].place] = 'x';
    data_folder_write("a.json", bytes, cases[i].size);
    bytes[cases[i].place] = ' ';
    assert_int_equal(fingerprint_of(data_folder_path("a.json")) != before, cases[i].seen);
  }
  titan_corpus *corpus;
  uint64_t digest;
  assert_int_equal(titan_corpus_create("c4", data_folder_path("a.json"), &corpus), TITAN_OK);
  assert_int_equal(remove(data_folder_path("a.json")), 0);
  expect_failure(titan_corpus_digest(corpus, 0, &digest, NULL), TITAN_ERROR_DATA, "a.json: No such file");
  titan_corpus_destroy(&corpus);
  data_folder_remove();
}

static void a_list_stands_for_the_files(void **state) {
  (void)state;
  titan_corpus *corpus, *listed;
  data_folder_make();
  data_folder_write("b c.json", line, strlen(line));
  data_folder_write("a.json", line, 5);
  data_folder_write("a.json.index", line, 5);
  const char *paths[] = {data_folder_path(""), data_folder_path("a.json")};
  for (int i = 0; i < 2; i++) {
    titan_text list = {0};
    assert_int_equal(titan_corpus_create("c4", paths[i], &corpus), TITAN_OK);
    assert_int_equal(titan_corpus_list(corpus, &list), TITAN_OK);
    assert_int_equal(titan_corpus_create_from_list("training", "c4", paths[i], &list, &listed), TITAN_OK);
    assert_int_equal(titan_corpus_file_count(listed), 2 - i);
    assert_string_equal(titan_corpus_name(listed), paths[i]);
    for (int64_t file = 0; file < 2 - i; file++) {
      assert_string_equal(titan_corpus_file(listed, file), titan_corpus_file(corpus, file));
      assert_int_equal(titan_corpus_file_size(listed, file), titan_corpus_file_size(corpus, file));
      assert_int_equal(titan_corpus_file_has_index(corpus, file), file == 0);
      assert_int_equal(titan_corpus_file_has_index(listed, file), file == 0);
    }
    assert_int_equal(titan_corpus_file_size(listed, 0), 5);
    titan_text_destroy(&list);
    titan_corpus_destroy(&listed);
    titan_corpus_destroy(&corpus);
  }
  data_folder_remove();
}

static void how_a_file_begins_is_told(void **state) {
  (void)state;
  static const struct {
    const char *contents, *message; // NULL: none is expected
    bool some;
  } cases[] = {{"{\"text\": \"x\"}\nnot looked at\n", NULL, true},
               {"\n  \n{\"text\": \"x\"}\n", NULL, true},
               {"\n  \n", NULL, false},
               {"\n{\"text\":\n", "a.json:2:", false},
               {"{\"text\": \"0123456789012345678901234567890123456789\"}\n", "a.json:1: the line is longer", false}};
  data_folder_make();
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    titan_corpus *corpus;
    bool some;
    data_folder_write("a.json", cases[i].contents, strlen(cases[i].contents));
    assert_int_equal(titan_corpus_create("c4", data_folder_path("a.json"), &corpus), TITAN_OK);
    titan_status status = titan_corpus_check_file(corpus, 0, 40, &some);
    if (cases[i].message != NULL)
      expect_failure(status, TITAN_ERROR_DATA, cases[i].message);
    else
      assert_int_equal(status, TITAN_OK);
    assert_int_equal(some, cases[i].some);
    titan_corpus_destroy(&corpus);
  }
  data_folder_remove();
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
      cmocka_unit_test(the_fingerprint_follows_contents_and_not_names),
      cmocka_unit_test(a_digest_sees_the_places_that_it_names),
      cmocka_unit_test(a_list_stands_for_the_files),
      cmocka_unit_test(how_a_file_begins_is_told),
  };
  return cmocka_run_group_tests(tests, NULL, nothing_is_left);
}
