// SPDX-License-Identifier: Apache-2.0
#include "report/differences.h"

#include "base/memory.h"
#include "config/config.h"

#include <string.h>

enum { NAME_BYTES = TITAN_CONFIG_NAME_BYTES };

typedef struct comparison {
  const titan_run *runs;
  size_t count;
  titan_text *owned;   // [count]: values of the option at hand
  const char **values; // [count]
  titan_difference_visit *visit;
  void *context;
} comparison;

static bool differ(const comparison *c) {
  const char *first = NULL;
  bool found = false, absent = false;
  for (size_t i = 0; i < c->count; i++) {
    if (c->values[i] == NULL) {
      absent |= c->runs[i].texts[TITAN_RUN_configuration].data != NULL;
      continue;
    }
    if (found && strcmp(first, c->values[i]) != 0)
      return true;
    first = c->values[i];
    found = true;
  }
  return found && absent;
}

static titan_status visit_texts(comparison *c) {
  static const titan_run_text texts[] = {TITAN_RUN_version, TITAN_RUN_commit, TITAN_RUN_hosts, TITAN_RUN_ranks,
                                         TITAN_RUN_job};
  for (size_t t = 0; t < sizeof texts / sizeof *texts; t++) {
    for (size_t i = 0; i < c->count; i++)
      c->values[i] = c->runs[i].texts[texts[t]].data;
    if (differ(c))
      TITAN_TRY(c->visit(c->context, titan_run_text_names[texts[t]], c->values));
  }
  return TITAN_OK;
}

// The option of the line "key = value" or "# key = value" in a section; false where the line is another.
static bool read_name(const char *section, size_t section_length, const char *line, char *name, size_t size) {
  const char *key = strncmp(line, "# ", 2) == 0 ? line + 2 : line;
  size_t length = strspn(key, "abcdefghijklmnopqrstuvwxyz_0123456789");
  if (section_length == 0 || length == 0 || strncmp(key + length, " = ", 3) != 0)
    return false;
  return snprintf(name, size, "%.*s.%.*s", (int)section_length, section, (int)length, key) < (int)size;
}

// Whether a run before `index` has the option, so that it has been visited.
static titan_status was_visited(const comparison *c, size_t index, const char *name, bool *visited) {
  *visited = false;
  for (size_t i = 0; i < index && !*visited; i++) {
    titan_text value = {0};
    titan_status status = TITAN_OK;
    if (c->runs[i].texts[TITAN_RUN_configuration].data != NULL)
      status = titan_config_saved_value(c->runs[i].texts[TITAN_RUN_configuration].data, name, &value, visited);
    titan_text_destroy(&value);
    TITAN_TRY(status);
  }
  return TITAN_OK;
}

static titan_status visit_option(comparison *c, const char *name) {
  titan_status status = TITAN_OK;
  for (size_t i = 0; i < c->count; i++) {
    const char *toml = c->runs[i].texts[TITAN_RUN_configuration].data;
    bool found = false;
    titan_text_destroy(&c->owned[i]);
    if (toml != NULL)
      TITAN_TRY(titan_config_saved_value(toml, name, &c->owned[i], &found));
    c->values[i] = found ? c->owned[i].data : NULL;
  }
  if (differ(c))
    status = c->visit(c->context, name, c->values);
  return status;
}

// Paths of a run's own that every run has another of.
static bool only_names_the_run(const char *name) {
  return strcmp(name, "job.dump_folder") == 0 || strcmp(name, "job.config_file") == 0;
}

// The options that this run has and none before it.
static titan_status visit_options_of(comparison *c, size_t index) {
  const char *section = NULL, *line = c->runs[index].texts[TITAN_RUN_configuration].data;
  size_t section_length = 0;
  for (; line != NULL && *line != '\0'; line += strcspn(line, "\n"), line += *line == '\n') {
    char name[NAME_BYTES];
    bool visited;
    if (*line == '[') {
      section = line + 1;
      section_length = strcspn(section, "]\n");
      continue;
    }
    if (!read_name(section, section_length, line, name, sizeof name) || only_names_the_run(name))
      continue;
    TITAN_TRY(was_visited(c, index, name, &visited));
    if (!visited)
      TITAN_TRY(visit_option(c, name));
  }
  return TITAN_OK;
}

titan_status titan_differences(const titan_run *runs, size_t count, titan_difference_visit *visit, void *context) {
  comparison c = {.runs = runs, .count = count, .visit = visit, .context = context};
  titan_status status = TITAN_OK;
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, count, sizeof *c.owned, &c.owned));
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, count, sizeof *c.values, &c.values));
  TITAN_TRY_CLEANUP(visit_texts(&c));
  for (size_t i = 0; i < count; i++)
    TITAN_TRY_CLEANUP(visit_options_of(&c, i));
cleanup:
  for (size_t i = 0; c.owned != NULL && i < count; i++)
    titan_text_destroy(&c.owned[i]);
  titan_memory_free(c.owned);
  titan_memory_free(c.values);
  return status;
}
