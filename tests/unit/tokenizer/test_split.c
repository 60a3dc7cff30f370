// SPDX-License-Identifier: Apache-2.0
// Property: the splitter written by hand cuts every text as the Llama 3 pattern does. Oracle: PCRE2 running the
// pattern. Equality is exact. PCRE2's Unicode tables may be of another version than ours (16.0.0); code points that the
// two versions class differently are counted, must be unassigned in the older one, and are left out of the texts.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four above first
#include <cmocka.h>

#include "base/memory.h"
#include "base/random.h"
#include "pcre2_split.h"
#include "tokenizer/split.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CODE_POINTS = 0x110000, TEXT_BYTES = 1 << 20 };

static titan_unicode_classes classes;
static uint8_t usable[CODE_POINTS]; // classed alike by both
static pcre2_split *oracle;
static char text[TEXT_BYTES + 64];

static size_t put(char *out, uint32_t c) {
  if (c < 0x80) {
    out[0] = (char)c;
    return 1;
  }
  size_t count = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
  for (size_t i = count - 1; i > 0; i--, c >>= 6)
    out[i] = (char)(0x80 | (c & 0x3f));
  out[0] = (char)((0xf00u >> count & 0xffu) | c);
  return count;
}

static void assert_same_pieces(size_t length) {
  const unsigned char *at = (const unsigned char *)text, *end = at + length;
  for (size_t start, stop, expected = 0; at < end; expected = stop) {
    const unsigned char *next = titan_split_next(&classes, at, end);
    assert_true(pcre2_split_next(oracle, text, length, expected, &start, &stop));
    if (start != expected || (size_t)(next - (const unsigned char *)text) != stop) {
      fprintf(stderr, "at byte %zu: PCRE2 cuts [%zu, %zu), the splitter up to %zu; bytes:", expected, start, stop,
              (size_t)(next - (const unsigned char *)text));
      for (size_t i = expected; i < length && i < expected + 24; i++)
        fprintf(stderr, " %02x", (unsigned char)text[i]);
      fail_msg("pieces differ");
    }
    at = next;
  }
}

static void class_by_pcre2(const char *pattern, uint8_t value, uint8_t *out) {
  pcre2_split *split = pcre2_split_create(pattern);
  assert_non_null(split);
  for (uint32_t c = 0; c < CODE_POINTS; c++) {
    char bytes[4];
    size_t start, end;
    if (c >= 0xd800 && c < 0xe000)
      continue;
    if (pcre2_split_next(split, bytes, put(bytes, c), 0, &start, &end))
      out[c] = value;
  }
  pcre2_split_destroy(split);
}

// Of Unicode 14 to 16, the letters and numbers that are new in 16 are 9,392 code points.
static void every_code_point_has_the_class_that_pcre2_gives_it(void **state) {
  (void)state;
  static uint8_t theirs[CODE_POINTS], unassigned[CODE_POINTS];
  class_by_pcre2("\\p{L}", TITAN_UNICODE_LETTER, theirs);
  class_by_pcre2("\\p{N}", TITAN_UNICODE_NUMBER, theirs);
  class_by_pcre2("\\s", TITAN_UNICODE_SPACE, theirs);
  class_by_pcre2("\\p{Cn}", 1, unassigned);
  int version = pcre2_split_unicode_version();
  size_t different = 0;
  for (uint32_t c = 0; c < CODE_POINTS; c++) {
    if (c >= 0xd800 && c < 0xe000)
      continue;
    unsigned ours = titan_unicode_class(&classes, c);
    usable[c] = ours == theirs[c];
    if (usable[c] ||
        c == 0x180e) // PCRE2 still has the Mongolian vowel separator among its spaces; Unicode 6.3 took it out
      continue;
    different++;
    bool explained = version < 16 ? unassigned[c] : version > 16 && ours == TITAN_UNICODE_OTHER;
    if (!explained)
      fail_msg("U+%04X: class %u, PCRE2 (Unicode %d) gives %u", c, ours, version, theirs[c]);
  }
  printf("PCRE2 has Unicode %d; %zu code points are classed otherwise\n", version, different);
  if (version == 14)
    assert_int_equal(different, 9392);
  if (version == 16)
    assert_int_equal(different, 0);
}

