// SPDX-License-Identifier: Apache-2.0
// Property: the windows of a validation corpus are those of a single lane over the corpus once, the last one filled up;
// every split over ranks and batches takes each of them exactly once; and each round gives the same. Oracles: the
// definition in data/validation.h carried out plainly below, with a tokenizer whose ids are byte values; a loader with
// a global batch of 1. Exact.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four above first
#include <cmocka.h>

#include "base/memory.h"
#include "data/loader.h"
#include "data/validation.h"
#include "data_folder.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DOCUMENTS = 31, MOST_TOKENS = 31 * 202, MOST_WINDOWS = 4000 };

static char *texts[DOCUMENTS];
static titan_tokenizer *tokenizer;
static int32_t stream[MOST_TOKENS];
static int64_t stream_tokens;

static uint32_t draw(uint32_t below) {
  static uint32_t seed = 4711;
  seed = seed * 1664525u + 1013904223u;
  return (uint32_t)((uint64_t)seed * below >> 32);
}

// Some documents are empty, some longer than most windows below.
static void make_texts(void) {
  for (int i = 0; i < DOCUMENTS; i++) {
    uint32_t length = i % 7 == 3 ? 0 : draw(i % 5 == 0 ? 200 : 30);
    texts[i] = calloc(length + 1, 1);
    for (uint32_t k = 0; k < length; k++)
      texts[i][k] = "abcdefghij 0123"[draw(15)];
    stream[stream_tokens++] = BYTES_BOS;
    for (uint32_t k = 0; k < length; k++)
      stream[stream_tokens++] = (unsigned char)texts[i][k];
    stream[stream_tokens++] = BYTES_EOS;
  }
}

static int set_up(void **state) {
  (void)state;
  make_texts();
  tokenizer = data_bytes_tokenizer();
  data_folder_make();
  data_folder_write_texts("whole.jsonl", texts, 0, DOCUMENTS);
  if (mkdir(data_folder_path("parts"), 0755) != 0)
    return -1;
  data_folder_write_texts("parts/part-00.json.gz", texts, 0, 11);
  data_folder_write_texts("parts/part-01.jsonl", texts, 11, 1);
  data_folder_write_texts("parts/part-02.json", texts, 12, DOCUMENTS - 12);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  for (int i = 0; i < DOCUMENTS; i++)
    free(texts[i]);
  titan_tokenizer_destroy(&tokenizer);
  data_folder_remove();
  return titan_memory_report_leaks() == 0 ? 0 : -1;
}

static titan_corpus *open_corpus(const char *name) {
  titan_corpus *corpus;
  if (titan_corpus_create_for("validation", "c4_validation", data_folder_path(name), &corpus) != TITAN_OK)
    fail_msg("%s", titan_error_message());
  return corpus;
}

static titan_validation_data *open_data(const titan_corpus *corpus, int64_t seq_len) {
  titan_validation_data *data;
  titan_validation_data_options options = {.corpus = corpus, .tokenizer = tokenizer, .seq_len = seq_len, .quiet = true};
  if (titan_validation_data_create(&options, &data) != TITAN_OK)
    fail_msg("%s", titan_error_message());
  return data;
}

static int64_t expected_windows(int64_t seq_len) {
  return stream_tokens / (seq_len + 1) + (stream_tokens % (seq_len + 1) >= 2);
}

// Row `row` of tokens and labels is window `window`, or is empty where the corpus has none.
static void check_row(const int32_t *tokens, const int32_t *labels, int64_t row, int64_t window, int64_t seq_len) {
  for (int64_t k = 0; k < seq_len; k++) {
    int64_t at = window * (seq_len + 1) + k;
    bool there = at + 1 < stream_tokens;
    int32_t token = there ? stream[at] : 0, label = there ? stream[at + 1] : TITAN_VALIDATION_NO_LABEL;
    if (tokens[row * seq_len + k] != token || labels[row * seq_len + k] != label)
      fail_msg("seq_len %d, window %d, token %d: %d, label %d; expected %d, label %d", (int)seq_len, (int)window,
               (int)k, tokens[row * seq_len + k], labels[row * seq_len + k], token, label);
  }
}

static void next_rows(titan_validation_data *data, int64_t first, int64_t count, int64_t seq_len) {
  static int32_t tokens[8 * MOST_TOKENS], labels[8 * MOST_TOKENS];
  memset(tokens, 0x7f, (size_t)(count * seq_len) * sizeof *tokens);
  memset(labels, 0x7f, (size_t)(count * seq_len) * sizeof *labels);
  if (titan_validation_data_next(data, first, count, tokens, labels) != TITAN_OK)
    fail_msg("%s", titan_error_message());
  for (int64_t i = 0; i < count; i++)
    check_row(tokens, labels, i, first + i, seq_len);
}

