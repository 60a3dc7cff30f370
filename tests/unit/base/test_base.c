// SPDX-License-Identifier: Apache-2.0
// Property: base/ does what its headers say. Oracles: published Philox vectors, quantiles of the normal distribution,
// exact counts.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four above first
#include <cmocka.h>

#include "base/copy.h"
#include "base/dtype.h"
#include "base/log.h"
#include "base/median.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/size.h"
#include "base/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// Known answers of the Random123 distribution (kat_vectors, philox4x32 10).
static void philox_gives_the_published_blocks(void **state) {
  (void)state;
  uint32_t out[4];
  titan_philox4x32((uint32_t[2]){0, 0}, (uint32_t[4]){0, 0, 0, 0}, out);
  assert_int_equal(out[0], 0x6627e8d5u);
  assert_int_equal(out[1], 0xe169c58du);
  assert_int_equal(out[2], 0xbc57ac4cu);
  assert_int_equal(out[3], 0x9b00dbd8u);
  titan_philox4x32((uint32_t[2]){0xa4093822u, 0x299f31d0u},
                   (uint32_t[4]){0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u}, out);
  assert_int_equal(out[0], 0xd16cfe09u);
  assert_int_equal(out[1], 0x94fdccebu);
  assert_int_equal(out[2], 0x5001e420u);
  assert_int_equal(out[3], 0x24126ea1u);
}

static void a_stream_does_not_depend_on_how_it_is_cut(void **state) {
  (void)state;
  titan_random_stream stream = titan_random_stream_create(7, "layers.0.attention.wq.weight");
  float whole[1001], part[1001];
  titan_random_normal(stream, 0, 1001, 0, 0.02, -INFINITY, INFINITY, whole);
  for (uint64_t first = 0; first < 1001;) {
    uint64_t count = first + 13 < 1001 ? 13 : 1001 - first;
    titan_random_normal(stream, first, count, 0, 0.02, -INFINITY, INFINITY, part + first);
    first += count;
  }
  assert_memory_equal(whole, part, sizeof whole);
}

// Mean and variance within five standard errors of 100,000 samples; cut samples inside the cut.
static void normals_have_the_asked_moments(void **state) {
  (void)state;
  enum { N = 100000 };
  static float z[N];
  titan_random_stream stream = titan_random_stream_create(1, "x");
  titan_random_normal(stream, 0, N, 1, 2, -INFINITY, INFINITY, z);
  double sum = 0, square = 0;
  for (int i = 0; i < N; i++)
    sum += z[i], square += (double)z[i] * z[i];
  assert_true(fabs(sum / N - 1) < 5 * 2 / sqrt(N));
  assert_true(fabs(square / N - 5) < 0.2);
  titan_random_normal(stream, 0, N, 0, 1, -1.5, 1.5, z);
  for (int i = 0; i < N; i++)
    assert_true(fabsf(z[i]) <= 1.5f);
}

static void the_quantile_inverts_the_distribution(void **state) {
  (void)state;
  assert_true(fabs(titan_normal_quantile(0.975) - 1.959963984540054) < 1e-12);
  assert_true(fabs(titan_normal_quantile(0.5)) < 1e-15);
  for (double p = 1e-12; p < 1; p = p < 0.01 ? p * 3 : p + 0.01) {
    double back = 0.5 * erfc(-titan_normal_quantile(p) / sqrt(2));
    assert_true(fabs(back - p) <= 1e-13 * (p < 0.5 ? p * 1e2 : 1));
  }
}

static void memory_is_counted_by_tag(void **state) {
  (void)state;
  void *a, *b;
  assert_int_equal(titan_memory_allocate(TITAN_MEMORY_SCRATCH, 1000, &a), TITAN_OK);
  assert_int_equal(titan_memory_allocate(TITAN_MEMORY_SCRATCH, 5 << 20, &b), TITAN_OK);
  assert_int_equal((uintptr_t)b % TITAN_MEMORY_ALIGNMENT, 0);
  assert_int_equal(titan_memory_usage_of(TITAN_MEMORY_SCRATCH).live_bytes, 1000 + (5 << 20));
  titan_memory_free(a);
  titan_memory_free(b);
  titan_memory_usage usage = titan_memory_usage_of(TITAN_MEMORY_SCRATCH);
  assert_int_equal(usage.live_bytes, 0);
  assert_int_equal(usage.peak_bytes, 1000 + (5 << 20));
  assert_int_equal(titan_memory_allocate(TITAN_MEMORY_SCRATCH, SIZE_MAX - 100, &a), TITAN_ERROR_MEMORY);
  assert_null(a);
}

static void bfloat16_rounds_to_nearest_even(void **state) {
  (void)state;
  assert_int_equal(titan_bf16_from_float(1.0f), 0x3f80);
  assert_int_equal(titan_bf16_from_float(1.00390625f), 0x3f80); // half a step above 1, even below
  assert_int_equal(titan_bf16_from_float(1.01171875f), 0x3f82); // half a step, even above
  assert_true(isnan(titan_bf16_to_float(titan_bf16_from_float(NAN))));
  assert_true(isinf(titan_bf16_to_float(titan_bf16_from_float(3.4e38f))));
}

