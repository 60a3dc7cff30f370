// SPDX-License-Identifier: Apache-2.0
#include "config/format.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST_SHOWN = 80 };

titan_status titan_words_append(const char *words, const char *separator, bool quoted, titan_text *text) {
  const char *mark = quoted ? "\"" : "";
  for (const char *start = words;; start++) {
    int length = (int)strcspn(start, "|");
    TITAN_TRY(titan_text_printf(text, "%s%.*s%s", mark, length, start, mark));
    start += length;
    if (*start == '\0')
      return TITAN_OK;
    TITAN_TRY(titan_text_printf(text, "%s", separator));
  }
}

titan_status titan_string_append_quoted(const char *value, titan_text *text) {
  TITAN_TRY(titan_text_append(text, "\"", 1));
  for (const char *c = value; *c != '\0'; c++) {
    unsigned char byte = (unsigned char)*c;
    if (byte == '"' || byte == '\\')
      TITAN_TRY(titan_text_printf(text, "\\%c", byte));
    else if (byte == '\n')
      TITAN_TRY(titan_text_printf(text, "\\n"));
    else if (byte == '\t')
      TITAN_TRY(titan_text_printf(text, "\\t"));
    else if (byte < 0x20 || byte == 0x7f)
      TITAN_TRY(titan_text_printf(text, "\\u%04x", byte));
    else
      TITAN_TRY(titan_text_append(text, c, 1));
  }
  return titan_text_append(text, "\"", 1);
}

titan_status titan_number_append(double value, titan_text *text) {
  char digits[40];
  for (int precision = 15; precision <= 17; precision++) {
    snprintf(digits, sizeof digits, "%.*g", precision, value);
    if (strtod(digits, NULL) == value)
      break;
  }
  return titan_text_printf(text, "%s%s", digits, strpbrk(digits, ".en") ? "" : ".0");
}

titan_status titan_value_describe(const titan_value *value, titan_text *text) {
  if (value->kind == TITAN_VALUE_LIST)
    return titan_text_printf(text, "an array of strings");
  if (value->kind != TITAN_VALUE_STRING && value->kind != TITAN_VALUE_WORD)
    return titan_value_text(value, text);
  if (strlen(value->string) <= LONGEST_SHOWN)
    return titan_string_append_quoted(value->string, text);
  return titan_text_printf(text, "a string of %zu bytes", strlen(value->string));
}

titan_status titan_value_text(const titan_value *value, titan_text *text) {
  switch (value->kind) {
  case TITAN_VALUE_BOOL:
    return titan_text_printf(text, "%s", value->boolean ? "true" : "false");
  case TITAN_VALUE_INT:
    return titan_text_printf(text, "%" PRId64, value->integer);
  case TITAN_VALUE_FLOAT:
    return titan_number_append(value->number, text);
  default:
    return titan_text_printf(text, "%s", value->string);
  }
}
