// SPDX-License-Identifier: Apache-2.0
#include "config/option.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <libconfig.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

// libconfig reads an integer without the suffix L as 32 bits and lets it wrap around silently. So every integer gets
// the suffix before libconfig sees the text, and one that does not fit 64 bits is a problem here.
typedef struct integer_pass {
  titan_file_reader *reader;
  const char *next;
  int64_t line;
  titan_text out;
} integer_pass;

static titan_status copy(integer_pass *pass, size_t count) {
  for (size_t i = 0; i < count; i++)
    pass->line += pass->next[i] == '\n';
  TITAN_TRY(titan_text_append(&pass->out, pass->next, count));
  pass->next += count;
  return TITAN_OK;
}

enum { NEVER_CLOSED = -1 };

// Bytes of the comment that begins here, 0 for none; NEVER_CLOSED, which libconfig takes for a comment to the end.
static ptrdiff_t comment_length(const char *text) {
  if (*text == '#' || strncmp(text, "//", 2) == 0)
    return (ptrdiff_t)strcspn(text, "\n");
  if (strncmp(text, "/*", 2) != 0)
    return 0;
  const char *end = strstr(text + 2, "*/");
  return end != NULL ? end + 2 - text : NEVER_CLOSED;
}

// The same for a string.
static ptrdiff_t string_length(const char *text) {
  ptrdiff_t length = 1;
  if (*text != '"')
    return 0;
  while (text[length] != '\0' && text[length] != '"')
    length += text[length] == '\\' && text[length + 1] != '\0' ? 2 : 1;
  return text[length] == '"' ? length + 1 : NEVER_CLOSED;
}

static size_t name_length(const char *text) {
  size_t length = 0;
  while (isalnum((unsigned char)text[length]) || (text[length] != '\0' && strchr("-_*", text[length])))
    length++;
  return length;
}

static size_t number_length(const char *text) {
  size_t length = *text == '-' || *text == '+';
  bool hexadecimal = text[length] == '0' && (text[length + 1] | 32) == 'x';
  while (isalnum((unsigned char)text[length]) || text[length] == '.' ||
         (!hexadecimal && length > 0 && (text[length - 1] | 32) == 'e' && (text[length] == '-' || text[length] == '+')))
    length++;
  return length;
}

static titan_status copy_number(integer_pass *pass) {
  size_t length = number_length(pass->next);
  char *end;
  errno = 0;
  // Base 10 unless it says 0x: a leading 0 is no octal number in this format.
  const char *digits = pass->next + (*pass->next == '-' || *pass->next == '+');
  bool hexadecimal = digits[0] == '0' && (digits[1] | 32) == 'x';
  if (hexadecimal)
    strtoull(digits, &end, 16);
  else
    strtoll(pass->next, &end, 10);
  size_t read = (size_t)(end - pass->next);
  bool has_suffix = read < length && *end == 'L';
  bool is_integer = end > digits && (read == length || has_suffix);
  if (is_integer && errno == ERANGE)
    TITAN_TRY(titan_problems_add(pass->reader->problems, "%s:%" PRId64 ": %.*s: expected an integer that fits 64 bits",
                                 pass->reader->path, pass->line, (int)length, pass->next));
  TITAN_TRY(copy(pass, length));
  return is_integer && !has_suffix ? titan_text_append(&pass->out, "L", 1) : TITAN_OK;
}

// Makes pass->out of the text, to its end or to the first problem.
static titan_status widen_integers(integer_pass *pass) {
  while (*pass->next != '\0') {
    const char *text = pass->next;
    ptrdiff_t comment = comment_length(text), string = string_length(text);
    if (comment == NEVER_CLOSED || string == NEVER_CLOSED)
      return titan_problems_add(pass->reader->problems, "%s:%" PRId64 ": the %s that starts here is never closed",
                                pass->reader->path, pass->line, string == NEVER_CLOSED ? "string" : "comment");
    size_t length = (size_t)(comment + string);
    if (length == 0 && (isalpha((unsigned char)*text) || *text == '*'))
      length = name_length(text);
    if (length > 0)
      TITAN_TRY(copy(pass, length));
    else if (isdigit((unsigned char)*text) || *text == '.' || *text == '-' || *text == '+')
      // A lone sign or point has length 0 or 1 and goes to libconfig as it is.
      TITAN_TRY(number_length(text) > 0 ? copy_number(pass) : copy(pass, 1));
    else if (*text == '@')
      return titan_problems_add(pass->reader->problems,
                                "%s:%" PRId64 ": @include: a configuration cannot include other files",
                                pass->reader->path, pass->line);
    else
      TITAN_TRY(copy(pass, 1));
  }
  return TITAN_OK;
}