static void distances_are_levenshtein(void **state) {
  (void)state;
  assert_int_equal(titan_text_distance("steps", "step"), 1);
  assert_int_equal(titan_text_distance("kitten", "sitting"), 3);
  titan_text text = {0};
  assert_int_equal(titan_text_printf(&text, "%s-%d", "a", 7), TITAN_OK);
  assert_string_equal(text.data, "a-7");
  titan_text_destroy(&text);
}

static int nothing_is_left(void **state) {
  (void)state;
  return titan_memory_report_leaks() == 0 ? 0 : -1;
}

static void a_copy_past_the_caches_copies_exactly(void **state) {
  (void)state;
  enum { BYTES = 1000 };
  char from[BYTES], to[BYTES];
  for (size_t begin = 0; begin < 70; begin += 3)
    for (size_t count = 0; count + begin + 5 <= BYTES; count += count < 140 ? 1 : 97) {
      for (size_t i = 0; i < BYTES; i++)
        from[i] = (char)(i * 7 + count), to[i] = -1;
      titan_copy_past_caches(to + begin, from + 5, count);
      for (size_t i = 0; i < BYTES; i++)
        assert_int_equal(to[i], i < begin || i >= begin + count ? -1 : from[i - begin + 5]);
    }
}

// A third of all pairs of sizes near each other reads the same with two digits.
static void sizes_that_differ_read_differently(void **state) {
  (void)state;
  static const double sizes[] = {0,    1,           1e8,     1e8 + 1, 1.001e8, 1e9, 1.0001e9, 1.0 * (1 << 30),
                                 5e12, 5e12 + 4096, 5e12 + 1};
  char a[TITAN_SIZE_BYTES], b[TITAN_SIZE_BYTES];
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
      titan_size_pair(sizes[i], sizes[k], a, b);
      assert_int_equal(strcmp(a, b) == 0, i == k);
    }
  titan_size_pair(0.094 * (1 << 30), 0.087 * (1 << 30), a, b);
  assert_string_equal(a, "0.094 GiB");
  assert_string_equal(b, "0.087 GiB");
  titan_size_pair(2.0 * (1 << 30), 1.5 * (1 << 30), a, b);
  assert_string_equal(a, "2.00 GiB");
  assert_string_equal(b, "1.50 GiB");
}

static void read_text(const char *path, char *text, size_t size) {
  FILE *file = fopen(path, "r");
  assert_non_null(file);
  text[fread(text, 1, size - 1, file)] = '\0';
  fclose(file);
}

// The last line of a file, without its newline.
static void last_line(const char *path, char *line, size_t size) {
  FILE *file = fopen(path, "r");
  assert_non_null(file);
  while (fgets(line, (int)size, file) != NULL)
    continue;
  fclose(file);
  line[strcspn(line, "\n")] = '\0';
}

// Oracle: the text that RFC 8259 wants of each kind of byte, written out.
static void a_json_line_is_one_object_whatever_the_text(void **state) {
  (void)state;
  char path[] = "/tmp/titan-log-XXXXXX", line[60000], expected[256];
  close(mkstemp(path));
  assert_int_equal(titan_log_open(path), TITAN_OK);
  titan_log_set_json(true);
  titan_log_event(TITAN_LOG_WARNING, "\"step\": 3", "a \"b\" \\ \t\n\001 \u00e9 \xff \xe2\x82");
  last_line(path, line, sizeof line);
  assert_int_equal(strncmp(line, "{\"time\": \"20", 12), 0);
  snprintf(expected, sizeof expected, "%s",
           "\"rank\": 0, \"level\": \"warning\", \"message\": \"a \\\"b\\\" \\\\ \\t\\n\\u0001 \u00e9 \\ufffd "
           "\\ufffd\\ufffd\", \"step\": 3}");
  assert_non_null(strstr(line, expected));
  assert_string_equal(strstr(line, expected), expected); // nothing behind it
  static char longest[30000];
  memset(longest, '"', sizeof longest - 1);
  titan_log_event(TITAN_LOG_INFO, "\"last\": 1", "%s", longest);
  last_line(path, line, sizeof line);
  assert_true(strlen(line) < 20000);
  assert_string_equal(line + strlen(line) - 13, "\", \"last\": 1}");
  titan_log_set_json(false);
  titan_log_close();
  remove(path);
}

static void note_line(void *context, const char *text) {
  snprintf(context, 64, "%s", text);
}

static void a_watcher_gets_the_lines_of_its_level(void **state) {
  (void)state;
  char seen[64] = "";
  titan_log_watch(TITAN_LOG_WARNING, note_line, seen);
  titan_log_info("information");
  assert_string_equal(seen, "");
  titan_log_warning("warning %d", 1);
  assert_string_equal(seen, "warning 1");
  titan_log_watch(TITAN_LOG_WARNING, NULL, NULL);
  titan_log_warning("warning 2");
  assert_string_equal(seen, "warning 1");
}

