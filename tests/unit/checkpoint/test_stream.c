// SPDX-License-Identifier: Apache-2.0
// Property: spans of any place and length come in order with the file's bytes, from the page cache or past it, with and
// without threads; what cannot be read is an error; a stream may end early.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four above first
#include <cmocka.h>

#include "base/memory.h"
#include "checkpoint/stream.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILE_BYTES = (17 << 20) + 12345, SPANS = 40 };

typedef struct spans {
  int count, next;
  titan_stream_span spans[SPANS];
} spans;

static char *contents;
static char path[256];
static int descriptor;

static bool next_span(void *context, titan_stream_span *span) {
  spans *s = context;
  if (s->next == s->count)
    return false;
  *span = s->spans[s->next++];
  return true;
}

static int set_up_in(const char *folder) {
  snprintf(path, sizeof path, "%s/titan-stream-XXXXXX", folder);
  descriptor = mkstemp(path);
  contents = malloc(FILE_BYTES);
  if (descriptor < 0 || contents == NULL)
    return -1;
  uint64_t x = 1;
  for (size_t i = 0; i < FILE_BYTES; i++, x = x * 6364136223846793005u + 1442695040888963407u)
    contents[i] = (char)(x >> 56);
  return write(descriptor, contents, FILE_BYTES) == FILE_BYTES && fsync(descriptor) == 0 ? 0 : -1;
}

static int set_up_here(void **state) {
  (void)state;
  return set_up_in(".");
}

static int set_up_in_memory(void **state) {
  (void)state;
  return set_up_in("/dev/shm");
}

static int tear_down(void **state) {
  (void)state;
  close(descriptor);
  unlink(path);
  free(contents);
  return 0;
}

static uint64_t all_bytes(const spans *s) {
  uint64_t bytes = 0;
  for (int i = 0; i < s->count; i++)
    bytes += s->spans[i].bytes;
  return bytes;
}

// Large and small ones, forward, back, twice the same, up to the file's last byte.
static void make_spans(spans *s) {
  static const size_t lengths[] = {TITAN_STREAM_BYTES, 1, 4096, TITAN_STREAM_BYTES - 1, 100000, 8192, 1234567};
  *s = (spans){.count = SPANS};
  for (int i = 0; i < SPANS; i++) {
    size_t bytes = lengths[i % 7];
    s->spans[i] = (titan_stream_span){(uint64_t)i * 7919 * 977 % (FILE_BYTES - bytes), bytes};
  }
  s->spans[3].offset = FILE_BYTES - s->spans[3].bytes;
  s->spans[5].offset = 8192;
  s->spans[12] = s->spans[11];
}

static void expect_spans(const spans *all, int from_cache) {
  spans ahead = *all;
  titan_stream *stream;
  const void *bytes;
  titan_checkpoint_fault fault;
  if (!from_cache)
    assert_int_equal(posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED), 0);
  assert_int_equal(
      titan_stream_create(descriptor, path, all_bytes(all), TITAN_MEMORY_GENERAL, next_span, &ahead, &stream),
      TITAN_OK);
  for (int i = 0; i < all->count; i++) {
    assert_int_equal(titan_stream_take(stream, &bytes, &fault), TITAN_OK);
    assert_memory_equal(bytes, contents + all->spans[i].offset, all->spans[i].bytes);
  }
  assert_int_equal(titan_stream_take(stream, &bytes, &fault), TITAN_ERROR_INTERNAL);
  titan_stream_destroy(&stream);
  assert_null(stream);
}

static void spans_come_in_order(void **state) {
  (void)state;
  spans all;
  make_spans(&all);
  expect_spans(&all, false);
  expect_spans(&all, true);
}

static void few_bytes_come_without_threads(void **state) {
  (void)state;
  spans all = {.count = 3, .spans = {{5, 10}, {FILE_BYTES - 1, 1}, {77777, 1000000}}};
  expect_spans(&all, false);
  all.count = 0;
  expect_spans(&all, false);
}

static void a_span_beyond_the_end_is_an_error(void **state) {
  (void)state;
  spans all;
  titan_stream *stream;
  const void *bytes;
  titan_checkpoint_fault fault;
  for (int few = 0; few < 2; few++) {
    make_spans(&all);
    all.spans[2] = (titan_stream_span){FILE_BYTES - 100, 101};
    all.count = few ? 3 : SPANS;
    assert_int_equal(titan_stream_create(descriptor, path, few ? 0 : all_bytes(&all), TITAN_MEMORY_GENERAL, next_span,
                                         &all, &stream),
                     TITAN_OK);
    assert_int_equal(titan_stream_take(stream, &bytes, &fault), TITAN_OK);
    assert_int_equal(titan_stream_take(stream, &bytes, &fault), TITAN_OK);
    assert_int_equal(titan_stream_take(stream, &bytes, &fault), TITAN_ERROR_CHECKPOINT);
    assert_non_null(strstr(titan_error_message(), "truncated at byte"));
    assert_non_null(strstr(titan_error_message(), path));
    titan_stream_destroy(&stream); // with spans that nobody takes
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(spans_come_in_order, set_up_here, tear_down),
      cmocka_unit_test_setup_teardown(spans_come_in_order, set_up_in_memory, tear_down),
      cmocka_unit_test_setup_teardown(few_bytes_come_without_threads, set_up_here, tear_down),
      cmocka_unit_test_setup_teardown(a_span_beyond_the_end_is_an_error, set_up_here, tear_down),
  };
  int failures = cmocka_run_group_tests(tests, NULL, NULL);
  return failures != 0 || titan_memory_report_leaks() != 0;
}
