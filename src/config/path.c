// SPDX-License-Identifier: Apache-2.0
#include "config/path.h"

#include <stdlib.h>
#include <string.h>

static titan_status append_variable(const char *name, titan_text *out, titan_text *problem) {
  const char *value = getenv(name);
  if (value == NULL || *value == '\0')
    return titan_text_printf(problem, "the environment variable %s is %s", name, value == NULL ? "not set" : "empty");
  return titan_text_printf(out, "%s", value);
}

// Takes the "${NAME}" at *text and moves *text behind it.
static titan_status take_variable(const char **text, titan_text *out, titan_text *problem) {
  const char *start = *text + 2, *end = strchr(start, '}');
  char name[256];
  size_t length = end != NULL ? (size_t)(end - start) : 0;
  if (length == 0 || length >= sizeof name)
    return titan_text_printf(problem, "expected the name of an environment variable and \"}\" after \"${\"");
  memcpy(name, start, length);
  name[length] = '\0';
  *text = end + 1;
  return append_variable(name, out, problem);
}

static titan_status expand(const char *path, bool is_list, titan_text *out, titan_text *problem) {
  bool at_start = true;
  TITAN_TRY(titan_text_append(out, "", 0));
  while (*path != '\0' && problem->length == 0) {
    bool ends = path[1] == '\0' || path[1] == '/' || (is_list && path[1] == ',');
    if (at_start && *path == '~' && ends) {
      TITAN_TRY(append_variable("HOME", out, problem));
      path++;
    } else if (path[0] == '$' && path[1] == '{') {
      TITAN_TRY(take_variable(&path, out, problem));
    } else {
      TITAN_TRY(titan_text_append(out, path++, 1));
    }
    at_start = is_list && path[-1] == ',';
  }
  return TITAN_OK;
}

titan_status titan_path_expand(const char *path, titan_text *out, titan_text *problem) {
  return expand(path, false, out, problem);
}

titan_status titan_path_expand_list(const char *paths, titan_text *out, titan_text *problem) {
  return expand(paths, true, out, problem);
}
