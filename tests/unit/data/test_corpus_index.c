// SPDX-License-Identifier: Apache-2.0
// Property: with the indexes of its files a loader gives the windows and positions that it gives without, to the bit,
// on any share of the lanes, over several passes, resumed anywhere; an index that does not fit or is damaged is told
// and not used; and few bytes are read. Oracle: a loader on a copy of the files without indexes; /proc/self/io.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four above first
#include <cmocka.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "data/corpus_index.h"
#include "data/loader.h"
#include "data_folder.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SEQ_LEN = 499, MOST_LANES = 8, DOCUMENTS = 1121 };

static titan_tokenizer *tokenizer;
static char told[4096]; // lines of the log since the last forget()

static void keep_line(void *context, const char *text) {
  (void)context;
  size_t length = strlen(told);
  snprintf(told + length, sizeof told - length, "%s\n", text);
}

static void forget(void) {
  told[0] = '\0';
}

static int count_told(const char *part) {
  int count = 0;
  for (const char *at = told; (at = strstr(at, part)) != NULL; at++)
    count++;
  return count;
}

static uint32_t draw(uint32_t below) {
  static uint32_t seed = 4711;
  seed = seed * 1664525u + 1013904223u;
  return (uint32_t)((uint64_t)seed * below >> 32);
}

// JSON lines of `count` documents of up to `longest` bytes, every 50th of twenty times as many at most. With blank
// lines among them, some of blanks, and with both ends of lines.
static void append_documents(titan_text *lines, int count, uint32_t longest) {
  for (int i = 0; i < count; i++) {
    uint32_t length = i % 13 == 5 ? 0 : draw(i % 50 == 20 ? 20 * longest : longest);
    for (uint32_t blank = i % 9 == 4 ? draw(4) : 0; blank > 0; blank--)
      assert_int_equal(titan_text_printf(lines, "%s\n", blank % 2 == 0 ? "" : " \t\r"), TITAN_OK);
    assert_int_equal(titan_text_printf(lines, "{\"n\": %u, \"text\": \"", draw(100000)), TITAN_OK);
    for (uint32_t k = 0; k < length; k++)
      assert_int_equal(titan_text_append(lines, &"abcdefghij 0123"[draw(15)], 1), TITAN_OK);
    assert_int_equal(titan_text_printf(lines, "\"}%s\n", i % 3 == 0 ? "\r" : ""), TITAN_OK);
  }
}

// The file `name` in the folders plain/ and indexed/; there with an index.
static void write_both(const char *name, const titan_text *lines, bool index) {
  char path[64];
  int64_t documents;
  snprintf(path, sizeof path, "plain/%s", name);
  data_folder_write(path, lines->data, lines->length);
  snprintf(path, sizeof path, "indexed/%s", name);
  data_folder_write(path, lines->data, lines->length);
  if (index && titan_corpus_index_write(data_folder_path(path), &documents) != TITAN_OK)
    fail_msg("%s", titan_error_message());
}

static void write_documents(const char *name, const char *begin, int count, uint32_t longest, bool index) {
  titan_text lines = {0};
  assert_int_equal(titan_text_printf(&lines, "%s", begin), TITAN_OK);
  append_documents(&lines, count, longest);
  write_both(name, &lines, index);
  titan_text_destroy(&lines);
}

static int set_up(void **state) {
  (void)state;
  tokenizer = data_bytes_tokenizer();
  titan_log_watch(TITAN_LOG_INFO, keep_line, NULL);
  data_folder_make();
  if (mkdir(data_folder_path("plain"), 0755) != 0 || mkdir(data_folder_path("indexed"), 0755) != 0)
    return -1;
  write_documents("1.json", "\xef\xbb\xbf", 150, 2000, true);
  write_documents("2.json", "\n\n", 1, 3000, true);
  write_documents("3.json", "\n \n", 0, 0, true); // no document
  write_documents("4.json", "", 60, 2000, false);
  write_documents("5.json.gz", "", 40, 2000, false);
  write_documents("6.json", "", 800, 2000, true); // more than two blocks of the index
  titan_text last = {0};
  append_documents(&last, 70, 8000);
  last.length -= 1; // the file ends without a newline
  write_both("7.json", &last, true);
  titan_text_destroy(&last);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  titan_log_watch(TITAN_LOG_INFO, NULL, NULL);
  titan_tokenizer_destroy(&tokenizer);
  data_folder_remove();
  return titan_memory_report_leaks() == 0 ? 0 : -1;
}

// --- two loaders side by side ---

typedef struct share {
  int64_t first, count, batch;
} share;

