// SPDX-License-Identifier: Apache-2.0
#include "config/config.h"

#include "base/memory.h"
#include "config/path.h"
#include "config/spelling.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

titan_status titan_config_create_default(titan_config **config) {
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_CONFIG, sizeof **config, config));
  **config = titan_config_defaults;
  return TITAN_OK;
}

void titan_config_destroy(titan_config **config) {
  if (*config == NULL)
    return;
  for (int i = 0; i < TITAN_OPTION_COUNT; i++) {
    titan_memory_free((*config)->entries[i].origin);
    titan_memory_free((*config)->entries[i].owned);
  }
  titan_memory_free(*config);
  *config = NULL;
}

// The files of "a.toml,b.toml", each over those before it. A text that names a file as it stands is one file.
static titan_status read_files(titan_config *config, char *paths, titan_problems *problems) {
  if (access(paths, F_OK) == 0)
    return titan_config_read_file(config, paths, 0, problems);
  char *rest = paths;
  for (int number = 0; rest != NULL; number++) {
    char *path = strsep(&rest, ",");
    TITAN_TRY(*path != '\0' ? titan_config_read_file(config, path, number, problems)
                            : titan_problems_add(problems, "command line: job.config_file: a name between commas is "
                                                           "empty"));
  }
  return TITAN_OK;
}

// A "~" or "${NAME}" that cannot be replaced is reported when the command line's own options are taken.
static titan_status read_all(titan_config *config, int argc, const char *const *argv, titan_problems *problems) {
  const char *paths = titan_config_find_files(argc, argv);
  titan_text expanded = {0}, problem = {0};
  titan_status status = TITAN_OK;
  if (paths != NULL) {
    TITAN_TRY_CLEANUP(titan_path_expand_list(paths, &expanded, &problem));
    if (problem.length == 0)
      TITAN_TRY_CLEANUP(read_files(config, expanded.data, problems));
  }
  TITAN_TRY_CLEANUP(titan_config_read_arguments(config, argc, argv, problems));
  TITAN_TRY_CLEANUP(titan_problems_status(problems));
cleanup:
  titan_text_destroy(&expanded);
  titan_text_destroy(&problem);
  return status;
}

titan_status titan_config_create(int argc, const char *const *argv, titan_config **config) {
  *config = NULL;
  titan_problems problems = {0};
  titan_config *created = NULL;
  const char *topic;
  titan_status status = TITAN_OK;
  TITAN_TRY_CLEANUP(titan_config_create_default(&created));
  created->request = titan_config_find_request(argc, argv, &topic);
  snprintf(created->help_topic, sizeof created->help_topic, "%s", topic != NULL ? topic : "");
  if (created->request == TITAN_REQUEST_RUN || created->request == TITAN_REQUEST_CHECK)
    TITAN_TRY_CLEANUP(read_all(created, argc, argv, &problems));
  *config = created;
  created = NULL;
cleanup:
  titan_config_destroy(&created);
  titan_problems_destroy(&problems);
  return status;
}

// A name that is no option's.
static titan_status unknown(const char *name) {
  titan_text advice = {0};
  titan_status status = titan_option_advise(name, "the nearest known one is ", &advice);
  if (status == TITAN_OK)
    status = titan_error(TITAN_ERROR_USAGE, "%s: unknown option; %s", name, advice.data);
  titan_text_destroy(&advice);
  return status;
}

titan_status titan_config_set(titan_config *config, const char *name, const char *text) {
  titan_problems problems = {0};
  titan_status status = TITAN_OK;
  bool known = false;
  titan_option_place place = {.source = TITAN_SOURCE_PROGRAM, .origin = "program"};
  titan_value value = {.kind = TITAN_VALUE_WORD, .string = text};
  TITAN_TRY_CLEANUP(titan_name_assign(config, name, value, &place, &problems, &known));
  TITAN_TRY_CLEANUP(known ? titan_problems_status(&problems) : unknown(name));
cleanup:
  titan_problems_destroy(&problems);
  return status;
}

static const titan_config_entry *find_entry(const titan_config *config, const char *name) {
  bool negated;
  int index = titan_option_find(name, &negated);
  return index < 0 ? NULL : &config->entries[index];
}

bool titan_config_is_set(const titan_config *config, const char *name) {
  const titan_config_entry *entry = find_entry(config, name);
  return entry != NULL && entry->source != TITAN_SOURCE_DEFAULT;
}

const char *titan_config_origin(const titan_config *config, const char *name) {
  const titan_config_entry *entry = find_entry(config, name);
  return entry != NULL && entry->origin != NULL ? entry->origin : "default";
}
