// SPDX-License-Identifier: Apache-2.0
// Property: tokenizer.json says what the tokenizer does: every token has its rank, every merge joins two tokens to a
// third and they are in the order of its rank, and merging by this list alone gives the ids that the tokenizer gives.
// Oracle: the file read with jansson, and byte-pair merging by the list, carried out plainly. Exact. (That Hugging
// Face's library gives the same ids is held by tests/golden/hugging_face.)
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four above first
#include <cmocka.h>

#include "base/memory.h"
#include "data/assets.h"
#include "tokenizer/tokenizer_export.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static titan_tokenizer *tokenizer;
static json_t *root, *vocabulary;

static int set_up(void **state) {
  (void)state;
  titan_text path = {0}, text = {0};
  char *bytes;
  size_t length;
  assert_int_equal(titan_assets_find("test_tokenizer.model", &path), TITAN_OK);
  assert_int_equal(titan_tokenizer_read_file(path.data, &bytes, &length), TITAN_OK);
  assert_int_equal(titan_tokenizer_create(bytes, length, path.data, &tokenizer), TITAN_OK);
  assert_int_equal(titan_tokenizer_to_json(tokenizer, &text), TITAN_OK);
  json_error_t reason;
  root = json_loads(text.data, JSON_REJECT_DUPLICATES, &reason);
  if (root == NULL)
    fail_msg("line %d: %s", reason.line, reason.text);
  vocabulary = json_object_get(json_object_get(root, "model"), "vocab");
  titan_memory_free(bytes);
  titan_text_destroy(&path);
  titan_text_destroy(&text);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  json_decref(root);
  titan_tokenizer_destroy(&tokenizer);
  return titan_memory_report_leaks() > 0;
}

// The bytes that a text of the file stands for: the characters from 256 on are those bytes that cannot be printed, in
// their order.
static size_t bytes_of(const char *text, unsigned char *out) {
  int moved[256], count = 0;
  size_t length = 0;
  for (int b = 0; b < 256; b++)
    if (b < 33 || (b > 126 && b < 161) || b == 173)
      moved[count++] = b;
  for (const unsigned char *c = (const unsigned char *)text; *c != 0; c++) {
    int character = *c < 128 ? *c : (*c & 31) << 6 | (c[1] & 63);
    c += *c >= 128;
    out[length++] = (unsigned char)(character < 256 ? character : moved[character - 256]);
  }
  return length;
}

static void every_token_has_its_rank(void **state) {
  (void)state;
  assert_int_equal(json_object_size(vocabulary), titan_tokenizer_base_size(tokenizer));
  for (void *i = json_object_iter(vocabulary); i != NULL; i = json_object_iter_next(vocabulary, i)) {
    unsigned char bytes[512];
    size_t length = bytes_of(json_object_iter_key(i), bytes), decoded;
    int32_t id = (int32_t)json_integer_value(json_object_iter_value(i));
    char *text;
    assert_int_equal(titan_tokenizer_decode(tokenizer, &id, 1, &text, &decoded), TITAN_OK);
    assert_int_equal(decoded, length);
    assert_memory_equal(text, bytes, length);
    titan_memory_free(text);
  }
  json_t *special = json_object_get(root, "added_tokens");
  assert_int_equal(json_array_size(special), TITAN_TOKENIZER_SPECIAL_COUNT);
  for (size_t i = 0; i < json_array_size(special); i++) {
    char name[40];
    titan_tokenizer_special_name((int)i, name);
    assert_string_equal(json_string_value(json_object_get(json_array_get(special, i), "content")), name);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(special, i), "id")),
                     titan_tokenizer_base_size(tokenizer) + (int32_t)i);
  }
}

static json_int_t rank_of(const char *text) {
  json_t *rank = json_object_get(vocabulary, text);
  if (rank == NULL)
    fail_msg("%s is no token", text);
  return json_integer_value(rank);
}

static void merges_are_ordered_by_what_they_make(void **state) {
  (void)state;
  json_t *merges = json_object_get(json_object_get(root, "model"), "merges");
  json_int_t last = 0;
  assert_true(json_array_size(merges) >= (size_t)titan_tokenizer_base_size(tokenizer) - 256);
  for (size_t i = 0; i < json_array_size(merges); i++) {
    char pair[1024], joined[1024];
    snprintf(pair, sizeof pair, "%s", json_string_value(json_array_get(merges, i)));
    char *right = strchr(pair, ' ');
    assert_non_null(right);
    *right++ = '\0';
    snprintf(joined, sizeof joined, "%s%s", pair, right);
    rank_of(pair);
    rank_of(right);
    assert_true(rank_of(joined) >= last);
    last = rank_of(joined);
  }
}

// A piece of lower-case letters, which stand for themselves, merged by the list: the first pair of the list that is
// there, at its leftmost place, again and again.
static void merge_and_compare(const char *piece) {
  json_t *merges = json_object_get(json_object_get(root, "model"), "merges");
  char parts[64][64];
  size_t count = strlen(piece);
  for (size_t i = 0; i < count; i++)
    snprintf(parts[i], sizeof parts[i], "%c", piece[i]);
  for (size_t m = 0; m < json_array_size(merges);) {
    const char *pair = json_string_value(json_array_get(merges, m++));
    for (size_t i = 0; i + 1 < count; i++) {
      char both[140];
      assert_true(snprintf(both, sizeof both, "%.63s %.63s", parts[i], parts[i + 1]) < (int)sizeof both);
      if (strcmp(both, pair) != 0)
        continue;
      strcat(parts[i], parts[i + 1]);
      memmove(parts[i + 1], parts[i + 2], (count - i - 2) * sizeof *parts);
      count--;
      m = 0;
      break;
    }
  }
  titan_tokenizer_scratch *scratch;
  titan_token_buffer ids = {0};
  assert_int_equal(titan_tokenizer_scratch_create(&scratch), TITAN_OK);
  assert_int_equal(titan_tokenizer_encode(tokenizer, scratch, piece, strlen(piece), &ids, NULL), TITAN_OK);
  assert_int_equal(ids.count, count);
  for (size_t i = 0; i < count; i++)
    assert_int_equal(ids.ids[i], rank_of(parts[i]));
  titan_token_buffer_destroy(&ids);
  titan_tokenizer_scratch_destroy(&scratch);
}

static void merging_by_the_list_gives_the_same_ids(void **state) {
  (void)state;
  static const char *const pieces[] = {"x",           "aaaaaaa",          "walkings", "unthinkable",
                                       "mississippi", "characterization", "bananas",  "strengthsomeness"};
  for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
    merge_and_compare(pieces[i]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_token_has_its_rank),
      cmocka_unit_test(merges_are_ordered_by_what_they_make),
      cmocka_unit_test(merging_by_the_list_gives_the_same_ids),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
