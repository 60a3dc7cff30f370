#include "config/config.h"

#include "base/memory.h"
#include "config/option.h"

#include <string.h>

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

titan_status titan_config_create(int argc, const char *const *argv, titan_config **config) {
  *config = NULL;
  titan_problems problems = {0};
  titan_config *created = NULL;
  titan_status status = TITAN_OK;
  TITAN_TRY_CLEANUP(titan_config_create_default(&created));
  created->request = titan_config_find_request(argc, argv);
  if (created->request == TITAN_REQUEST_RUN) {
    const char *path = titan_config_find_file(argc, argv);
    if (path != NULL)
      TITAN_TRY_CLEANUP(titan_config_read_file(created, path, &problems));
    TITAN_TRY_CLEANUP(titan_config_read_arguments(created, argc, argv, &problems));
    TITAN_TRY_CLEANUP(titan_problems_status(&problems));
  }
  *config = created;
  created = NULL;
cleanup:
  titan_config_destroy(&created);
  titan_problems_destroy(&problems);
  return status;
}

titan_status titan_config_set(titan_config *config, const char *name, const char *text) {
  bool negated;
  int index = titan_option_find(name, &negated);
  if (index < 0)
    return titan_error(TITAN_ERROR_USAGE, "%s: unknown option; the nearest known one is %s", name,
                       titan_option_nearest(name));
  titan_problems problems = {0};
  titan_status status = TITAN_OK;
  titan_option_place place = {.source = TITAN_SOURCE_PROGRAM, .origin = "program"};
  titan_value value = {.kind = TITAN_VALUE_WORD, .string = text};
  TITAN_TRY_CLEANUP(titan_option_assign(config, index, negated, value, &place, &problems));
  TITAN_TRY_CLEANUP(titan_problems_status(&problems));
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
