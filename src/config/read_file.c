// SPDX-License-Identifier: Apache-2.0
#include "config/spelling.h"
#include "config/toml_shim.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { LARGEST_FILE = 16 << 20 };

// The whole file into text. What the user can mend is a problem, and text stays NULL.
static titan_status read_text(const char *path, titan_text *text, titan_problems *problems) {
  FILE *file = fopen(path, "rb");
  if (file == NULL)
    return titan_problems_add(problems, "%s: cannot read this configuration file: %s", path, strerror(errno));
  int failure;
  titan_status status = titan_text_append_stream(text, file, LARGEST_FILE, &failure);
  fclose(file);
  const char *reason = NULL;
  if (failure != 0)
    reason = strerror(failure);
  else if (status == TITAN_OK && text->length > LARGEST_FILE)
    reason = "it is larger than 16 MiB";
  else if (status == TITAN_OK && memchr(text->data, '\0', text->length) != NULL)
    reason = "it is not a text file";
  if (reason == NULL)
    return status;
  titan_text_destroy(text);
  return titan_problems_add(problems, "%s: cannot read this configuration file: %s", path, reason);
}

// A problem whose text ends with an advice, which is freed.
static titan_status report(titan_file_reader *reader, const titan_file_item *item, const char *name, const char *what,
                           titan_status advised, titan_text *advice) {
  if (advised == TITAN_OK)
    advised = titan_problems_add(reader->problems, "%s:%" PRId64 ": %s: %s; %s", reader->path, item->line, name, what,
                                 advice->data);
  titan_text_destroy(advice);
  return advised;
}

// A name outside of all sections: a section written as a plain value, or a key without its section.
static titan_status take_outside(titan_file_reader *reader, const titan_file_item *item) {
  titan_text advice = {0};
  if (titan_option_section_exists(item->key))
    return titan_problems_add(reader->problems, "%s:%" PRId64 ": %s: expected a section with options, got a value",
                              reader->path, item->line, item->key);
  return report(reader, item, item->key, "expected inside a section",
                titan_option_advise(item->key, "the nearest known key is ", &advice), &advice);
}

static titan_status take_inside(titan_file_reader *reader, const titan_file_item *item) {
  char name[TITAN_CONFIG_NAME_BYTES], origin[1024];
  titan_text advice = {0};
  bool known = false;
  snprintf(name, sizeof name, "%s.%s", item->section, item->key);
  snprintf(origin, sizeof origin, "%s:%" PRId64, reader->path, item->line);
  if (strcmp(name, titan_options[TITAN_OPTION_job_config_file].name) == 0)
    return titan_problems_add(reader->problems,
                              "%s: %s: a configuration file cannot name another one; give it on the command line",
                              origin, name);
  titan_option_place place = {.source = TITAN_SOURCE_FILE, .origin = origin, .file = reader->number};
  TITAN_TRY(titan_name_assign(reader->config, name, item->value, &place, reader->problems, &known));
  return known ? TITAN_OK
               : report(reader, item, name, "unknown key",
                        titan_option_advise(name, "the nearest known key is ", &advice), &advice);
}

static titan_status take(titan_file_reader *reader, const titan_file_item *item) {
  titan_text advice = {0};
  if (item->section == NULL)
    return take_outside(reader, item);
  if (titan_option_section_exists(item->section))
    return item->key == NULL ? TITAN_OK : take_inside(reader, item);
  if (item->key != NULL)
    return TITAN_OK; // the section itself has been reported
  return report(reader, item, item->section, "unknown section", titan_option_advise_section(item->section, &advice),
                &advice);
}

bool titan_file_reader_visit(void *reader, const titan_file_item *item) {
  titan_file_reader *self = reader;
  self->status = take(self, item);
  return self->status == TITAN_OK;
}

static titan_status read_toml(titan_file_reader *reader, const titan_text *text) {
  titan_toml_error error = {0};
  if (titan_toml_visit(text->data, text->length, titan_file_reader_visit, reader, &error))
    return reader->status;
  bool is_word = strstr(error.message, "could not determine value type") != NULL;
  return titan_problems_add(reader->problems, "%s:%" PRId64 ": not valid TOML: %s%s", reader->path, error.line,
                            error.message, is_word ? " (a string needs quotes)" : "");
}

titan_status titan_config_read_file(titan_config *config, const char *path, int number, titan_problems *problems) {
  const char *extension = strrchr(path, '.');
  bool is_toml = extension != NULL && strcasecmp(extension, ".toml") == 0;
  bool is_cfg = extension != NULL && strcasecmp(extension, ".cfg") == 0;
  if (!is_toml && !is_cfg)
    return titan_problems_add(
        problems, "%s: expected a configuration file whose name ends in .toml (TOML) or .cfg (libconfig)", path);
  titan_text text = {0};
  titan_status status = TITAN_OK;
  TITAN_TRY_CLEANUP(read_text(path, &text, problems));
  if (text.data != NULL) {
    titan_file_reader reader = {
        .config = config, .path = path, .number = number, .problems = problems, .status = TITAN_OK};
    TITAN_TRY_CLEANUP(is_toml ? read_toml(&reader, &text) : titan_config_read_cfg(&reader, &text));
  }
cleanup:
  titan_text_destroy(&text);
  return status;
}
