// SPDX-License-Identifier: Apache-2.0
#include "config/problems.h"

#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>

// More than MESSAGE_BYTES would not fit into the message of a status.
enum { MESSAGE_BYTES = 14000, LINE_BYTES = 2048 };

titan_status titan_problems_add(titan_problems *problems, const char *format, ...) {
  if (problems->count == problems->capacity) {
    size_t capacity = problems->capacity ? 2 * problems->capacity : 8;
    TITAN_TRY(titan_memory_resize(TITAN_MEMORY_CONFIG, capacity * sizeof(char *), &problems->lines));
    problems->capacity = capacity;
  }
  char line[LINE_BYTES];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  TITAN_TRY(titan_memory_duplicate(TITAN_MEMORY_CONFIG, line, &problems->lines[problems->count]));
  problems->count++;
  return TITAN_OK;
}

titan_status titan_problems_status(titan_problems *problems) {
  if (problems->count == 0)
    return TITAN_OK;
  titan_text text = {0};
  titan_status status = TITAN_OK;
  size_t reported = 0;
  for (; reported < problems->count && text.length < MESSAGE_BYTES - LINE_BYTES; reported++)
    TITAN_TRY_CLEANUP(titan_text_printf(&text, "%s%s", reported > 0 ? "\n" : "", problems->lines[reported]));
  if (reported < problems->count)
    TITAN_TRY_CLEANUP(titan_text_printf(&text, "\n... and %zu more", problems->count - reported));
  status = titan_error(TITAN_ERROR_USAGE, "%s", text.data);
cleanup:
  titan_text_destroy(&text);
  return status;
}

void titan_problems_destroy(titan_problems *problems) {
  for (size_t i = 0; i < problems->count; i++)
    titan_memory_free(problems->lines[i]);
  titan_memory_free(problems->lines);
  *problems = (titan_problems){0};
}