typedef struct pair {
  titan_corpus *corpora[2];
  titan_loader *loaders[2]; // [1] has indexes
  share lanes;
} pair;

static titan_loader *open_loader(const titan_corpus *corpus, share lanes, bool quiet,
                                 const titan_loader_cursor *cursors) {
  titan_loader *loader;
  titan_loader_options options = {.corpus = corpus,
                                  .tokenizer = tokenizer,
                                  .seq_len = SEQ_LEN,
                                  .global_batch = lanes.batch,
                                  .first_lane = lanes.first,
                                  .lane_count = lanes.count,
                                  .quiet = quiet,
                                  .cursors = cursors};
  if (titan_loader_create(&options, &loader) != TITAN_OK)
    fail_msg("%s", titan_error_message());
  return loader;
}

static pair open_pair(const char *name, share lanes, const titan_loader_cursor *cursors) {
  static const char *const folders[] = {"plain", "indexed"};
  pair both = {.lanes = lanes};
  for (int i = 0; i < 2; i++) {
    char path[64];
    snprintf(path, sizeof path, "%s%s%s", folders[i], name[0] != '\0' ? "/" : "", name);
    assert_int_equal(titan_corpus_create("c4", data_folder_path(path), &both.corpora[i]), TITAN_OK);
    both.loaders[i] = open_loader(both.corpora[i], lanes, i == 0, cursors);
  }
  return both;
}

static void close_pair(pair *both) {
  for (int i = 0; i < 2; i++) {
    titan_loader_destroy(&both->loaders[i]);
    titan_corpus_destroy(&both->corpora[i]);
  }
}

// Takes `steps` batches from both; cursors[2][lane_count] = the positions behind the last.
static void expect_alike(pair *both, int steps, titan_loader_cursor cursors[2][MOST_LANES]) {
  static int32_t tokens[2][MOST_LANES * SEQ_LEN], labels[2][MOST_LANES * SEQ_LEN];
  size_t bytes = (size_t)both->lanes.count * SEQ_LEN * sizeof(int32_t);
  for (int step = 0; step < steps; step++) {
    for (int i = 0; i < 2; i++) {
      if (titan_loader_next(both->loaders[i], tokens[i], labels[i]) != TITAN_OK)
        fail_msg("%s", titan_error_message());
      titan_loader_get_cursors(both->loaders[i], cursors[i]);
    }
    assert_memory_equal(tokens[0], tokens[1], bytes);
    assert_memory_equal(labels[0], labels[1], bytes);
    assert_memory_equal(cursors[0], cursors[1], (size_t)both->lanes.count * sizeof(titan_loader_cursor));
  }
}

static const share shares[] = {{0, 1, 1}, {3, 1, 8}, {0, 8, 8}, {62, 2, 64}, {5, 7, 64}, {0, 1, 64}, {900, 8, 4000}};
enum { SHARES = sizeof shares / sizeof shares[0] };

static void windows_and_positions_are_those_without_an_index(void **state) {
  (void)state;
  for (int i = 0; i < SHARES; i++) {
    titan_loader_cursor cursors[2][MOST_LANES];
    pair both = open_pair("", shares[i], NULL);
    do
      expect_alike(&both, 1, cursors);
    while (cursors[0][0].document < 2 * DOCUMENTS + 10 || cursors[0][0].document < 4 * shares[i].batch);
    close_pair(&both);
  }
}

static void a_run_goes_on_with_an_index_or_without(void **state) {
  (void)state;
  for (int i = 0; i < SHARES; i++)
    for (int steps = 1; steps < 150; steps += 3 * steps) {
      titan_loader_cursor cursors[2][MOST_LANES], start[MOST_LANES];
      pair both = open_pair("", shares[i], NULL);
      expect_alike(&both, steps, cursors);
      memcpy(start, cursors[0], sizeof start);
      for (int k = 0; k < 2; k++)
        assert_int_equal(titan_loader_set_cursors(both.loaders[k], start), TITAN_OK);
      expect_alike(&both, 5, cursors);
      close_pair(&both);
      both = open_pair("", shares[i], start);
      expect_alike(&both, 40, cursors);
      close_pair(&both);
      // Another number of lanes.
      titan_loader_change change = titan_loader_change_of(cursors[0], shares[i].count);
      share other = {40, 3, 100};
      titan_loader_deal_anew(&change, other.batch, other.first, other.count, start);
      both = open_pair("", other, start);
      expect_alike(&both, 20, cursors);
      close_pair(&both);
    }
}

