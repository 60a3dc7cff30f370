// SPDX-License-Identifier: Apache-2.0
// A growing string.
#ifndef TITAN_BASE_TEXT_H
#define TITAN_BASE_TEXT_H

#include "base/status.h"
#include <stdarg.h>

// Start with {0}. `data` is NULL or a NUL-terminated string of `length` bytes, owned by the object.
typedef struct titan_text {
  char *data;
  size_t length, capacity;
} titan_text;

titan_status titan_text_append(titan_text *text, const char *bytes, size_t count);
titan_status titan_text_printf(titan_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Frees the data and makes it empty again.
void titan_text_destroy(titan_text *text);

// Number of single-character insertions, deletions and replacements that turn a into b (Levenshtein).
size_t titan_text_distance(const char *a, const char *b);

#endif
