// SPDX-License-Identifier: Apache-2.0
// Property: every window of every lane is the one that the definition in data/loader.h gives, on any partition of the
// lanes, in any pass over the corpus, and after resuming anywhere. Oracle: the definition carried out plainly below,
// with a tokenizer whose ids are byte values. Exact.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four above first
#include <cmocka.h>

#include "base/memory.h"
#include "data/loader.h"
#include "data_folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { DOCUMENTS = 61, GLOBAL_BATCH = 8, SEQ_LEN = 37, WINDOW = SEQ_LEN + 1, BATCHES = 150 };

static char *texts[DOCUMENTS];
static titan_tokenizer *tokenizer;
static int32_t expected[GLOBAL_BATCH][BATCHES * WINDOW]; // the streams of all lanes

static uint32_t draw(uint32_t below) {
  static uint32_t seed = 12345;
  seed = seed * 1664525u + 1013904223u;
  return (uint32_t)((uint64_t)seed * below >> 32);
}

// Lengths from 0 to 400 bytes, so that documents are shorter and longer than windows.
static void make_texts(void) {
  for (int i = 0; i < DOCUMENTS; i++) {
    uint32_t length = i % 7 == 3 ? 0 : draw(i % 5 == 0 ? 400 : 60);
    texts[i] = calloc(length + 1, 1);
    for (uint32_t k = 0; k < length; k++)
      texts[i][k] = "abcdefghij 0123"[draw(15)];
  }
}

static void make_expected(void) {
  for (int lane = 0; lane < GLOBAL_BATCH; lane++) {
    int count = 0;
    for (int document = lane; count < BATCHES * WINDOW; document += GLOBAL_BATCH) {
      const char *text = texts[document % DOCUMENTS];
      int length = (int)strlen(text);
      for (int k = -1; k <= length && count < BATCHES * WINDOW; k++)
        expected[lane][count++] = k < 0 ? BYTES_BOS : k == length ? BYTES_EOS : text[k];
    }
  }
}

static int set_up(void **state) {
  (void)state;
  make_texts();
  make_expected();
  tokenizer = data_bytes_tokenizer();
  data_folder_make();
  data_folder_write_texts("whole.jsonl", texts, 0, DOCUMENTS);
  data_folder_write_texts("whole.jsonl.gz", texts, 0, DOCUMENTS);
  if (mkdir(data_folder_path("parts"), 0755) != 0)
    return -1;
  data_folder_write_texts("parts/part-00.json.gz", texts, 0, 20);
  data_folder_write_texts("parts/part-01.jsonl", texts, 20, 1);
  data_folder_write_texts("parts/part-02.json", texts, 21, DOCUMENTS - 21);
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
  assert_int_equal(titan_corpus_create("c4", data_folder_path(name), &corpus), TITAN_OK);
  return corpus;
}

static titan_loader *open_loader(const titan_corpus *corpus, int first, int count, int prefetch,
                                 const titan_loader_cursor *cursors) {
  titan_loader *loader;
  titan_loader_options options = {.corpus = corpus,
                                  .tokenizer = tokenizer,
                                  .seq_len = SEQ_LEN,
                                  .global_batch = GLOBAL_BATCH,
                                  .first_lane = first,
                                  .lane_count = count,
                                  .prefetch = prefetch,
                                  .quiet = true,
                                  .cursors = cursors};
  if (titan_loader_create(&options, &loader) != TITAN_OK)
    fail_msg("%s", titan_error_message());
  return loader;
}

// Takes one batch and compares it with window `step` of lanes first .. first+count-1.
static void check_batch(titan_loader *loader, int first, int count, int step) {
  int32_t tokens[GLOBAL_BATCH * SEQ_LEN], labels[GLOBAL_BATCH * SEQ_LEN];
  memset(tokens, 0xff, sizeof tokens);
  memset(labels, 0xff, sizeof labels);
  if (titan_loader_next(loader, tokens, labels) != TITAN_OK)
    fail_msg("%s", titan_error_message());
  for (int i = 0; i < count; i++) {
    const int32_t *window = &expected[first + i][step * WINDOW];
    assert_memory_equal(tokens + i * SEQ_LEN, window, SEQ_LEN * sizeof(int32_t));
    assert_memory_equal(labels + i * SEQ_LEN, window + 1, SEQ_LEN * sizeof(int32_t));
  }
}