static void the_log_says_what_an_index_is_for(void **state) {
  (void)state;
  titan_loader_cursor cursors[2][MOST_LANES];
  forget();
  pair both = open_pair("", (share){62, 2, 64}, NULL);
  expect_alike(&both, 60, cursors);
  assert_int_equal(titan_loader_set_cursors(both.loaders[1], NULL), TITAN_OK);
  close_pair(&both);
  assert_int_equal(count_told("indexed/1.json.index is used: a rank reads its own documents only"), 1);
  assert_int_equal(count_told(".index"), 1); // once, for all files and passes
  forget();
  both = open_pair("", (share){0, 8, 8}, NULL);
  expect_alike(&both, 10, cursors);
  close_pair(&both);
  assert_int_equal(count_told("is used to resume only: less than 64 KiB"), 1);
}

// --- what is read ---

// Bytes that read calls have given this process.
static long long bytes_read(void) {
  long long bytes;
  FILE *file = fopen("/proc/self/io", "r");
  assert_non_null(file);
  assert_int_equal(fscanf(file, "rchar: %lld", &bytes), 1);
  fclose(file);
  return bytes;
}

static void few_bytes_are_read(void **state) {
  (void)state;
  enum { COUNT = 128, BYTES = 65536 };
  static int32_t tokens[2 * SEQ_LEN], labels[2 * SEQ_LEN];
  titan_text lines = {0};
  for (int i = 0; i < COUNT; i++) {
    assert_int_equal(titan_text_printf(&lines, "{\"text\": \""), TITAN_OK);
    for (int k = 0; k < BYTES; k++)
      assert_int_equal(titan_text_append(&lines, "x", 1), TITAN_OK);
    assert_int_equal(titan_text_printf(&lines, "\"}\n"), TITAN_OK);
  }
  write_both("long.json", &lines, true);
  long long read[2], size = (long long)lines.length;
  for (int i = 0; i < 2; i++) {
    titan_corpus *corpus;
    long long before = bytes_read();
    assert_int_equal(
        titan_corpus_create("c4", data_folder_path(i == 0 ? "plain/long.json" : "indexed/long.json"), &corpus),
        TITAN_OK);
    titan_loader *loader = open_loader(corpus, (share){30, 2, 64}, true, NULL);
    for (int step = 0; step < 2 * BYTES / (SEQ_LEN + 1) - 2; step++) // two documents a lane are a pass
      assert_int_equal(titan_loader_next(loader, tokens, labels), TITAN_OK);
    titan_loader_destroy(&loader);
    titan_corpus_destroy(&corpus);
    read[i] = bytes_read() - before;
  }
  // Own documents are a 32nd; a lane may be a document ahead.
  if (read[0] < size * 3 / 4 || read[1] < size / 32 || read[1] > size / 16)
    fail_msg("of %lld bytes %lld were read without an index, %lld with it", size, read[0], read[1]);
  unlink(data_folder_path("plain/long.json"));
  unlink(data_folder_path("indexed/long.json"));
  titan_text_destroy(&lines);
}

// --- what is refused ---

enum { STALE_DOCUMENTS = 1100 };

static void fresh(void) {
  write_documents("stale.json", "", STALE_DOCUMENTS, 2500, true);
}

static void put(const char *name, int64_t offset, const char *bytes, size_t count) {
  int file = open(data_folder_path(name), O_WRONLY);
  assert_int_equal(pwrite(file, bytes, count, offset), count);
  close(file);
}

static int64_t size_of(const char *name) {
  struct stat facts;
  assert_int_equal(stat(data_folder_path(name), &facts), 0);
  return facts.st_size;
}

// Reads two passes of stale.json in two of 64 lanes: the windows are those of the file without an index, and one line
// says what is wrong.
static void expect_refused(const char *part) {
  titan_loader_cursor cursors[2][MOST_LANES];
  forget();
  pair both = open_pair("stale.json", (share){20, 2, 64}, NULL);
  do
    expect_alike(&both, 1, cursors);
  while (cursors[0][0].document < 2 * STALE_DOCUMENTS);
  close_pair(&both);
  if (count_told(part) != 1 || count_told("stale.json.index is not used: ") != 1)
    fail_msg("expected \"%s\" once in: %s", part, told);
  assert_int_equal(count_told("titan-corpus index "), 1);
}