static void a_log_file_has_every_line_without_colours(void **state) {
  (void)state;
  char folder[] = "/tmp/titan-log-XXXXXX", path[64], other[64], text[4096];
  assert_non_null(mkdtemp(folder));
  snprintf(path, sizeof path, "%s/run.log", folder);
  snprintf(other, sizeof other, "%s/none/run.log", folder);
  titan_log_info("before the file");
  assert_int_equal(titan_log_open(other), TITAN_ERROR_OUTPUT);
  assert_non_null(strstr(titan_error_message(), other));
  assert_int_equal(titan_log_open(path), TITAN_OK);
  titan_log_info("\033[31mstep: 1  \033[1;32mloss\033[39m \033[x");
  titan_log_text("a text\n");
  titan_log_close();
  titan_log_text("nowhere\n");
  assert_int_equal(titan_log_open(path), TITAN_OK); // it goes on where it ended
  titan_log_warning("later");
  titan_log_close();
  read_text(path, text, sizeof text);
  const char *expected[] = {" - root - INFO - before the file\n", " - root - INFO - step: 1  loss \033[x\na text\n",
                            " - root - WARNING - later\n"};
  const char *at = text;
  for (int i = 0; i < 3; i++) {
    at = strstr(at, expected[i]);
    assert_non_null(at);
    at += strlen(expected[i]);
  }
  assert_string_equal(at, "");
  assert_null(strstr(text, "nowhere"));
  // A pipe that nobody reads is not waited for.
  unlink(path);
  assert_int_equal(mkfifo(path, 0600), 0);
  alarm(30);
  assert_int_equal(titan_log_open(path), TITAN_ERROR_OUTPUT);
  alarm(0);
  unlink(path);
  rmdir(folder);
}

static void a_log_file_that_is_moved_or_removed_goes_on_in_a_new_one(void **state) {
  (void)state;
  char folder[] = "/tmp/titan-log-XXXXXX", inner[64], path[96], moved[64], text[4096];
  assert_non_null(mkdtemp(folder));
  snprintf(inner, sizeof inner, "%s/run", folder);
  snprintf(path, sizeof path, "%s/run.log", inner);
  snprintf(moved, sizeof moved, "%s/old.log", folder);
  assert_int_equal(mkdir(inner, 0700), 0);
  assert_int_equal(titan_log_open(path), TITAN_OK);
  titan_log_info("line 1");
  assert_int_equal(rename(path, moved), 0);
  titan_log_info("line 2");
  titan_log_info("line 3");
  read_text(moved, text, sizeof text);
  assert_non_null(strstr(text, "line 1"));
  assert_null(strstr(text, "line 2"));
  read_text(path, text, sizeof text);
  char *said = strstr(text, "run.log was moved or removed; the log continues in a new file\n");
  assert_non_null(said);
  assert_null(strstr(said + 20, "moved or removed"));
  assert_non_null(strstr(said, "line 2"));
  assert_non_null(strstr(said, "line 3"));
  // Without its folder no line has a place; once it is there again, lines do.
  unlink(path);
  rmdir(inner);
  titan_log_info("line 4");
  assert_int_equal(mkdir(inner, 0700), 0);
  titan_log_info("line 5");
  read_text(path, text, sizeof text);
  assert_null(strstr(text, "line 4"));
  assert_non_null(strstr(text, "line 5"));
  titan_log_close();
  unlink(path);
  rmdir(inner);
  unlink(moved);
  rmdir(folder);
}

static void the_median_is_that_of_a_pencil(void **state) {
  (void)state;
  double odd[] = {5, 1, 3}, even[] = {8, 2, 4, 6}, one[] = {7};
  assert_true(titan_median(odd, 3) == 3);
  assert_true(odd[0] == 1 && odd[1] == 3 && odd[2] == 5);
  assert_true(titan_median(even, 4) == 5);
  assert_true(titan_median(one, 1) == 7);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(philox_gives_the_published_blocks),
      cmocka_unit_test(a_stream_does_not_depend_on_how_it_is_cut),
      cmocka_unit_test(normals_have_the_asked_moments),
      cmocka_unit_test(the_quantile_inverts_the_distribution),
      cmocka_unit_test(memory_is_counted_by_tag),
      cmocka_unit_test(bfloat16_rounds_to_nearest_even),
      cmocka_unit_test(a_copy_past_the_caches_copies_exactly),
      cmocka_unit_test(distances_are_levenshtein),
      cmocka_unit_test(sizes_that_differ_read_differently),
      cmocka_unit_test(the_median_is_that_of_a_pencil),
      cmocka_unit_test(a_log_file_has_every_line_without_colours),
      cmocka_unit_test(a_log_file_that_is_moved_or_removed_goes_on_in_a_new_one),
      cmocka_unit_test(a_json_line_is_one_object_whatever_the_text),
      cmocka_unit_test(a_watcher_gets_the_lines_of_its_level),
  };
  return cmocka_run_group_tests(tests, NULL, nothing_is_left);
}
