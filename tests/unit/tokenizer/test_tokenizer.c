// SPDX-License-Identifier: Apache-2.0
// Property: encoding is byte-pair merging by rank within pieces, on every path (cache, short, long), from any number of
// threads; decoding gives the bytes back; a broken .model file is told by file and line. Oracles: naive.c and the
// text itself. Equality is exact.
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

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VOCABULARY = 420, TEXT = 6000 };

static titan_tokenizer *tokenizer;
static naive_vocabulary naive;
static char text[TEXT + 1]; // words of letters a to d, of 1 to 300 bytes, one space between them
static char model[16384];   // a .model file of the 256 bytes

static void make_text(void) {
  titan_random_stream stream = titan_random_stream_create(3, "tokenizer");
  uint32_t word = 0;
  for (uint32_t i = 0, left = 5; i < TEXT; i++, left--) {
    uint32_t random[4];
    titan_philox4x32(stream.key, (uint32_t[4]){i, 0, 0, 0}, random);
    text[i] = (char)('a' + random[0] % 4 * (random[1] % 3 != 0));
    if (left == 0) {
      text[i] = ' ';
      left = word++ % 7 == 0 ? 60 + random[2] % 240 : 1 + random[2] % 30;
    }
  }
}

static int set_up(void **state) {
  (void)state;
  titan_tokenizer_trainer *trainer;
  titan_text trained = {0};
  make_text();
  assert_int_equal(titan_tokenizer_trainer_create(&trainer), TITAN_OK);
  assert_int_equal(titan_tokenizer_trainer_add(trainer, text, TEXT / 2), TITAN_OK);
  assert_int_equal(titan_tokenizer_trainer_finish(trainer, VOCABULARY, &trained), TITAN_OK);
  assert_int_equal(titan_tokenizer_create(trained.data, trained.length, "trained", &tokenizer), TITAN_OK);
  naive_start(&naive, VOCABULARY);
  for (int32_t id = 256; id < VOCABULARY; id++) {
    char *bytes;
    assert_int_equal(titan_tokenizer_decode(tokenizer, &id, 1, &bytes, &naive.tokens[id].length), TITAN_OK);
    assert_true(naive.tokens[id].length <= NAIVE_TOKEN_BYTES);
    memcpy(naive.tokens[id].bytes, bytes, naive.tokens[id].length);
    titan_memory_free(bytes);
  }
  naive.count = VOCABULARY;
  memcpy(model, trained.data, (size_t)(strstr(trained.data, " 255\n") + 5 - trained.data));
  titan_text_destroy(&trained);
  titan_tokenizer_trainer_destroy(&trainer);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  free(naive.tokens);
  titan_tokenizer_destroy(&tokenizer);
  return titan_memory_report_leaks() == 0 ? 0 : -1;
}

static void encode(titan_tokenizer_scratch *scratch, const char *bytes, size_t length, titan_token_buffer *out,
                   uint64_t *replaced) {
  out->count = 0;
  assert_int_equal(titan_tokenizer_encode(tokenizer, scratch, bytes, length, out, replaced), TITAN_OK);
}

// Each word is a piece, with the space before it. Twice, so that the second round finds the cache full.
static void encoding_merges_by_rank_on_every_path(void **state) {
  (void)state;
  titan_tokenizer_scratch *scratch;
  titan_token_buffer ids = {0};
  assert_int_equal(titan_tokenizer_scratch_create(&scratch), TITAN_OK);
  for (int round = 0; round < 2; round++) {
    encode(scratch, text, TEXT, &ids, NULL);
    size_t used = 0;
    for (const char *at = text; at < text + TEXT;) {
      const char *space = strchr(at + 1, ' '), *next = space ? space : text + TEXT;
      size_t length = (size_t)(next - at);
      int32_t expected[TEXT];
      size_t count = naive_merge(&naive, (const unsigned char *)at, length, expected);
      int32_t whole = naive_find(&naive, (const unsigned char *)at, length);
      if (whole >= 0) {
        expected[0] = whole;
        count = 1;
      }
      assert_true(used + count <= ids.count);
      assert_memory_equal(ids.ids + used, expected, count * sizeof *expected);
      used += count;
      at = next;
    }
    assert_int_equal(used, ids.count);
  }
  titan_token_buffer_destroy(&ids);
  titan_tokenizer_scratch_destroy(&scratch);
}

typedef struct encoding_thread {
  pthread_t thread;
  titan_token_buffer ids;
} encoding_thread;

static void *encode_often(void *argument) {
  encoding_thread *self = argument;
  titan_tokenizer_scratch *scratch;
  if (titan_tokenizer_scratch_create(&scratch) != TITAN_OK)
    return NULL;
  for (int round = 0; round < 20; round++) {
    self->ids.count = 0;
    if (titan_tokenizer_encode(tokenizer, scratch, text, TEXT, &self->ids, NULL) != TITAN_OK)
      self->ids.count = 0;
  }
  titan_tokenizer_scratch_destroy(&scratch);
  return NULL;
}

