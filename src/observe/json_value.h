// SPDX-License-Identifier: Apache-2.0
// Numbers and texts as JSON values.
#ifndef TITAN_OBSERVE_JSON_VALUE_H
#define TITAN_OBSERVE_JSON_VALUE_H

#include <jansson.h>

// A number; null where it is not finite, which JSON has no number for. The caller owns it; NULL: out of memory, which
// jansson's functions pass on.
json_t *titan_json_number(double value);
// Bytes that are no UTF-8, which JSON has no text for, become U+FFFD. The caller owns it.
json_t *titan_json_text(const char *text);

#endif