// Joins a list of strings with commas; false where an element is something else.
static titan_status join(const config_setting_t *list, titan_text *joined, bool *all_strings) {
  *all_strings = true;
  TITAN_TRY(titan_text_append(joined, "", 0));
  for (int i = 0; i < config_setting_length(list) && *all_strings; i++) {
    const char *element = config_setting_get_string_elem(list, i);
    *all_strings = element != NULL;
    if (element != NULL)
      TITAN_TRY(titan_text_printf(joined, "%s%s", joined->length > 0 ? "," : "", element));
  }
  return TITAN_OK;
}

static titan_status visit_setting(titan_file_reader *reader, const char *section, const config_setting_t *setting) {
  titan_file_item item = {.section = section,
                          .key = config_setting_name(setting),
                          .line = config_setting_source_line(setting),
                          .value = {.kind = TITAN_VALUE_OTHER, .string = "a group"}};
  titan_text joined = {0};
  bool all_strings = false;
  titan_status status = TITAN_OK;
  switch (config_setting_type(setting)) {
  case CONFIG_TYPE_BOOL:
    item.value = (titan_value){.kind = TITAN_VALUE_BOOL, .boolean = config_setting_get_bool(setting) != 0};
    break;
  case CONFIG_TYPE_INT:
  case CONFIG_TYPE_INT64:
    item.value = (titan_value){.kind = TITAN_VALUE_INT, .integer = config_setting_get_int64(setting)};
    break;
  case CONFIG_TYPE_FLOAT:
    item.value = (titan_value){.kind = TITAN_VALUE_FLOAT, .number = config_setting_get_float(setting)};
    break;
  case CONFIG_TYPE_STRING:
    item.value = (titan_value){.kind = TITAN_VALUE_STRING, .string = config_setting_get_string(setting)};
    break;
  case CONFIG_TYPE_ARRAY:
  case CONFIG_TYPE_LIST:
    TITAN_TRY_CLEANUP(join(setting, &joined, &all_strings));
    item.value.kind = all_strings ? TITAN_VALUE_LIST : TITAN_VALUE_OTHER;
    item.value.string = all_strings ? joined.data : "a list with elements that are not strings";
    break;
  default:
    break;
  }
  titan_file_reader_visit(reader, &item);
  status = reader->status;
cleanup:
  titan_text_destroy(&joined);
  return status;
}

static titan_status visit_all(titan_file_reader *reader, const config_setting_t *root) {
  for (int i = 0; i < config_setting_length(root); i++) {
    const config_setting_t *setting = config_setting_get_elem(root, (unsigned)i);
    if (!config_setting_is_group(setting)) {
      TITAN_TRY(visit_setting(reader, NULL, setting));
      continue;
    }
    const char *section = config_setting_name(setting);
    titan_file_item begin = {.section = section, .line = config_setting_source_line(setting)};
    if (!titan_file_reader_visit(reader, &begin))
      return reader->status;
    for (int j = 0; j < config_setting_length(setting); j++)
      TITAN_TRY(visit_setting(reader, section, config_setting_get_elem(setting, (unsigned)j)));
  }
  return TITAN_OK;
}

titan_status titan_config_read_cfg(titan_file_reader *reader, const titan_text *text) {
  integer_pass pass = {.reader = reader, .next = text->data, .line = 1};
  size_t problems_before = reader->problems->count;
  config_t parsed;
  config_init(&parsed);
  titan_status status = TITAN_OK;
  TITAN_TRY_CLEANUP(titan_text_append(&pass.out, "", 0));
  TITAN_TRY_CLEANUP(widen_integers(&pass));
  if (reader->problems->count > problems_before)
    goto cleanup;
  if (!config_read_string(&parsed, pass.out.data))
    TITAN_TRY_CLEANUP(titan_problems_add(reader->problems, "%s:%d: not valid libconfig: %s", reader->path,
                                         config_error_line(&parsed), config_error_text(&parsed)));
  else
    TITAN_TRY_CLEANUP(visit_all(reader, config_root_setting(&parsed)));
cleanup:
  config_destroy(&parsed);
  titan_text_destroy(&pass.out);
  return status;
}