static void threads_share_a_tokenizer(void **state) {
  (void)state;
  encoding_thread threads[4] = {0};
  for (int i = 0; i < 4; i++)
    assert_int_equal(pthread_create(&threads[i].thread, NULL, encode_often, &threads[i]), 0);
  for (int i = 0; i < 4; i++)
    pthread_join(threads[i].thread, NULL);
  assert_true(threads[0].ids.count > 0);
  for (int i = 0; i < 4; i++) {
    assert_int_equal(threads[i].ids.count, threads[0].ids.count);
    assert_memory_equal(threads[i].ids.ids, threads[0].ids.ids, threads[0].ids.count * sizeof(int32_t));
  }
  for (int i = 0; i < 4; i++)
    titan_token_buffer_destroy(&threads[i].ids);
}

// A megabyte of one letter is one piece. A quadratic merge would take hours, so finishing is the test.
static void a_megabyte_without_a_space_decodes_to_itself(void **state) {
  (void)state;
  enum { LENGTH = 1 << 20 };
  char *long_text, *back;
  size_t length;
  titan_tokenizer_scratch *scratch;
  titan_token_buffer ids = {0};
  assert_int_equal(titan_memory_allocate(TITAN_MEMORY_DATA, LENGTH, &long_text), TITAN_OK);
  assert_int_equal(titan_tokenizer_scratch_create(&scratch), TITAN_OK);
  for (int kind = 0; kind < 3; kind++) {
    for (size_t i = 0; i < LENGTH; i++)
      long_text[i] = kind == 0 ? 'a' : kind == 1 ? ' ' : (char)('a' + i * i / 7 % 5);
    encode(scratch, long_text, LENGTH, &ids, NULL);
    assert_int_equal(titan_tokenizer_decode(tokenizer, ids.ids, ids.count, &back, &length), TITAN_OK);
    assert_int_equal(length, LENGTH);
    assert_memory_equal(back, long_text, LENGTH);
    titan_memory_free(back);
  }
  titan_token_buffer_destroy(&ids);
  titan_tokenizer_scratch_destroy(&scratch);
  titan_memory_free(long_text);
}

// Oracle: the ids of the whole text. White space, contractions and digits are what the split pattern looks ahead for.
static void a_text_encoded_in_parts_has_the_ids_of_the_whole(void **state) {
  (void)state;
  static const char mixed[] = "  aa  \n\n  bb's 12345 \xc3\xa9\xff...\r\n\t\tcc   d\n   ";
  const char *texts[] = {mixed, text};
  const size_t lengths[] = {sizeof mixed - 1, TEXT};
  titan_tokenizer_scratch *scratch;
  titan_token_buffer whole = {0}, parts = {0};
  uint64_t replaced;
  assert_int_equal(titan_tokenizer_scratch_create(&scratch), TITAN_OK);
  for (int i = 0; i < 2; i++) {
    encode(scratch, texts[i], lengths[i], &whole, NULL);
    for (size_t least = 1; least < lengths[i]; least = 2 * least + 1) {
      const char *at = texts[i];
      size_t left = lengths[i], used;
      parts.count = 0;
      assert_int_equal(titan_tokenizer_repair(scratch, &at, &left, &replaced), TITAN_OK);
      assert_int_equal(replaced, i == 0 ? 1 : 0);
      for (; left > 0; at += used, left -= used) {
        assert_int_equal(titan_tokenizer_encode_part(tokenizer, scratch, at, left, least, &used, &parts), TITAN_OK);
        assert_true(used >= least || used == left);
      }
      assert_int_equal(parts.count, whole.count);
      assert_memory_equal(parts.ids, whole.ids, whole.count * sizeof *whole.ids);
    }
  }
  titan_token_buffer_destroy(&whole);
  titan_token_buffer_destroy(&parts);
  titan_tokenizer_scratch_destroy(&scratch);
}

static void a_scratch_may_change_its_tokenizer(void **state) {
  (void)state;
  titan_tokenizer *bytes_only;
  titan_tokenizer_scratch *scratch;
  titan_token_buffer ids = {0};
  assert_int_equal(titan_tokenizer_create(model, strlen(model), "bytes", &bytes_only), TITAN_OK);
  assert_true(titan_tokenizer_fingerprint(bytes_only) != titan_tokenizer_fingerprint(tokenizer));
  assert_int_equal(titan_tokenizer_scratch_create(&scratch), TITAN_OK);
  encode(scratch, "aaaa", 4, &ids, NULL);
  assert_true(ids.count < 4);
  ids.count = 0;
  assert_int_equal(titan_tokenizer_encode(bytes_only, scratch, "aaaa", 4, &ids, NULL), TITAN_OK);
  assert_int_equal(ids.count, 4);
  titan_token_buffer_destroy(&ids);
  titan_tokenizer_scratch_destroy(&scratch);
  titan_tokenizer_destroy(&bytes_only);
}

