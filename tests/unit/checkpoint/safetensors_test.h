// SPDX-License-Identifier: Apache-2.0
// What the tests of safetensors files share.
#ifndef TITAN_TESTS_SAFETENSORS_TEST_H
#define TITAN_TESTS_SAFETENSORS_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four above first
#include <cmocka.h>

#include "base/memory.h"
#include "weights/safetensors.h"

#include <stdio.h>
#include <string.h>

#define TRY(expression)                                                                                                \
  do {                                                                                                                 \
    if ((expression) != TITAN_OK)                                                                                      \
      fail_msg("%s: %s\n%s", #expression, titan_error_message(), titan_error_trace());                                 \
  } while (0)

// Writes a file of a length, a header and `data` bytes that count 0, 1, 2, ...
static inline void write_raw(const char *path, uint64_t length, const char *header, size_t header_bytes, size_t data) {
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  for (int i = 0; i < 8; i++)
    fputc((int)(length >> 8 * i & 255), file);
  fwrite(header, 1, header_bytes, file);
  for (size_t i = 0; i < data; i++)
    fputc((int)(i & 255), file);
  assert_int_equal(fclose(file), 0);
}

static inline int nothing_is_left(void **state) {
  (void)state;
  return titan_memory_report_leaks() == 0 ? 0 : -1;
}

#endif
