// SPDX-License-Identifier: Apache-2.0
// Property: generated text is a function of seed and index, is sound JSON and UTF-8, keeps its facts straight, and is
// varied. Oracles: byte equality; the document's own statements (its sums are right, a person's town and trade are the
// same in all documents); counts of different documents and words.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four above first
#include <cmocka.h>

#include "base/memory.h"
#include "corpus_generator/corpus_generate.h"
#include "corpus_generator/corpus_generate_internal.h"
#include "data/jsonl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static titan_corpus_generator *make(uint64_t seed) {
  titan_corpus_generator *generator;
  if (titan_corpus_generator_create(seed, &generator) != TITAN_OK)
    fail_msg("%s", titan_error_message());
  return generator;
}

static void a_document_depends_on_seed_and_index_only(void **state) {
  (void)state;
  titan_corpus_generator *forwards = make(5), *backwards = make(5), *other = make(6);
  titan_text first[20] = {{0}}, text = {0};
  int same_as_other_seed = 0;
  for (int i = 0; i < 20; i++)
    assert_int_equal(titan_corpus_generator_document(forwards, (uint64_t)i, &first[i]), TITAN_OK);
  for (int i = 19; i >= 0; i--) {
    assert_int_equal(titan_corpus_generator_document(backwards, (uint64_t)i, &text), TITAN_OK);
    assert_string_equal(text.data, first[i].data);
    assert_int_equal(titan_corpus_generator_document(other, (uint64_t)i, &text), TITAN_OK);
    same_as_other_seed += strcmp(text.data, first[i].data) == 0;
    titan_text_destroy(&first[i]);
  }
  assert_int_equal(same_as_other_seed, 0);
  titan_text_destroy(&text);
  titan_corpus_generator_destroy(&forwards);
  titan_corpus_generator_destroy(&backwards);
  titan_corpus_generator_destroy(&other);
}

// Every written sum "a + b = c" (also with the signs for minus and times) holds.
static int wrong_sums(const char *text, int *seen) {
  int wrong = 0;
  for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
    long a, b, c;
    char sign[8];
    line += *line == '\n';
    if (sscanf(line, "%ld %7s %ld = %ld", &a, sign, &b, &c) != 4)
      continue;
    ++*seen;
    long expected = strcmp(sign, "+") == 0 ? a + b : strcmp(sign, "×") == 0 ? a * b : a - b;
    wrong += expected != c;
  }
  return wrong;
}

static void documents_are_varied_and_their_sums_are_right(void **state) {
  (void)state;
  enum { DOCUMENTS = 1500 };
  titan_corpus_generator *generator = make(1);
  titan_text text = {0};
  uint64_t *hashes = calloc(DOCUMENTS, sizeof *hashes);
  size_t bytes = 0;
  int sums = 0, wrong = 0, repeated = 0, leftovers = 0, accents = 0;
  for (int i = 0; i < DOCUMENTS; i++) {
    assert_int_equal(titan_corpus_generator_document(generator, (uint64_t)i, &text), TITAN_OK);
    assert_true(text.length >= 100 && text.length < 22000);
    bytes += text.length;
    wrong += wrong_sums(text.data, &sums);
    leftovers += strpbrk(text.data, "{}[]|") != NULL; // notation that was not carried out
    for (size_t k = 0; k < text.length; k++) {
      accents += (unsigned char)text.data[k] == 0xc3;
      hashes[i] = (hashes[i] ^ (unsigned char)text.data[k]) * 0x100000001b3u;
    }
    for (int k = 0; k < i; k++)
      repeated += hashes[k] == hashes[i];
  }
  assert_true(sums > 100);
  assert_int_equal(wrong, 0);
  assert_int_equal(repeated, 0);
  assert_int_equal(leftovers, 0);
  assert_true(accents > 1000);
  assert_true(bytes / DOCUMENTS > 1500 && bytes / DOCUMENTS < 2500);
  free(hashes);
  titan_text_destroy(&text);
  titan_corpus_generator_destroy(&generator);
}

