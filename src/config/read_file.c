#include "config/option.h"
#include "config/toml_shim.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { BLOCK_BYTES = 65536, LARGEST_FILE = 16 << 20 };

// The whole file into text. What the user can mend is a problem, and text stays NULL.
static titan_status read_text(const char *path, titan_text *text, titan_problems *problems) {
  FILE *file = fopen(path, "rb");
  if (file == NULL)
    return titan_problems_add(problems, "%s: cannot read this configuration file: %s", path, strerror(errno));
  char block[BLOCK_BYTES];
  size_t count = 1;
  titan_status status = TITAN_OK;
  while (status == TITAN_OK && count > 0 && text->length <= LARGEST_FILE) {
    count = fread(block, 1, sizeof block, file);
    status = titan_text_append(text, block, count);
  }
  int failure = ferror(file) ? errno : 0;
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

static titan_status take(titan_file_reader *reader, const titan_file_item *item) {
  titan_problems *problems = reader->problems;
  const char *path = reader->path;
  if (item->section == NULL) {
    // A name outside of all sections: a section written as a plain value, or a key without its section.
    if (titan_option_section_exists(item->key))
      return titan_problems_add(problems, "%s:%" PRId64 ": %s: expected a section with options, got a value", path,
                                item->line, item->key);
    return titan_problems_add(problems, "%s:%" PRId64 ": %s: expected inside a section; the nearest known key is %s",
                              path, item->line, item->key, titan_option_nearest(item->key));
  }
  if (!titan_option_section_exists(item->section)) {
    if (item->key != NULL)
      return TITAN_OK; // the section itself has been reported
    return titan_problems_add(problems, "%s:%" PRId64 ": %s: unknown section; the nearest known section is %s", path,
                              item->line, item->section, titan_option_nearest_section(item->section));
  }
  if (item->key == NULL)
    return TITAN_OK;
  char name[128], origin[1024];
  snprintf(name, sizeof name, "%s.%s", item->section, item->key);
  snprintf(origin, sizeof origin, "%s:%" PRId64, path, item->line);
  bool negated;
  int index = titan_option_find(name, &negated);
  if (index < 0)
    return titan_problems_add(problems, "%s: %s: unknown key; the nearest known key is %s", origin, name,
                              titan_option_nearest(name));
  if (index == TITAN_OPTION_job_config_file)
    return titan_problems_add(
        problems, "%s: %s: a configuration file cannot name another one; give it on the command line", origin, name);
  titan_option_place place = {.source = TITAN_SOURCE_FILE, .origin = origin};
  return titan_option_assign(reader->config, index, negated, item->value, &place, problems);
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
  return titan_problems_add(reader->problems, "%s:%" PRId64 ": not valid TOML: %s", reader->path, error.line,
                            error.message);
}

titan_status titan_config_read_file(titan_config *config, const char *path, titan_problems *problems) {
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
    titan_file_reader reader = {.config = config, .path = path, .problems = problems, .status = TITAN_OK};
    TITAN_TRY_CLEANUP(is_toml ? read_toml(&reader, &text) : titan_config_read_cfg(&reader, &text));
  }
cleanup:
  titan_text_destroy(&text);
  return status;
}
