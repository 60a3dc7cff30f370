// SPDX-License-Identifier: Apache-2.0
// Property: a JSON-lines reader gives each document's text exactly, from plain and gzip files, and tells what is broken
// by file and line. Oracle: the texts that were written; RFC 8259 for escapes. Equality is exact.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four above first
#include <cmocka.h>

#include "base/memory.h"
#include "data/jsonl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

static char folder[] = "/tmp/titan-jsonl-XXXXXX";
static char path[64];

static void write_plain(const char *bytes, size_t length) {
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(bytes, 1, length, file), length);
  fclose(file);
}

static void expect_text(titan_jsonl *reader, const char *expected, size_t expected_length) {
  const char *text;
  size_t length;
  bool end;
  assert_int_equal(titan_jsonl_next(reader, &text, &length, &end), TITAN_OK);
  assert_false(end);
  assert_int_equal(length, expected_length);
  assert_memory_equal(text, expected, length);
}

static void expect_end(titan_jsonl *reader) {
  const char *text;
  size_t length;
  bool end;
  for (int again = 0; again < 2; again++) {
    assert_int_equal(titan_jsonl_next(reader, &text, &length, &end), TITAN_OK);
    assert_true(end);
  }
}

static void texts_come_as_they_were_written(void **state) {
  (void)state;
  static const char file[] =
      "\xef\xbb\xbf{\"text\":\"first\"}\r\n"
      "\n  \t\n"
      " { \"a\" : [ 1 , -2.5e+3 , {\"b\":null} , [] , {} ] , \"text\" : \"\\\"\\\\\\/\\b\\f\\n\\r\\t\" , \"z\":NaN } \n"
      "{\"text\":\"a\\u0000b\\u00e9\\u6f22\\ud83d\\ude00\"}\n"
      "{\"text\":\"\\ud800x\\udc00\\ud83d\\u0041\"}\n"
      "{\"text\":\"one\",\"t\\u0065xt\":\"two\"}\n"
      "{\"text\":\"raw \xff\xc3\xa9\"}\n"
      "{\"text\":\"\"}";
  titan_jsonl *reader;
  write_plain(file, sizeof file - 1);
  assert_int_equal(titan_jsonl_open(path, &reader), TITAN_OK);
  for (int round = 0; round < 2; round++) {
    expect_text(reader, "first", 5);
    expect_text(reader, "\"\\/\b\f\n\r\t", 8);
    assert_int_equal(titan_jsonl_line(reader), 4);
    expect_text(reader, "a\0b\xc3\xa9\xe6\xbc\xa2\xf0\x9f\x98\x80", 12);
    expect_text(reader,
                "\xef\xbf\xbdx\xef\xbf\xbd\xef\xbf\xbd"
                "A",
                11);
    expect_text(reader, "two", 3);
    expect_text(reader, "raw \xff\xc3\xa9", 7);
    expect_text(reader, "", 0);
    expect_end(reader);
    assert_int_equal(titan_jsonl_replaced(reader), 3 * (round + 1));
    assert_int_equal(titan_jsonl_rewind(reader), TITAN_OK);
  }
  titan_jsonl_close(&reader);
}

// Lines longer than every buffer, in gzip of two members (files that were written in pieces).
static void long_lines_in_gzip_are_whole(void **state) {
  (void)state;
  enum { LONG = 3 << 20 };
  char *line;
  bool end;
  titan_jsonl *reader;
  assert_int_equal(titan_memory_allocate(TITAN_MEMORY_DATA, LONG + 12, &line), TITAN_OK);
  memcpy(line, "{\"text\":\"", 9);
  for (size_t i = 0; i < LONG; i++)
    line[9 + i] = (char)('a' + i * i / 3 % 26);
  memcpy(line + 9 + LONG, "\"}\n", 3);
  for (int member = 0; member < 2; member++) {
    gzFile file = gzopen(path, member ? "ab" : "wb");
    assert_non_null(file);
    for (int i = 0; i < 2; i++)
      assert_int_equal(gzwrite(file, line, LONG + 12), LONG + 12);
    gzclose(file);
  }
  assert_int_equal(titan_jsonl_open(path, &reader), TITAN_OK);
  for (int i = 0; i < 4; i++) {
    if (i == 2)
      assert_int_equal(titan_jsonl_skip(reader, &end), TITAN_OK);
    else
      expect_text(reader, line + 9, LONG);
  }
  assert_int_equal(titan_jsonl_skip(reader, &end), TITAN_OK);
  assert_true(end);
  titan_jsonl_close(&reader);
  titan_memory_free(line);
}

