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
      {"{\"text\":\"a\"} {}", "something follows"},
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
      cmocka_unit_test(a_missing_file_is_a_usage_error),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