static bool has_window(titan_validation_data *data, int64_t window) {
  bool exists;
  if (titan_validation_data_has(data, window, &exists) != TITAN_OK)
    fail_msg("%s", titan_error_message());
  return exists;
}

static void windows_are_those_of_a_single_lane(void **state) {
  (void)state;
  enum { LENGTH = 37 };
  static const char *const names[] = {"whole.jsonl", "parts"};
  for (int n = 0; n < 2; n++) {
    titan_corpus *corpus = open_corpus(names[n]);
    titan_validation_data *data = open_data(corpus, LENGTH);
    titan_loader_options options = {
        .corpus = corpus, .tokenizer = tokenizer, .seq_len = LENGTH, .global_batch = 1, .lane_count = 1, .quiet = true};
    titan_loader *lane;
    assert_int_equal(titan_loader_create(&options, &lane), TITAN_OK);
    int64_t whole = stream_tokens / (LENGTH + 1);
    assert_true(whole > 20);
    for (int64_t window = 0; window < whole; window++) {
      int32_t tokens[2][LENGTH], labels[2][LENGTH];
      assert_int_equal(titan_loader_next(lane, tokens[0], labels[0]), TITAN_OK);
      assert_int_equal(titan_validation_data_next(data, window, 1, tokens[1], labels[1]), TITAN_OK);
      assert_memory_equal(tokens[0], tokens[1], sizeof tokens[0]);
      assert_memory_equal(labels[0], labels[1], sizeof labels[0]);
    }
    titan_loader_destroy(&lane);
    titan_validation_data_destroy(&data);
    titan_corpus_destroy(&corpus);
  }
}

// The last window may be whole, lack some tokens, or be of one token, which predicts nothing.
static void every_token_of_the_corpus_counts_once(void **state) {
  (void)state;
  titan_corpus *corpus = open_corpus("parts");
  bool seen[3] = {false};
  int64_t lengths[] = {1, 2, 3, 10, 63, 0, 0, stream_tokens - 2, stream_tokens - 1};
  for (int64_t length = 4; length < stream_tokens / 3; length++) { // lengths that leave nothing and one token over
    lengths[5] = stream_tokens % (length + 1) == 0 ? length : lengths[5];
    lengths[6] = stream_tokens % (length + 1) == 1 ? length : lengths[6];
  }
  for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
    int64_t length = lengths[l], windows = length == 0 ? 0 : expected_windows(length);
    if (length == 0)
      continue;
    int64_t left = stream_tokens % (length + 1);
    seen[left > 2 ? 2 : left] = true;
    titan_validation_data *data = open_data(corpus, length);
    assert_int_equal(titan_validation_data_window_count(data), -1);
    for (int64_t window = 0; window < windows; window++) {
      assert_true(has_window(data, window));
      next_rows(data, window, 1, length);
    }
    assert_false(has_window(data, windows));
    assert_false(has_window(data, windows + 5));
    assert_int_equal(titan_validation_data_window_count(data), windows);
    next_rows(data, windows + 5, 3, length);
    titan_validation_data_destroy(&data);
  }
  assert_true(seen[0] && seen[1] && seen[2]);
  titan_corpus_destroy(&corpus);
}

// One round of `ranks` ranks with batches of `batch`: counts how often each window was served.
static void run_round(titan_validation_data **data, int64_t ranks, int64_t batch, int64_t seq_len, int *served) {
  for (int64_t step = 0, more = 1; more; step++) {
    for (int64_t rank = 0; rank < ranks; rank++) {
      bool has = has_window(data[rank], step * ranks * batch);
      assert_true(rank == 0 || has == more); // all ranks end alike
      more = has;
      if (!has)
        continue;
      int64_t first = (step * ranks + rank) * batch;
      next_rows(data[rank], first, batch, seq_len);
      for (int64_t i = 0; i < batch; i++)
        served[first + i]++;
    }
  }
}