static void special_tokens_come_after_the_base_and_are_not_found_in_text(void **state) {
  (void)state;
  static const char *const names[] = {"<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>"};
  titan_tokenizer_scratch *scratch;
  titan_token_buffer ids = {0};
  char name[40], *bytes;
  size_t length;
  assert_int_equal(titan_tokenizer_vocabulary_size(tokenizer), VOCABULARY + 256);
  assert_int_equal(titan_tokenizer_bos(tokenizer), VOCABULARY);
  assert_int_equal(titan_tokenizer_eos(tokenizer), VOCABULARY + 1);
  for (int i = 0; i < 3; i++) {
    titan_tokenizer_special_name(i, name);
    assert_string_equal(name, names[i]);
  }
  titan_tokenizer_special_name(9, name);
  assert_string_equal(name, "<|eot_id|>");
  titan_tokenizer_special_name(255, name);
  assert_string_equal(name, "<|reserved_special_token_250|>");
  assert_int_equal(titan_tokenizer_scratch_create(&scratch), TITAN_OK);
  encode(scratch, names[0], strlen(names[0]), &ids, NULL);
  for (size_t i = 0; i < ids.count; i++)
    assert_true(ids.ids[i] < VOCABULARY);
  int32_t outside[] = {VOCABULARY + 256, -1};
  for (int i = 0; i < 2; i++) {
    assert_int_equal(titan_tokenizer_decode(tokenizer, &outside[i], 1, &bytes, &length), TITAN_ERROR_DATA);
    assert_null(bytes);
  }
  titan_token_buffer_destroy(&ids);
  titan_tokenizer_scratch_destroy(&scratch);
}

typedef struct broken_model {
  const char *find, *replace; // in the model of the bytes; replace NULL: cut the file there
  const char *message;
} broken_model;

static void a_broken_model_is_told_by_file_and_line(void **state) {
  (void)state;
  static const broken_model cases[] = {
      {"Qg== 66", "Q!== 66", "bytes.model:67: broken base64"},
      {"Qg== 66", "Qh== 66", "bytes.model:67: broken base64"},
      {"Qg== 66", "Qg= 66", "bytes.model:67: broken base64"},
      {"Qg== 66", " 66", "bytes.model:67: broken base64"},
      {"Qg== 66", "Qg==", "bytes.model:67: the rank is missing"},
      {"Qg== 66", "Qg== ", "bytes.model:67: the rank is missing"},
      {"Qg== 66", "Qg== 6x", "bytes.model:67: the rank is not a number"},
      {"Qg== 66", "Qg== -6", "bytes.model:67: the rank is not a number"},
      {"Qg== 66", "Qg== 99999999999999999999", "bytes.model:67: the rank is too large"},
      {"Qg== 66", "Qg== 65", "bytes.model:67: rank 65 was already given in line 66"},
      {"Qg== 66", "QQ== 66", "bytes.model:67: the token was already given in line 66"},
      {"/w== 255", "/w== 256", "bytes.model:256: rank 256 is given, but rank 255 is missing"},
      {"Qg== 66\n", "", "bytes.model:255: rank 255 is given, but rank 66 is missing"},
      {"Qg== 66", "QUI= 66", "no token for the single byte 0x42"},
      {"/w== 255", NULL, "no token for the single byte 0xff"},
      {"AA== 0", NULL, "holds no tokens"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char broken[sizeof model + 64];
    titan_tokenizer *made;
    const char *at = strstr(model, cases[i].find);
    assert_non_null(at);
    int before = (int)(at - model);
    if (cases[i].replace)
      snprintf(broken, sizeof broken, "%.*s%s%s", before, model, cases[i].replace, at + strlen(cases[i].find));
    else
      snprintf(broken, sizeof broken, "%.*s", before, model);
    assert_int_equal(titan_tokenizer_create(broken, strlen(broken), "bytes.model", &made), TITAN_ERROR_DATA);
    assert_null(made);
    if (!strstr(titan_error_message(), cases[i].message))
      fail_msg("case %zu: '%s' does not hold '%s'", i, titan_error_message(), cases[i].message);
  }
}

static void a_missing_model_is_a_usage_error(void **state) {
  (void)state;
  char *bytes;
  size_t length;
  assert_int_equal(titan_tokenizer_read_file("/nowhere/at all.model", &bytes, &length), TITAN_ERROR_USAGE);
  assert_non_null(strstr(titan_error_message(), "/nowhere/at all.model"));
  assert_int_equal(titan_tokenizer_read_file("/", &bytes, &length), TITAN_ERROR_USAGE);
  assert_null(bytes);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(encoding_merges_by_rank_on_every_path),
      cmocka_unit_test(threads_share_a_tokenizer),
      cmocka_unit_test(a_megabyte_without_a_space_decodes_to_itself),
      cmocka_unit_test(a_text_encoded_in_parts_has_the_ids_of_the_whole),
      cmocka_unit_test(a_scratch_may_change_its_tokenizer),
      cmocka_unit_test(special_tokens_come_after_the_base_and_are_not_found_in_text),
      cmocka_unit_test(a_broken_model_is_told_by_file_and_line),
      cmocka_unit_test(a_missing_model_is_a_usage_error),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