static void expect_data_error(const char *message) {
  titan_jsonl *reader;
  const char *text;
  size_t length;
  bool end;
  titan_status status;
  assert_int_equal(titan_jsonl_open(path, &reader), TITAN_OK);
  do {
    status = titan_jsonl_next(reader, &text, &length, &end);
  } while (status == TITAN_OK && !end);
  titan_jsonl_close(&reader);
  assert_int_equal(status, TITAN_ERROR_DATA);
  if (!strstr(titan_error_message(), message))
    fail_msg("'%s' does not hold '%s'", titan_error_message(), message);
  assert_non_null(strstr(titan_error_message(), path));
}

static void broken_lines_are_told_by_file_and_line(void **state) {
  (void)state;
  static const char *const cases[][2] = {
      {"[1]", "expected a JSON object"},
      {"{}", "no field \"text\""},
      {"{\"txt\":\"a\"}", "no field \"text\""},
      {"{\"a\":{\"text\":\"inner\"}}", "no field \"text\""},
      {"{\"text\":5}", "not a string"},
      {"{\"text\":null}", "not a string"},
      {"{\"text\":\"a", "ends inside a string"},
      {"{\"text\":\"a\\", "unknown escape"},
      {"{\"text\":\"a\"", "ends inside an object"},
      {"{\"text\":\"a\"} {}", "text follows"},
      {"{\"text\":\"a\",}", "double quotes"},
      {"{\"text\" \"a\"}", "expected :"},
      {"{\"text\":\"\\x\"}", "unknown escape"},
      {"{\"text\":\"\\u12g4\"}", "four hexadecimal digits"},
      {"{\"text\":\"\\u12", "four hexadecimal digits"},
      {"{\"text\":\"a\tb\"}", "control character"},
      {"{\"a\":01,\"text\":\"a\"}", "expected , or }"},
      {"{\"a\":1.,\"text\":\"a\"}", "expected a digit"},
      {"{\"a\":-,\"text\":\"a\"}", "expected a value"},
      {"{\"a\":nul,\"text\":\"a\"}", "expected a value"},
      {"{\"a\":[1 2],\"text\":\"a\"}", "expected , or ]"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char file[256], where[128];
    snprintf(file, sizeof file, "{\"text\":\"good\"}\n\n%s\n{\"text\":\"good\"}\n", cases[i][0]);
    snprintf(where, sizeof where, "%s:3:", path);
    write_plain(file, strlen(file));
    expect_data_error(where);
    expect_data_error(cases[i][1]);
  }
}

static void deep_nesting_is_an_error_and_no_overflow(void **state) {
  (void)state;
  enum { DEPTH = 1 << 20 };
  char *line;
  assert_int_equal(titan_memory_allocate(TITAN_MEMORY_DATA, DEPTH, &line), TITAN_OK);
  memset(line, '[', DEPTH);
  memcpy(line, "{\"a\":", 5);
  write_plain(line, DEPTH);
  titan_memory_free(line);
  expect_data_error("nested too deeply");
}

// Cut at every length: always an error, and never more than the whole lines that came before.
static void truncated_gzip_is_an_error(void **state) {
  (void)state;
  char bytes[4096];
  gzFile file = gzopen(path, "wb");
  for (int i = 0; i < 300; i++)
    gzprintf(file, "{\"text\":\"line %d of a file %d\"}\n", i, i * i * 7919 % 1013);
  gzclose(file);
  FILE *whole = fopen(path, "rb");
  size_t length = fread(bytes, 1, sizeof bytes, whole);
  fclose(whole);
  assert_true(length > 500 && length < sizeof bytes);
  for (size_t cut = 2; cut < length; cut += cut < 40 || length - cut < 40 ? 1 : 37) {
    write_plain(bytes, cut);
    expect_data_error("truncated");
  }
  bytes[length - 6] ^= 0x10; // the checksum
  write_plain(bytes, length);
  expect_data_error("damaged gzip data");
}

// One gzip file of `count` lines behind what `bytes` holds; gives the new length.
static size_t append_member(char *bytes, size_t length, int first, int count) {
  gzFile file = gzopen(path, "wb");
  for (int i = first; i < first + count; i++)
    gzprintf(file, "{\"text\":\"line %d of a file %d\"}\n", i, i * i * 7919 % 1013);
  gzclose(file);
  FILE *whole = fopen(path, "rb");
  length += fread(bytes + length, 1, 4096, whole);
  fclose(whole);
  return length;
}

static int count_documents(titan_status *status) {
  titan_jsonl *reader;
  bool end = false;
  int count = 0;
  assert_int_equal(titan_jsonl_open(path, &reader), TITAN_OK);
  while ((*status = titan_jsonl_skip(reader, &end)) == TITAN_OK && !end)
    count++;
  titan_jsonl_close(&reader);
  return count;
}

// Oracle: RFC 1952 for where the parts of a member lie. Every bit of the second member's header that says something,
// and of its checksum and length, is changed in turn.
static void damage_to_any_member_is_an_error(void **state) {
  (void)state;
  static char bytes[1 << 14];
  titan_status status;
  size_t second = append_member(bytes, 0, 0, 50), length = append_member(bytes, second, 50, 50);
  write_plain(bytes, length);
  assert_int_equal(count_documents(&status), 100);
  assert_int_equal(status, TITAN_OK);
  static const unsigned char header_bits[4] = {0xff, 0xff, 0xff,
                                               0xe2}; // magic, method, flags: reserved and the header's checksum
  for (size_t byte = 0; byte < 12; byte++) {
    size_t at = byte < 4 ? second + byte : length - 8 + (byte - 4);
    for (int bit = 0; bit < 8; bit++) {
      if (byte < 4 && (header_bits[byte] >> bit & 1) == 0)
        continue;
      bytes[at] ^= (char)(1 << bit);
      write_plain(bytes, length);
      expect_data_error("damaged gzip data");
      expect_data_error(" (byte ");
      bytes[at] ^= (char)(1 << bit);
    }
  }
  bytes[second + 30] ^= 0x55; // the compressed lines
  write_plain(bytes, length);
  expect_data_error("damaged gzip data");
  bytes[second + 30] ^= 0x55;
  for (size_t cut = second + 1; cut < length; cut += cut < second + 20 || length - cut < 20 ? 1 : 37) {
    write_plain(bytes, cut);
    expect_data_error("truncated");
  }
}

static void only_members_and_zeros_follow_a_member(void **state) {
  (void)state;
  static char bytes[1 << 19];
  titan_status status;
  char where[64];
  size_t length = append_member(bytes, 0, 0, 50);
  // Plain text behind gzip.
  memcpy(bytes + length, "{\"text\":\"plain\"}\n", 17);
  write_plain(bytes, length + 17);
  snprintf(where, sizeof where, "the bytes after a member are not gzip (byte %zu of the file)", length);
  expect_data_error(where);
  // Zeros up to the end are padding: a few, and more than the reader's buffers hold. Something behind them is not.
  for (size_t zeros = 1; length + zeros < sizeof bytes - 100; zeros = zeros * 7 + 3) {
    memset(bytes + length, 0, zeros);
    write_plain(bytes, length + zeros);
    assert_int_equal(count_documents(&status), 50);
    assert_int_equal(status, TITAN_OK);
    bytes[length + zeros] = 'x';
    write_plain(bytes, length + zeros + 1);
    snprintf(where, sizeof where, "follow the zeros after the last member (byte %zu", length + zeros);
    expect_data_error(where);
  }
  // Members without any bytes, and many of them.
  length = append_member(bytes, 0, 0, 1);
  for (int member = 1; member < 60; member++)
    length = append_member(bytes, length, member, member % 2);
  write_plain(bytes, length);
  assert_int_equal(count_documents(&status), 30 + 1);
  assert_int_equal(status, TITAN_OK);
}

static void a_line_beyond_the_limit_is_an_error(void **state) {
  (void)state;
  enum { LIMIT = 1 << 20 };
  titan_jsonl *reader;
  char *line;
  bool end;
  const char *text;
  size_t length;
  assert_int_equal(titan_memory_allocate(TITAN_MEMORY_DATA, 8 * LIMIT, &line), TITAN_OK);
  memset(line, 'a', 8 * LIMIT);
  memcpy(line, "{\"text\":\"", 9);
  memcpy(line + LIMIT - 2, "\"}\n", 3); // a line of the limit, and one of a byte more, or of very many
  memcpy(line + LIMIT + 1, "{\"text\":\"", 9);
  for (int many = 0; many < 2; many++) {
    if (!many)
      memcpy(line + LIMIT + 1 + LIMIT - 1, "\"}\n", 3);
    write_plain(line, many ? 8 * LIMIT : 2 * LIMIT + 3);
    for (int skipping = 0; skipping < 2; skipping++) {
      assert_int_equal(titan_jsonl_open(path, &reader), TITAN_OK);
      titan_jsonl_set_limit(reader, LIMIT);
      expect_text(reader, line + 9, LIMIT - 11);
      titan_memory_reset_peaks();
      titan_status status = skipping ? titan_jsonl_skip(reader, &end) : titan_jsonl_next(reader, &text, &length, &end);
      assert_int_equal(status, TITAN_ERROR_DATA);
      assert_non_null(strstr(titan_error_message(), ":2: the line is longer than 1 MiB (training.document_limit)"));
      // Whatever the line's length, the reader holds no more than it says.
      assert_true(titan_memory_usage_of(TITAN_MEMORY_DATA).peak_bytes < 8 * LIMIT + 2 * titan_jsonl_bytes(LIMIT));
      titan_jsonl_close(&reader);
    }
    memset(line + 2 * LIMIT, 'a', 3);
  }
  titan_memory_free(line);
}

static void a_missing_file_is_a_usage_error(void **state) {
  (void)state;
  titan_jsonl *reader;
  assert_int_equal(titan_jsonl_open("/nowhere/at.jsonl", &reader), TITAN_ERROR_USAGE);
  assert_null(reader);
  assert_int_equal(titan_jsonl_open(folder, &reader), TITAN_ERROR_USAGE);
  assert_non_null(strstr(titan_error_message(), "is a folder"));
}

static int set_up(void **state) {
  (void)state;
  if (!mkdtemp(folder))
    return -1;
  snprintf(path, sizeof path, "%s/corpus file.jsonl", folder);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  remove(path);
  rmdir(folder);
  return titan_memory_report_leaks() == 0 ? 0 : -1;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(texts_come_as_they_were_written),
      cmocka_unit_test(long_lines_in_gzip_are_whole),
      cmocka_unit_test(broken_lines_are_told_by_file_and_line),
      cmocka_unit_test(deep_nesting_is_an_error_and_no_overflow),
      cmocka_unit_test(truncated_gzip_is_an_error),
      cmocka_unit_test(damage_to_any_member_is_an_error),
      cmocka_unit_test(only_members_and_zeros_follow_a_member),
      cmocka_unit_test(a_line_beyond_the_limit_is_an_error),
      cmocka_unit_test(a_missing_file_is_a_usage_error),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