static void every_split_serves_each_window_once_in_every_round(void **state) {
  (void)state;
  enum { LENGTH = 23 };
  static const int64_t batches[] = {1, 2, 5};
  titan_corpus *corpus = open_corpus("parts");
  int64_t windows = expected_windows(LENGTH);
  for (int64_t ranks = 1; ranks <= 3; ranks++)
    for (int b = 0; b < 3; b++) {
      titan_validation_data *data[3];
      for (int64_t rank = 0; rank < ranks; rank++)
        data[rank] = open_data(corpus, LENGTH);
      for (int round = 0; round < 2; round++) {
        int served[MOST_WINDOWS] = {0};
        run_round(data, ranks, batches[b], LENGTH, served);
        for (int64_t window = 0; window < windows; window++)
          assert_int_equal(served[window], 1);
        for (int64_t rank = 0; rank < ranks; rank++) {
          assert_int_equal(titan_validation_data_window_count(data[rank]), windows);
          assert_int_equal(titan_validation_data_rewind(data[rank]), TITAN_OK);
        }
      }
      for (int64_t rank = 0; rank < ranks; rank++)
        titan_validation_data_destroy(&data[rank]);
    }
  titan_corpus_destroy(&corpus);
}

static void rewinding_anywhere_gives_the_same_windows(void **state) {
  (void)state;
  enum { LENGTH = 40 };
  titan_corpus *corpus = open_corpus("whole.jsonl");
  titan_validation_data *data = open_data(corpus, LENGTH);
  for (int64_t stop = 0; stop < 6; stop++) {
    for (int64_t window = 0; window < stop; window++)
      next_rows(data, window, 1, LENGTH);
    if (stop == 4)
      assert_true(has_window(data, 7));
    assert_int_equal(titan_validation_data_rewind(data), TITAN_OK);
    assert_int_equal(titan_validation_data_window_count(data), -1); // no round has come to its end
  }
  titan_validation_data_destroy(&data);
  titan_corpus_destroy(&corpus);
}

// What is held is a document and a window, however long the corpus.
static void memory_does_not_grow_with_the_corpus(void **state) {
  (void)state;
  enum { LENGTH = 50 };
  char *long_texts[40 * DOCUMENTS];
  for (int i = 0; i < 40 * DOCUMENTS; i++)
    long_texts[i] = texts[i % DOCUMENTS];
  data_folder_write_texts("long.jsonl", long_texts, 0, 40 * DOCUMENTS);
  static const char *const names[] = {"whole.jsonl", "long.jsonl"};
  size_t peaks[2];
  for (int n = 0; n < 2; n++) {
    titan_corpus *corpus = open_corpus(names[n]);
    titan_validation_data *data = open_data(corpus, LENGTH);
    int32_t tokens[LENGTH], labels[LENGTH];
    titan_memory_reset_peaks();
    for (int64_t window = 0; has_window(data, window); window += 3)
      assert_int_equal(titan_validation_data_next(data, window, 1, tokens, labels), TITAN_OK);
    peaks[n] = titan_memory_usage_of(TITAN_MEMORY_DATA).peak_bytes;
    assert_true(titan_validation_data_window_count(data) > (n == 0 ? 10 : 400));
    titan_validation_data_destroy(&data);
    titan_corpus_destroy(&corpus);
  }
  size_t most = peaks[0] + 64 * 1024; // the tokenizer's cache of pieces
  if (peaks[1] > most)
    fail_msg("%zu bytes for a long corpus, %zu for a short one", peaks[1], peaks[0]);
}

static void a_window_that_was_passed_is_refused(void **state) {
  (void)state;
  titan_corpus *corpus = open_corpus("whole.jsonl");
  titan_validation_data *data = open_data(corpus, 10);
  int32_t tokens[10], labels[10];
  bool exists;
  next_rows(data, 3, 2, 10);
  for (int64_t window = -1; window < 5; window++) {
    assert_int_equal(titan_validation_data_next(data, window, 1, tokens, labels), TITAN_ERROR_INTERNAL);
    assert_int_equal(titan_validation_data_has(data, window, &exists), TITAN_ERROR_INTERNAL);
  }
  next_rows(data, 5, 1, 10);
  assert_int_equal(titan_validation_data_next(data, INT64_MAX / 11, 1, tokens, labels), TITAN_ERROR_INTERNAL);
  titan_validation_data_destroy(&data);
  titan_corpus_destroy(&corpus);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(windows_are_those_of_a_single_lane),
      cmocka_unit_test(every_token_of_the_corpus_counts_once),
      cmocka_unit_test(every_split_serves_each_window_once_in_every_round),
      cmocka_unit_test(rewinding_anywhere_gives_the_same_windows),
      cmocka_unit_test(memory_does_not_grow_with_the_corpus),
      cmocka_unit_test(a_window_that_was_passed_is_refused),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
