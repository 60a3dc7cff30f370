// SPDX-License-Identifier: Apache-2.0
// Values and lists of words as text.
#ifndef TITAN_CONFIG_FORMAT_H
#define TITAN_CONFIG_FORMAT_H

#include "base/text.h"
#include "config/value.h"

// Appends the words of "a|b" with `separator` between them, each as a TOML string when quoted.
titan_status titan_words_append(const char *words, const char *separator, bool quoted, titan_text *text);

// Appends the string as a TOML string.
titan_status titan_string_append_quoted(const char *value, titan_text *text);

// Appends the shortest digits that read back as the same number, with a point or an exponent, as TOML wants it.
titan_status titan_number_append(double value, titan_text *text);

// Appends what was found, for a message: 8, true, "text", "an array of strings".
titan_status titan_value_describe(const titan_value *value, titan_text *text);

// Appends the value itself: 8, true, text; a list with commas.
titan_status titan_value_text(const titan_value *value, titan_text *text);

#endif
