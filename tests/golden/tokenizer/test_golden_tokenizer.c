// SPDX-License-Identifier: Apache-2.0
// Property: titan_tokenizer_encode gives tiktoken's ids for strings that are hard to split, for long texts and for
// invalid UTF-8; the trainer gives the committed vocabulary again. Oracles: tiktoken and Python's decoder, see
// make_golden.py; versions.txt has their versions. Ids are exact, so there is no tolerance.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four above first
#include <cmocka.h>

#include "base/memory.h"
#include "data/jsonl.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/tokenizer_train.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *model; // the committed vocabulary's file
static size_t model_length;
static titan_tokenizer *tokenizer;
static titan_tokenizer_scratch *scratch;
static titan_token_buffer ids;

static const char *path_of(const char *name) {
  static char path[4096];
  snprintf(path, sizeof path, "%s/%s", GOLDEN_TOKENIZER, name);
  return path;
}

static int set_up(void **state) {
  (void)state;
  return titan_tokenizer_read_file(path_of("golden.model"), &model, &model_length) != TITAN_OK ||
         titan_tokenizer_create(model, model_length, "golden.model", &tokenizer) != TITAN_OK ||
         titan_tokenizer_scratch_create(&scratch) != TITAN_OK;
}

static int tear_down(void **state) {
  (void)state;
  titan_memory_free(model);
  titan_token_buffer_destroy(&ids);
  titan_tokenizer_scratch_destroy(&scratch);
  titan_tokenizer_destroy(&tokenizer);
  return titan_memory_report_leaks() == 0 ? 0 : -1;
}

static uint64_t encode(const char *text, size_t length) {
  uint64_t replaced;
  ids.count = 0;
  assert_int_equal(titan_tokenizer_encode(tokenizer, scratch, text, length, &ids, &replaced), TITAN_OK);
  return replaced;
}

static void assert_decodes_to(const char *text, size_t length) {
  char *back;
  size_t back_length;
  assert_int_equal(titan_tokenizer_decode(tokenizer, ids.ids, ids.count, &back, &back_length), TITAN_OK);
  assert_int_equal(back_length, length);
  assert_memory_equal(back, text, length);
  titan_memory_free(back);
}

static void hard_strings_have_the_ids_of_tiktoken(void **state) {
  (void)state;
  titan_jsonl *reader;
  char *line = NULL;
  size_t capacity = 0, documents = 0;
  FILE *expected = fopen(path_of("hard.ids"), "r");
  assert_non_null(expected);
  assert_int_equal(titan_jsonl_open(path_of("hard.jsonl"), &reader), TITAN_OK);
  for (;; documents++) {
    const char *text;
    size_t length;
    bool end;
    assert_int_equal(titan_jsonl_next(reader, &text, &length, &end), TITAN_OK);
    if (end)
      break;
    assert_int_equal(encode(text, length), 0);
    assert_true(getline(&line, &capacity, expected) > 0);
    char *at = line;
    for (size_t i = 0; i < ids.count; i++)
      if (ids.ids[i] != strtol(at, &at, 10))
        fail_msg("hard.jsonl:%llu: id %zu is %d; tiktoken's are %s", (unsigned long long)titan_jsonl_line(reader), i,
                 ids.ids[i], line);
    assert_string_equal(at, "\n");
    assert_decodes_to(text, length);
  }
  assert_true(documents > 700);
  assert_int_equal(titan_jsonl_replaced(reader), 3);
  assert_true(getline(&line, &capacity, expected) < 0);
  free(line);
  fclose(expected);
  titan_jsonl_close(&reader);
}

static size_t from_hex(const char *hex, char *out) {
  size_t length = strlen(hex) / 2;
  for (size_t i = 0; i < length; i++) {
    unsigned byte;
    assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
    out[i] = (char)byte;
  }
  return length;
}

static uint64_t fingerprint_of_ids(void) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (size_t i = 0; i < ids.count; i++)
    for (int shift = 0; shift < 32; shift += 8)
      hash = (hash ^ ((uint32_t)ids.ids[i] >> shift & 0xff)) * 0x100000001b3u;
  return hash;
}

static void long_texts_have_the_ids_of_tiktoken(void **state) {
  (void)state;
  FILE *rows = fopen(path_of("long.txt"), "r");
  assert_non_null(rows);
  size_t repeats, count, cases = 0;
  char hex[256], unit[128];
  unsigned long long expected;
  for (; fscanf(rows, "%zu %255s %zu %llx", &repeats, hex, &count, &expected) == 4; cases++) {
    size_t length = from_hex(hex, unit);
    char *text;
    assert_int_equal(titan_memory_allocate(TITAN_MEMORY_DATA, length * repeats, &text), TITAN_OK);
    for (size_t i = 0; i < repeats; i++)
      memcpy(text + i * length, unit, length);
    encode(text, length * repeats);
    assert_int_equal(ids.count, count);
    assert_true(fingerprint_of_ids() == expected);
    titan_memory_free(text);
  }
  fclose(rows);
  assert_true(cases >= 13);
}

static void invalid_bytes_are_replaced_as_python_replaces_them(void **state) {
  (void)state;
  FILE *rows = fopen(path_of("invalid.txt"), "r");
  assert_non_null(rows);
  char hex[2][512], bytes[256], repaired[256];
  unsigned long long replaced;
  size_t cases = 0;
  for (; fscanf(rows, "%511s %511s %llu", hex[0], hex[1], &replaced) == 3; cases++) {
    size_t length = from_hex(hex[0], bytes), repaired_length = from_hex(hex[1], repaired);
    assert_int_equal(encode(bytes, length), replaced);
    assert_decodes_to(repaired, repaired_length);
    uint64_t direct = fingerprint_of_ids();
    assert_int_equal(encode(repaired, repaired_length), 0);
    assert_true(fingerprint_of_ids() == direct);
  }
  fclose(rows);
  assert_int_equal(cases, 500);
}

static void training_gives_the_committed_vocabulary(void **state) {
  (void)state;
  titan_tokenizer_trainer *trainer;
  titan_jsonl *reader;
  titan_text trained = {0};
  assert_int_equal(titan_tokenizer_trainer_create(&trainer), TITAN_OK);
  assert_int_equal(titan_jsonl_open(path_of("training.jsonl"), &reader), TITAN_OK);
  for (;;) {
    const char *text;
    size_t length;
    bool end;
    assert_int_equal(titan_jsonl_next(reader, &text, &length, &end), TITAN_OK);
    if (end)
      break;
    assert_int_equal(titan_tokenizer_trainer_add(trainer, text, length), TITAN_OK);
  }
  assert_int_equal(titan_tokenizer_trainer_finish(trainer, titan_tokenizer_base_size(tokenizer), &trained), TITAN_OK);
  assert_int_equal(trained.length, model_length);
  assert_memory_equal(trained.data, model, model_length);
  titan_text_destroy(&trained);
  titan_jsonl_close(&reader);
  titan_tokenizer_trainer_destroy(&trainer);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(hard_strings_have_the_ids_of_tiktoken),
      cmocka_unit_test(long_texts_have_the_ids_of_tiktoken),
      cmocka_unit_test(invalid_bytes_are_replaced_as_python_replaces_them),
      cmocka_unit_test(training_gives_the_committed_vocabulary),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
