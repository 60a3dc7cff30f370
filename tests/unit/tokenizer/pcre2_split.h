// SPDX-License-Identifier: Apache-2.0
// The split pattern run by PCRE2: the oracle for the splitter written by hand.
#ifndef PCRE2_SPLIT_H
#define PCRE2_SPLIT_H

#include <stdbool.h>
#include <stddef.h>

typedef struct pcre2_split pcre2_split;

pcre2_split *pcre2_split_create(const char *pattern); // NULL on failure
void pcre2_split_destroy(pcre2_split *split);

// First match at or behind `at` in valid UTF-8; false when there is none (or PCRE2 fails, which it tells on stderr).
bool pcre2_split_next(pcre2_split *split, const char *text, size_t length, size_t at, size_t *start, size_t *end);

// Major version of PCRE2's Unicode tables.
int pcre2_split_unicode_version(void);

#endif
