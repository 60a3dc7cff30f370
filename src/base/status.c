// SPDX-License-Identifier: Apache-2.0
#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MESSAGE_BYTES = 16384, TRACE_BYTES = 2048 };

static _Thread_local char message_text[MESSAGE_BYTES];
static _Thread_local char trace_text[TRACE_BYTES];
static _Thread_local bool agreed;

int titan_status_exit_code(titan_status status) {
  switch (status) {
#define CASE(name, code, text)                                                                                         \
  case TITAN_##name:                                                                                                   \
    return code;
    TITAN_STATUS_LIST(CASE)
#undef CASE
  }
  return 70;
}

const char *titan_status_text(titan_status status) {
  switch (status) {
#define CASE(name, code, text)                                                                                         \
  case TITAN_##name:                                                                                                   \
    return text;
    TITAN_STATUS_LIST(CASE)
#undef CASE
  }
  return "unknown status";
}

titan_status titan_error_at(titan_status status, const char *file, int line, const char *format, ...) {
  // The arguments may point into message_text (a caller that wraps the previous message).
  char text[MESSAGE_BYTES];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  memcpy(message_text, text, strlen(text) + 1);
  trace_text[0] = '\0';
  agreed = false;
  return titan_error_pass(status, file, line);
}

titan_status titan_error_pass(titan_status status, const char *file, int line) {
  size_t used = strlen(trace_text);
  snprintf(trace_text + used, sizeof trace_text - used, "%s%s:%d", used ? " < " : "", file, line);
  return status;
}

const char *titan_error_message(void) {
  return message_text;
}

const char *titan_error_trace(void) {
  return trace_text;
}

void titan_error_clear(void) {
  message_text[0] = trace_text[0] = '\0';
}

void titan_error_mark_agreed(void) {
  agreed = true;
}

bool titan_error_was_agreed(void) {
  return agreed;
}