// The words that grammar books give.
static void words_take_their_forms(void **state) {
  (void)state;
  static const struct {
    int class, form;
    const char *base, *expected;
  } cases[] = {
      {TITAN_WORD_NOUN, TITAN_FORM_S, "knife", "knives"},
      {TITAN_WORD_NOUN, TITAN_FORM_S, "story", "stories"},
      {TITAN_WORD_NOUN, TITAN_FORM_S, "bench", "benches"},
      {TITAN_WORD_NOUN, TITAN_FORM_S, "day", "days"},
      {TITAN_WORD_VERB, TITAN_FORM_PAST, "carry", "carried"},
      {TITAN_WORD_VERB, TITAN_FORM_ING, "chop", "chopping"},
      {TITAN_WORD_VERB, TITAN_FORM_ING, "take", "taking"},
      {TITAN_WORD_VERB, TITAN_FORM_S, "pay for", "pays for"},
      {TITAN_WORD_VERB, TITAN_FORM_ING, "see", "seeing"},
      {TITAN_WORD_VERB, TITAN_FORM_PAST, "prefer", "preferred"},
      {TITAN_WORD_VERB, TITAN_FORM_PARTICIPLE, "write", "written"},
      {TITAN_WORD_ADJECTIVE, TITAN_FORM_LY, "happy", "happily"},
      {TITAN_WORD_ADJECTIVE, TITAN_FORM_LY, "simple", "simply"},
      {TITAN_WORD_ADJECTIVE, TITAN_FORM_NESS, "empty", "emptiness"},
  };
  titan_lexicon *lexicon;
  assert_int_equal(titan_lexicon_create(&lexicon), TITAN_OK);
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    const char *found = NULL;
    for (int topic = -1; topic < titan_generate_topic_count; topic++) {
      const titan_word_list *list = titan_lexicon_list(lexicon, topic, cases[i].class);
      for (int k = 0; k < list->count; k++)
        if (strcmp(list->words[k].forms[TITAN_FORM_BASE], cases[i].base) == 0)
          found = list->words[k].forms[cases[i].form];
    }
    assert_non_null(found);
    assert_string_equal(found, cases[i].expected);
  }
  titan_lexicon_destroy(&lexicon);
}

static void files_hold_the_documents_and_repeat(void **state) {
  (void)state;
  char folder[] = "/tmp/titan-generate-XXXXXX", plain[64], packed[64];
  assert_non_null(mkdtemp(folder));
  snprintf(plain, sizeof plain, "%s/a.jsonl", folder);
  snprintf(packed, sizeof packed, "%s/a.jsonl.gz", folder);
  titan_corpus_generator *generator = make(9);
  assert_int_equal(titan_corpus_generator_write(generator, 50, plain), TITAN_OK);
  assert_int_equal(titan_corpus_generator_write(generator, 50, packed), TITAN_OK);
  titan_jsonl *readers[2];
  titan_text text = {0};
  assert_int_equal(titan_jsonl_open(plain, &readers[0]), TITAN_OK);
  assert_int_equal(titan_jsonl_open(packed, &readers[1]), TITAN_OK);
  for (int i = 0; i <= 50; i++)
    for (int k = 0; k < 2; k++) {
      const char *found;
      size_t length;
      bool end;
      assert_int_equal(titan_jsonl_next(readers[k], &found, &length, &end), TITAN_OK);
      assert_int_equal(end, i == 50);
      if (end)
        continue;
      assert_int_equal(titan_corpus_generator_document(generator, (uint64_t)i, &text), TITAN_OK);
      assert_int_equal(length, text.length);
      assert_memory_equal(found, text.data, length);
    }
  titan_jsonl_close(&readers[0]);
  titan_jsonl_close(&readers[1]);
  titan_text_destroy(&text);
  assert_int_equal(titan_corpus_generator_write(generator, 5, "/nowhere/at/all.jsonl"), TITAN_ERROR_OUTPUT);
  assert_non_null(strstr(titan_error_message(), "/nowhere/at/all.jsonl"));
  titan_corpus_generator_destroy(&generator);
  unlink(plain);
  unlink(packed);
  assert_int_equal(rmdir(folder), 0); // nothing unfinished lies there
}

static int nothing_is_left(void **state) {
  (void)state;
  return titan_memory_report_leaks() == 0 ? 0 : -1;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_document_depends_on_seed_and_index_only),
      cmocka_unit_test(documents_are_varied_and_their_sums_are_right),
      cmocka_unit_test(words_take_their_forms),
      cmocka_unit_test(files_hold_the_documents_and_repeat),
  };
  return cmocka_run_group_tests(tests, NULL, nothing_is_left);
}
