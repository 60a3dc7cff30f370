// SPDX-License-Identifier: Apache-2.0
// Private to data/: one line of JSON.
#ifndef TITAN_DATA_JSONL_PARSE_H
#define TITAN_DATA_JSONL_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Checks that line[0 .. length-1] is one JSON object and decodes its top-level field "text" in place (the line is
// overwritten). line[length] must be a writable byte. On success returns NULL, and *text (inside line) with
// *text_length; *replaced grows by the number of lone surrogates that became U+FFFD. On failure returns a static
// text that says what is wrong, and *column (counted from 1) where.
const char *titan_jsonl_parse(char *line, size_t length, const char **text, size_t *text_length, uint64_t *replaced,
                              size_t *column);

#endif