static void every_rank_count_gives_the_same_lanes(void **state) {
  (void)state;
  static const int rank_counts[] = {1, 2, 4, 8};
  titan_corpus *corpus = open_corpus("whole.jsonl");
  for (int r = 0; r < 4; r++) {
    int count = GLOBAL_BATCH / rank_counts[r];
    for (int rank = 0; rank < rank_counts[r]; rank++) {
      titan_loader *loader = open_loader(corpus, rank * count, count, 1 + rank % 3, NULL);
      for (int step = 0; step < BATCHES; step++) // several passes over the corpus
        check_batch(loader, rank * count, count, step);
      titan_loader_destroy(&loader);
    }
  }
  titan_corpus_destroy(&corpus);
}

static void gzip_and_folders_give_the_samples_of_the_plain_file(void **state) {
  (void)state;
  static const char *const names[] = {"whole.jsonl.gz", "parts"};
  for (int i = 0; i < 2; i++) {
    titan_corpus *corpus = open_corpus(names[i]);
    titan_loader *loader = open_loader(corpus, 0, GLOBAL_BATCH, 0, NULL);
    for (int step = 0; step < BATCHES; step++)
      check_batch(loader, 0, GLOBAL_BATCH, step);
    titan_loader_destroy(&loader);
    titan_corpus_destroy(&corpus);
  }
}

// Cuts a run of `ranks` loaders after `steps` batches; cursors = all lanes'.
static void run_until(const titan_corpus *corpus, int ranks, int steps, titan_loader_cursor *cursors) {
  int count = GLOBAL_BATCH / ranks;
  for (int rank = 0; rank < ranks; rank++) {
    titan_loader *loader = open_loader(corpus, rank * count, count, 3, NULL);
    for (int step = 0; step < steps; step++)
      check_batch(loader, rank * count, count, step);
    titan_loader_get_cursors(loader, cursors + rank * count);
    titan_loader_destroy(&loader);
  }
}

static void a_run_cut_anywhere_continues_on_any_ranks(void **state) {
  (void)state;
  static const char *const names[] = {"whole.jsonl", "parts"};
  static const int rank_counts[] = {1, 2, 4, 8};
  for (int steps = 0; steps < BATCHES - 10; steps += 1 + steps / 12)
    for (int variant = 0; variant < 4; variant++) {
      titan_corpus *corpus = open_corpus(names[(steps + variant) % 2]);
      titan_loader_cursor cursors[GLOBAL_BATCH], again[GLOBAL_BATCH];
      int before = rank_counts[variant], after = rank_counts[(variant + 1 + steps % 3) % 4],
          count = GLOBAL_BATCH / after;
      run_until(corpus, before, steps, cursors);
      run_until(corpus, after, steps, again); // positions do not depend on the ranks either
      assert_memory_equal(cursors, again, sizeof cursors);
      for (int rank = 0; rank < after; rank++) {
        titan_loader *loader = open_loader(corpus, rank * count, count, 2, cursors + rank * count);
        for (int step = steps; step < steps + 10; step++)
          check_batch(loader, rank * count, count, step);
        titan_loader_destroy(&loader);
      }
      titan_corpus_destroy(&corpus);
    }
}

// The tokens of a lane that reads whole documents from `document` on, every `stride`-th, against a window.
static void check_from_document(int64_t document, int64_t stride, const int32_t *tokens) {
  for (int count = 0; count < SEQ_LEN; document += stride) {
    const char *text = texts[document % DOCUMENTS];
    int length = (int)strlen(text);
    for (int k = -1; k <= length && count < SEQ_LEN; k++)
      assert_int_equal(tokens[count++], k < 0 ? BYTES_BOS : k == length ? BYTES_EOS : text[k]);
  }
}

