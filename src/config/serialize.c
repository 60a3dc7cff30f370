// SPDX-License-Identifier: Apache-2.0
// A configuration as text: a line "titan-config 1", a line with the request, a line with its topic, then one line an
// option:
// name, source, origin, value, separated by tabs. In origins and values a backslash, tab or newline is escaped; "\0" is
// NULL. Numbers have 17 digits, which gives every double back exactly.
#include "config/config.h"

#include "base/memory.h"
#include "config/option.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER "titan-config 1\n"

static titan_status append_escaped(const char *value, titan_text *text) {
  if (value == NULL)
    return titan_text_printf(text, "\\0");
  for (const char *c = value; *c != '\0'; c++) {
    switch (*c) {
    case '\\':
      TITAN_TRY(titan_text_append(text, "\\\\", 2));
      break;
    case '\t':
      TITAN_TRY(titan_text_append(text, "\\t", 2));
      break;
    case '\n':
      TITAN_TRY(titan_text_append(text, "\\n", 2));
      break;
    default:
      TITAN_TRY(titan_text_append(text, c, 1));
    }
  }
  return TITAN_OK;
}

static titan_status append_value(const void *member, titan_option_type type, titan_text *text) {
  switch (type) {
  case TITAN_OPTION_BOOL:
    return titan_text_printf(text, "%d", *(const bool *)member);
  case TITAN_OPTION_INT:
    return titan_text_printf(text, "%" PRId64, *(const int64_t *)member);
  case TITAN_OPTION_FLOAT:
    return titan_text_printf(text, "%.17g", *(const double *)member);
  case TITAN_OPTION_STRING:
  case TITAN_OPTION_PATH:
  case TITAN_OPTION_LIST:
    return append_escaped(*(const char *const *)member, text);
  }
  return titan_error(TITAN_ERROR_INTERNAL, "unknown type of option");
}

titan_status titan_config_serialize(const titan_config *config, titan_text *text) {
  TITAN_TRY(titan_text_printf(text, HEADER "%d\n", (int)config->request));
  TITAN_TRY(append_escaped(config->help_topic, text));
  TITAN_TRY(titan_text_append(text, "\n", 1));
  for (int i = 0; i < TITAN_OPTION_COUNT; i++) {
    const titan_option *option = &titan_options[i];
    const titan_config_entry *entry = &config->entries[i];
    TITAN_TRY(titan_text_printf(text, "%s\t%d\t", option->name, (int)entry->source));
    TITAN_TRY(append_escaped(entry->origin, text));
    TITAN_TRY(titan_text_append(text, "\t", 1));
    TITAN_TRY(append_value((const char *)config + option->offset, option->type, text));
    TITAN_TRY(titan_text_append(text, "\n", 1));
  }
  return TITAN_OK;
}

// Copies the field up to `end` (a tab or newline) unescaped, and moves *text behind its end; NULL for "\0".
static titan_status take_field(const char **text, char end, char **field) {
  *field = NULL;
  const char *stop = strchr(*text, end);
  if (stop == NULL)
    return titan_error(TITAN_ERROR_INTERNAL, "serialized configuration: a field is missing at \"%.40s\"", *text);
  const char *c = *text;
  *text = stop + 1;
  if (stop - c == 2 && c[0] == '\\' && c[1] == '0')
    return TITAN_OK;
  char *out;
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_CONFIG, (size_t)(stop - c) + 1, &out));
  *field = out;
  for (; c < stop; c++) {
    if (*c == '\\')
      c++, *out++ = *c == 't' ? '\t' : *c == 'n' ? '\n' : *c;
    else
      *out++ = *c;
  }
  *out = '\0';
  return TITAN_OK;
}

// As take_field, for a field that is never NULL.
static titan_status take_text(const char **text, char end, char **field) {
  TITAN_TRY(take_field(text, end, field));
  return *field ? TITAN_OK : titan_error(TITAN_ERROR_INTERNAL, "serialized configuration: a field is empty");
}

// Reads one line into the option it names.
static titan_status take_option(titan_config *config, const char **text) {
  char *name = NULL, *source = NULL, *value = NULL;
  titan_status status = TITAN_OK;
  TITAN_TRY_CLEANUP(take_text(text, '\t', &name));
  bool negated;
  int index = titan_option_find(name, &negated);
  if (index < 0) {
    status = titan_error(TITAN_ERROR_INTERNAL, "serialized configuration: unknown option %s", name);
    goto cleanup;
  }
  titan_config_entry *entry = &config->entries[index];
  void *member = (char *)config + titan_options[index].offset;
  TITAN_TRY_CLEANUP(take_text(text, '\t', &source));
  entry->source = (titan_config_source)strtol(source, NULL, 10);
  TITAN_TRY_CLEANUP(take_field(text, '\t', &entry->origin));
  TITAN_TRY_CLEANUP(take_field(text, '\n', &value));
  if (value == NULL && !titan_option_is_text(&titan_options[index])) {
    status = titan_error(TITAN_ERROR_INTERNAL, "serialized configuration: %s has no value", name);
    goto cleanup;
  }
  switch (titan_options[index].type) {
  case TITAN_OPTION_BOOL:
    *(bool *)member = *value == '1';
    break;
  case TITAN_OPTION_INT:
    *(int64_t *)member = strtoll(value, NULL, 10);
    break;
  case TITAN_OPTION_FLOAT:
    *(double *)member = strtod(value, NULL);
    break;
  case TITAN_OPTION_STRING:
  case TITAN_OPTION_PATH:
  case TITAN_OPTION_LIST:
    *(const char **)member = entry->owned = value;
    value = NULL;
    break;
  }
cleanup:
  titan_memory_free(name);
  titan_memory_free(source);
  titan_memory_free(value);
  return status;
}

titan_status titan_config_deserialize(const char *text, titan_config **config) {
  *config = NULL;
  if (strncmp(text, HEADER, strlen(HEADER)) != 0)
    return titan_error(TITAN_ERROR_INTERNAL, "serialized configuration: unknown header");
  text += strlen(HEADER);
  titan_config *created = NULL;
  char *request = NULL, *topic = NULL;
  titan_status status = TITAN_OK;
  TITAN_TRY_CLEANUP(titan_config_create_default(&created));
  TITAN_TRY_CLEANUP(take_text(&text, '\n', &request));
  created->request = (titan_config_request)strtol(request, NULL, 10);
  TITAN_TRY_CLEANUP(take_text(&text, '\n', &topic));
  snprintf(created->help_topic, sizeof created->help_topic, "%s", topic);
  for (int i = 0; i < TITAN_OPTION_COUNT; i++)
    TITAN_TRY_CLEANUP(take_option(created, &text));
  *config = created;
  created = NULL;
cleanup:
  titan_memory_free(request);
  titan_memory_free(topic);
  titan_config_destroy(&created);
  return status;
}
