// SPDX-License-Identifier: Apache-2.0
// Values in a configuration that titan_config_to_toml has written, as checkpoints hold it.
#include "config/config.h"
#include "config/option.h"

#include <string.h>

// The line after this one; NULL after the last.
static const char *next_line(const char *line) {
  const char *end = strchr(line, '\n');
  return end != NULL ? end + 1 : NULL;
}

// The lines of "[section]", up to *end; NULL when it is not there.
static const char *find_section(const char *toml, const char *section, const char **end) {
  size_t length = strlen(section);
  for (const char *line = toml; line != NULL; line = next_line(line)) {
    if (line[0] != '[' || strncmp(line + 1, section, length) != 0 || line[length + 1] != ']')
      continue;
    const char *next = strstr(line, "\n[");
    *end = next != NULL ? next : line + strlen(line);
    return next_line(line);
  }
  return NULL;
}

// Bytes of the value that begins here: a quoted text, or all up to the comment that says where it comes from.
static size_t value_length(const char *value) {
  size_t length = 0;
  if (*value != '"') {
    length = strcspn(value, "\n");
    const char *comment = strstr(value, "  # ");
    return comment != NULL && (size_t)(comment - value) < length ? (size_t)(comment - value) : length;
  }
  for (length = 1; value[length] != '\0' && value[length] != '"'; length++)
    length += value[length] == '\\' && value[length + 1] != '\0';
  return length + (value[length] == '"');
}

titan_status titan_config_saved_value(const char *toml, const char *name, titan_text *value, bool *found) {
  char section[64], key[80];
  const char *dot = strchr(name, '.'), *end = NULL;
  *found = false;
  if (dot == NULL || (size_t)(dot - name) >= sizeof section || strlen(dot) + 4 >= sizeof key)
    return TITAN_OK;
  snprintf(section, sizeof section, "%.*s", (int)(dot - name), name);
  snprintf(key, sizeof key, "%s = ", dot + 1);
  for (const char *line = find_section(toml, section, &end); line != NULL && line < end; line = next_line(line)) {
    const char *at = strncmp(line, "# ", 2) == 0 ? line + 2 : line; // none is written as a comment
    if (strncmp(at, key, strlen(key)) != 0)
      continue;
    *found = true;
    return titan_text_append(value, at + strlen(key), value_length(at + strlen(key)));
  }
  return TITAN_OK;
}

titan_status titan_config_compare(const titan_config *config, const char *toml, const char *name, titan_text *theirs,
                                  titan_text *mine, bool *differ) {
  bool negated, found;
  int index = titan_option_find(name, &negated);
  *differ = false;
  if (index < 0)
    return titan_error(TITAN_ERROR_INTERNAL, "no option is called %s", name);
  TITAN_TRY(titan_config_saved_value(toml, name, theirs, &found));
  if (!found)
    return TITAN_OK;
  const char *const *text = (const void *)((const char *)config + titan_options[index].offset);
  TITAN_TRY(titan_option_format(config, &titan_options[index],
                                titan_option_is_text(&titan_options[index]) && *text != NULL, mine));
  *differ = strcmp(theirs->data, mine->data) != 0;
  return TITAN_OK;
}
