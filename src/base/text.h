// SPDX-License-Identifier: Apache-2.0
// A growing string.
#ifndef TITAN_BASE_TEXT_H
#define TITAN_BASE_TEXT_H

#include "base/status.h"
#include <stdarg.h>
#include <stdio.h>

// Start with {0}. `data` is NULL or a NUL-terminated string of `length` bytes, owned by the object.
typedef struct titan_text {
  char *data;
  size_t length, capacity;
} titan_text;

titan_status titan_text_append(titan_text *text, const char *bytes, size_t count);
titan_status titan_text_printf(titan_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Appends what is left of an open file, and stops once text is longer than `most` bytes: the caller finds that by its
// length. *failure: 0, or the system's error number where reading has failed. The data is not NULL afterwards.
titan_status titan_text_append_stream(titan_text *text, FILE *file, size_t most, int *failure);

// Appends bytes, of which each that belongs to no UTF-8 character becomes U+FFFD.
titan_status titan_text_append_utf8(titan_text *text, const char *bytes);

// Writes the text as the inside of a JSON string, as far as it fits into `size` bytes, with a NUL; returns its length.
// What is no UTF-8 becomes U+FFFD. Allocates nothing.
size_t titan_text_escape(const char *text, char *out, size_t size);

// Writes what `stream` still holds. TITAN_ERROR_OUTPUT, "cannot write <name>: <reason>", where this or an earlier write
// to it has failed. What a program prints ends with it.
titan_status titan_text_flush(FILE *stream, const char *name);

// Frees the data and makes it empty again.
void titan_text_destroy(titan_text *text);

// Number of single-character insertions, deletions and replacements that turn a into b (Levenshtein).
size_t titan_text_distance(const char *a, const char *b);

#endif