static void every_code_point_is_cut_alike_in_context(void **state) {
  (void)state;
  assert_true(usable['a'] && usable[0x6f22] && usable[0x1f600]);
  static const char *const before[] = {"a", " ", "1", "\n", "'", "! ", "\xc2\xa0"};
  for (uint32_t c = 0; c < CODE_POINTS; c++) {
    if (!usable[c])
      continue;
    size_t length = 0, each = c < 0x3400 ? 7 : 2; // all contexts where nearly all cases of the pattern are
    for (size_t i = 0; i < each; i++) {
      size_t which = each == 7 ? i : (c + i * 3) % 7, count = strlen(before[which]);
      memcpy(text + length, before[which], count);
      length += count;
      length += put(text + length, c);
    }
    length += put(text + length, c);
    memcpy(text + length, "e\r\n", 3);
    assert_same_pieces(length + 3);
  }
}

static uint32_t pick(const uint32_t random[4]) {
  static const uint32_t hot[] = {
      '\'',  0x2019, 's',     'S',    0x17f,  't',  'T',  'r',    'R',    'e',    'E',    'v',    'V',    'm',   'M',
      'l',   'L',    'd',     'D',    ' ',    ' ',  ' ',  '\n',   '\r',   '\t',   '0',    '9',    'a',    '.',   '!',
      0x301, 0x200d, 0x1f600, 0x6f22, 0xd55c, 0xa0, 0x85, 0x3000, 0x2003, 0x2028, 0x180e, 0x200b, 0xfeff, 0x663, 0xbd};
  enum { HOT = sizeof hot / sizeof *hot };
  switch (random[0] % 8) {
  case 0:
    return random[1] % 128;
  case 1:
    return random[1] % 0x3000;
  case 2:
    return random[1] % CODE_POINTS;
  default:
    return hot[random[1] % HOT];
  }
}

static void random_texts_are_cut_alike(void **state) {
  (void)state;
  titan_random_stream stream = titan_random_stream_create(11, "split");
  for (uint32_t i = 0; i < 150000; i++) {
    size_t length = 0;
    for (uint32_t k = 0; k < 4 + i % 20; k++) {
      uint32_t random[4];
      titan_philox4x32(stream.key, (uint32_t[4]){i, k, 0, 0}, random);
      uint32_t c = pick(random);
      if (usable[c])
        length += put(text + length, c);
    }
    assert_same_pieces(length);
  }
}

static void long_runs_are_cut_alike(void **state) {
  (void)state;
  static const char *const units[] = {"x", " ",        "\n", " \n", "\t \xe3\x80\x80", "7",
                                      "!", "\xc3\xa9", "'s", " a",  "\xf0\x9f\x98\x80"};
  for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
    size_t length = 0, count = strlen(units[i]);
    for (; length + count <= TEXT_BYTES; length += count)
      memcpy(text + length, units[i], count);
    assert_same_pieces(length);
    text[length] = 'x';
    assert_same_pieces(length + 1);
  }
}

static int set_up(void **state) {
  (void)state;
  titan_unicode_classes_fill(&classes);
  oracle = pcre2_split_create(TITAN_SPLIT_PATTERN);
  return oracle ? 0 : -1;
}

static int tear_down(void **state) {
  (void)state;
  pcre2_split_destroy(oracle);
  return titan_memory_report_leaks() == 0 ? 0 : -1;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_code_point_has_the_class_that_pcre2_gives_it),
      cmocka_unit_test(every_code_point_is_cut_alike_in_context),
      cmocka_unit_test(random_texts_are_cut_alike),
      cmocka_unit_test(long_runs_are_cut_alike),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