// Oracle: each document looked at by itself. The tokens that lanes of the old number have served are `steps` windows,
// so that a document counts as begun, and as done, by the tokens of its lane before it.
static void another_number_of_lanes_goes_on_behind_the_furthest_document(void **state) {
  (void)state;
  static const int batches[] = {1, 3, 8, 12, 64};
  titan_corpus *corpus = open_corpus("parts");
  for (int steps = 0; steps < 60; steps += 1 + steps / 4)
    for (int b = 0; b < 5; b++) {
      int batch = batches[b], begun_until = 0, skipped = 0, in_part = 0;
      titan_loader_cursor old[GLOBAL_BATCH], cursors[64];
      run_until(corpus, 1, steps, old);
      int served[GLOBAL_BATCH * 200] = {0}; // tokens of each document, up to its length
      for (int lane = 0; lane < GLOBAL_BATCH; lane++) {
        int left = steps * WINDOW;
        for (int document = lane; left > 0; document += GLOBAL_BATCH) {
          int length = (int)strlen(texts[document % DOCUMENTS]) + 2;
          served[document] = left < length ? left : length;
          left -= served[document];
          begun_until = document >= begun_until ? document + 1 : begun_until;
        }
      }
      for (int document = 0; document < begun_until; document++) {
        bool whole = served[document] == (int)strlen(texts[document % DOCUMENTS]) + 2;
        skipped += !whole;
        in_part += !whole && served[document] > 0;
      }
      titan_loader_change change = titan_loader_change_of(old, GLOBAL_BATCH);
      titan_loader_deal_anew(&change, batch, 0, batch, cursors);
      assert_int_equal(change.first_document, begun_until);
      assert_int_equal(change.skipped, skipped);
      assert_int_equal(change.in_part, in_part);
      titan_loader_options options = {.corpus = corpus,
                                      .tokenizer = tokenizer,
                                      .seq_len = SEQ_LEN,
                                      .global_batch = batch,
                                      .lane_count = batch,
                                      .quiet = true,
                                      .cursors = cursors};
      titan_loader *loader;
      static int32_t tokens[64 * SEQ_LEN], labels[64 * SEQ_LEN];
      assert_int_equal(titan_loader_create(&options, &loader), TITAN_OK);
      assert_int_equal(titan_loader_next(loader, tokens, labels), TITAN_OK);
      for (int lane = 0; lane < batch; lane++) {
        int first = begun_until;
        while (first % batch != lane)
          first++;
        check_from_document(first, batch, tokens + lane * SEQ_LEN);
      }
      titan_loader_destroy(&loader);
    }
  titan_corpus_destroy(&corpus);
}

static void setting_cursors_goes_back_and_forth(void **state) {
  (void)state;
  titan_corpus *corpus = open_corpus("parts");
  titan_loader *loader = open_loader(corpus, 2, 3, 2, NULL);
  titan_loader_cursor at_20[3], at_60[3];
  for (int step = 0; step < 60; step++) {
    if (step == 20)
      titan_loader_get_cursors(loader, at_20);
    check_batch(loader, 2, 3, step);
  }
  titan_loader_get_cursors(loader, at_60);
  assert_int_equal(titan_loader_set_cursors(loader, at_20), TITAN_OK);
  check_batch(loader, 2, 3, 20);
  assert_int_equal(titan_loader_set_cursors(loader, at_60), TITAN_OK);
  check_batch(loader, 2, 3, 60);
  assert_int_equal(titan_loader_set_cursors(loader, NULL), TITAN_OK);
  check_batch(loader, 2, 3, 0);
  titan_loader_destroy(&loader);
  titan_corpus_destroy(&corpus);
}

// Whatever the thread is at, destroy returns and nothing is left (the sanitizers and the count of allocations see to
// it).
static void the_thread_ends_at_any_moment(void **state) {
  (void)state;
  titan_corpus *corpus = open_corpus("parts");
  for (int i = 0; i < 60; i++) {
    titan_loader *loader = open_loader(corpus, 0, GLOBAL_BATCH, 1 + i % 4, NULL);
    for (int step = 0; step < i % 5; step++)
      check_batch(loader, 0, GLOBAL_BATCH, step);
    titan_loader_destroy(&loader);
    assert_null(loader);
  }
  titan_loader *none = NULL;
  titan_loader_destroy(&none);
  titan_corpus_destroy(&corpus);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_rank_count_gives_the_same_lanes),
      cmocka_unit_test(gzip_and_folders_give_the_samples_of_the_plain_file),
      cmocka_unit_test(a_run_cut_anywhere_continues_on_any_ranks),
      cmocka_unit_test(another_number_of_lanes_goes_on_behind_the_furthest_document),
      cmocka_unit_test(setting_cursors_goes_back_and_forth),
      cmocka_unit_test(the_thread_ends_at_any_moment),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
