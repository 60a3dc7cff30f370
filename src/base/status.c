// SPDX-License-Identifier: Apache-2.0
#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local titan_kept_error present;

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
  // The arguments may point into the present message (a caller that wraps it).
  char text[TITAN_ERROR_MESSAGE_BYTES];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  memcpy(present.message, text, strlen(text) + 1);
  present.trace[0] = '\0';
  present.agreed = false;
  return titan_error_pass(status, file, line);
}

titan_status titan_error_pass(titan_status status, const char *file, int line) {
  size_t used = strlen(present.trace);
  snprintf(present.trace + used, sizeof present.trace - used, "%s%s:%d", used ? " < " : "", file, line);
  return status;
}

const char *titan_error_message(void) {
  return present.message;
}

const char *titan_error_trace(void) {
  return present.trace;
}

void titan_error_clear(void) {
  present.message[0] = present.trace[0] = '\0';
}

void titan_error_mark_agreed(void) {
  present.agreed = true;
}

bool titan_error_was_agreed(void) {
  return present.agreed;
}

void titan_error_keep(titan_kept_error *kept) {
  kept->agreed = present.agreed;
  strcpy(kept->message, present.message);
  strcpy(kept->trace, present.trace);
}

void titan_error_restore(const titan_kept_error *kept) {
  present.agreed = kept->agreed;
  strcpy(present.message, kept->message);
  strcpy(present.trace, kept->trace);
}