static void an_index_that_does_not_fit_is_told_and_not_used(void **state) {
  (void)state;
  static const char more[] = "{\"text\": \"more of it\"}\n";
  const char *index = "indexed/stale.json.index";
  fresh();
  put("plain/stale.json", size_of("plain/stale.json"), more, sizeof more - 1);
  put("indexed/stale.json", size_of("indexed/stale.json"), more, sizeof more - 1);
  expect_refused("bytes, and the file has ");
  fresh();
  struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1000000000, .tv_nsec = 5}};
  assert_int_equal(utimensat(AT_FDCWD, data_folder_path("indexed/stale.json"), times, 0), 0);
  expect_refused("the file was changed at 1000000000.000000005 s");
  fresh();
  assert_int_equal(truncate(data_folder_path(index), size_of(index) - 4096), 0);
  expect_refused("bytes, expected ");
  assert_int_equal(truncate(data_folder_path(index), 1000), 0);
  expect_refused("it is truncated");
  data_folder_write(index, "{\"text\": \"\"}\n", 13);
  assert_int_equal(truncate(data_folder_path(index), 4096), 0);
  expect_refused("it is no index");
  fresh();
  put(index, 8, "\x07", 1);
  expect_refused("it has version 7, expected 1");
  fresh();
  put(index, 50, "\x01", 1);
  expect_refused("checksum of the header");
  fresh();
  put(index, 4096 + 100, "\xff", 1);
  expect_refused("checksum of block 0");
  fresh();
  put(index, 4 * 4096 + 2000, "\xff", 1); // met on the way
  expect_refused("checksum of block 3");
}

// With the size and the time of before: an end of the run, with the file's name, and no wrong text.
static void a_file_that_hides_its_change_is_an_error(void **state) {
  (void)state;
  static int32_t tokens[2 * SEQ_LEN], labels[2 * SEQ_LEN];
  struct stat facts;
  titan_corpus *corpus;
  titan_text lines = {0};
  fresh();
  assert_int_equal(stat(data_folder_path("indexed/stale.json"), &facts), 0);
  for (int64_t i = 0; i < facts.st_size; i++)
    assert_int_equal(titan_text_append(&lines, " ", 1), TITAN_OK);
  put("indexed/stale.json", 0, lines.data, lines.length);
  titan_text_destroy(&lines);
  struct timespec times[2] = {facts.st_atim, facts.st_mtim};
  assert_int_equal(utimensat(AT_FDCWD, data_folder_path("indexed/stale.json"), times, 0), 0);
  assert_int_equal(titan_corpus_create("c4", data_folder_path("indexed/stale.json"), &corpus), TITAN_OK);
  titan_loader *loader = open_loader(corpus, (share){20, 2, 64}, true, NULL);
  assert_int_equal(titan_loader_next(loader, tokens, labels), TITAN_ERROR_DATA);
  if (strstr(titan_error_message(), "stale.json: no line begins at byte ") == NULL)
    fail_msg("%s", titan_error_message());
  titan_loader_destroy(&loader);
  titan_corpus_destroy(&corpus);
}

// Errors inside a document name its line, though the lines before it were not read.
static void an_error_names_its_line(void **state) {
  (void)state;
  static int32_t tokens[2 * SEQ_LEN], labels[2 * SEQ_LEN];
  titan_text lines = {0};
  titan_corpus *corpus;
  append_documents(&lines, 1000, 2000);
  int64_t line = 1;
  for (size_t i = 0; i < lines.length; i++)
    line += lines.data[i] == '\n';
  append_documents(&lines, 10, 2000);
  char *broken = lines.data;
  for (int document = 0; document < 1001; document++) // the one behind the 1000th
    broken = strstr(broken, "\"text\"") + 1;
  broken[0] = 'T';
  write_both("broken.json", &lines, true);
  titan_text_destroy(&lines);
  assert_int_equal(titan_corpus_create("c4", data_folder_path("indexed/broken.json"), &corpus), TITAN_OK);
  titan_loader *loader = open_loader(corpus, (share){1000 % 64, 2, 64}, true, NULL);
  titan_status status = TITAN_OK;
  for (int step = 0; step < 200 && status == TITAN_OK; step++)
    status = titan_loader_next(loader, tokens, labels);
  assert_int_equal(status, TITAN_ERROR_DATA);
  char expected[64];
  snprintf(expected, sizeof expected, "broken.json:%lld: ", (long long)line);
  if (strstr(titan_error_message(), expected) == NULL)
    fail_msg("expected %s in %s", expected, titan_error_message());
  titan_loader_destroy(&loader);
  titan_corpus_destroy(&corpus);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(windows_and_positions_are_those_without_an_index),
      cmocka_unit_test(a_run_goes_on_with_an_index_or_without),
      cmocka_unit_test(the_log_says_what_an_index_is_for),
      cmocka_unit_test(few_bytes_are_read),
      cmocka_unit_test(an_index_that_does_not_fit_is_told_and_not_used),
      cmocka_unit_test(a_file_that_hides_its_change_is_an_error),
      cmocka_unit_test(an_error_names_its_line),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
