// SPDX-License-Identifier: Apache-2.0
#include "report/run.h"

#include "base/memory.h"
#include "storage/lock.h"
#include "storage/path.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_TEXT_BYTES = 1 << 24, MOST_NAMED = 5 };

static const char METRICS[] = "metrics.h5";

static bool ends_with(const char *text, const char *end) {
  size_t a = strlen(text), b = strlen(end);
  return a >= b && strcmp(text + a - b, end) == 0;
}

static bool is_file(const char *path) {
  struct stat facts;
  return stat(path, &facts) == 0 && !S_ISDIR(facts.st_mode);
}

// --- which file ---

// "a, b": folders right below that have metrics.
static titan_status list_runs_below(const char *folder, titan_text *list) {
  DIR *open = opendir(folder);
  int found = 0;
  titan_status status = TITAN_OK;
  for (struct dirent *entry; status == TITAN_OK && open != NULL && (entry = readdir(open)) != NULL;) {
    titan_text below = {0}, path = {0};
    if (entry->d_name[0] == '.')
      continue;
    status = titan_path_join(&below, folder, entry->d_name);
    if (status == TITAN_OK)
      status = titan_path_join(&path, below.data, METRICS);
    if (status == TITAN_OK && is_file(path.data) && ++found <= MOST_NAMED)
      status = titan_text_printf(list, "%s%s", found > 1 ? ", " : "", below.data);
    titan_text_destroy(&below);
    titan_text_destroy(&path);
  }
  if (open != NULL)
    closedir(open);
  if (status == TITAN_OK && found > MOST_NAMED)
    status = titan_text_printf(list, " and %d more", found - MOST_NAMED);
  return status;
}

static titan_status no_run(const char *folder) {
  titan_text list = {0};
  titan_status status = list_runs_below(folder, &list);
  if (status == TITAN_OK && list.data != NULL)
    status = titan_error(TITAN_ERROR_USAGE, "the folder %s has no metrics.h5; runs below it: %s", folder, list.data);
  else if (status == TITAN_OK)
    status =
        titan_error(TITAN_ERROR_USAGE,
                    "the folder %s has no metrics.h5; expected the dump folder of a run (job.dump_folder)", folder);
  titan_text_destroy(&list);
  return status;
}

// Name, path and folder of the run.
static titan_status find(const char *argument, titan_run *run) {
  struct stat facts;
  if (stat(argument, &facts) != 0)
    return titan_error(TITAN_ERROR_USAGE, "cannot read the run %s: %s", argument, strerror(errno));
  TITAN_TRY(titan_memory_duplicate(TITAN_MEMORY_GENERAL, argument, &run->name));
  size_t length = strlen(run->name);
  while (length > 1 && run->name[length - 1] == '/')
    run->name[--length] = '\0';
  if (S_ISDIR(facts.st_mode)) {
    TITAN_TRY(titan_text_printf(&run->folder, "%s", run->name));
    TITAN_TRY(titan_path_join(&run->path, run->name, METRICS));
    return is_file(run->path.data) ? TITAN_OK : no_run(run->name);
  }
  const char *slash = strrchr(run->name, '/');
  TITAN_TRY(titan_text_printf(&run->path, "%s", argument));
  TITAN_TRY(titan_text_printf(&run->folder, "%.*s", slash != NULL ? (int)(slash - run->name) : 1,
                              slash != NULL ? run->name : "."));
  if (slash != NULL && slash > run->name && strcmp(slash + 1, METRICS) == 0)
    run->name[slash - run->name] = '\0';
  return TITAN_OK;
}

// --- the files beside the metrics ---

// "configuration.1.toml" for "metrics.1.h5", of names that titan_set_aside gives; false for a name of another form.
static bool name_beside(const char *metrics, const char *stem, const char *end, char *name, size_t size) {
  const char *file = strrchr(metrics, '/');
  file = file != NULL ? file + 1 : metrics;
  if (strncmp(file, "metrics.", 8) != 0 || !ends_with(file, "h5"))
    return false;
  int middle = (int)strlen(file) - 8 - 2;
  return snprintf(name, size, "%s.%.*s%s", stem, middle, file + 8, end) < (int)size;
}

// The text of a file beside the metrics; *there: it could be read.
static titan_status read_beside(const titan_run *run, const char *stem, const char *end, titan_text *text,
                                bool *there) {
  char name[256];
  titan_text path = {0};
  *there = false;
  if (!name_beside(run->path.data, stem, end, name, sizeof name))
    return TITAN_OK;
  titan_status status = titan_path_join(&path, run->folder.data, name);
  FILE *file = status == TITAN_OK && is_file(path.data) ? fopen(path.data, "r") : NULL;
  if (file != NULL) {
    int failure = 0;
    status = titan_text_append_stream(text, file, MOST_TEXT_BYTES, &failure);
    *there = status == TITAN_OK && failure == 0 && text->length <= MOST_TEXT_BYTES;
    fclose(file);
  }
  titan_text_destroy(&path);
  return status;
}

// "started <date> with" of the comment that configuration.toml begins with.
static titan_status date_of_configuration(const char *toml, titan_text *date) {
  static const char before[] = ", started ";
  const char *at = strstr(toml, before);
  if (at == NULL || at > toml + strcspn(toml, "\n"))
    return TITAN_OK;
  at += strlen(before);
  return titan_text_append(date, at, strcspn(at, " \n"));
}

static titan_status read_configuration(titan_run *run) {
  titan_text text = {0};
  bool there;
  titan_status status = read_beside(run, "configuration", "toml", &text, &there);
  if (status == TITAN_OK && there)
    status = titan_text_append_utf8(&run->texts[TITAN_RUN_configuration], text.data);
  if (status == TITAN_OK && there && run->texts[TITAN_RUN_date].data == NULL)
    status = date_of_configuration(text.data, &run->texts[TITAN_RUN_date]);
  titan_text_destroy(&text);
  return status;
}

static void say(void (*warn)(const char *), const titan_run *run, const char *what) {
  titan_text line = {0};
  if (titan_text_printf(&line, "%s: %s", run->name, what) == TITAN_OK)
    warn(line.data);
  titan_text_destroy(&line);
}

// The summary of an earlier start stays in the folder until a later one ends: it does not count.
static titan_status read_summary(titan_run *run, void (*warn)(const char *)) {
  titan_text text = {0};
  bool there;
  titan_status status = read_beside(run, "summary", "json", &text, &there);
  if (status == TITAN_OK && there) {
    json_error_t error;
    json_t *summary = json_loadb(text.data, text.length, 0, &error);
    const char *date = json_string_value(json_object_get(summary, "date")), *begun = run->texts[TITAN_RUN_date].data;
    if (!json_is_object(summary))
      say(warn, run, "its summary.json is damaged and left out");
    else if (date != NULL && begun != NULL && strcmp(date, begun) == 0)
      run->summary = json_incref(summary);
    json_decref(summary);
  }
  titan_text_destroy(&text);
  return status;
}

// --- all of it ---

titan_status titan_run_read(const char *argument, void (*warn)(const char *line), titan_run *run) {
  *run = (titan_run){0};
  TITAN_TRY(find(argument, run));
  titan_status status = titan_metrics_record_read(run->path.data, run->rows);
  if (status == TITAN_ERROR_OUTPUT) {
    titan_kept_error why;
    titan_error_keep(&why);
    return titan_error(TITAN_ERROR_DATA, "%s", why.message);
  }
  TITAN_TRY(status);
  if (!titan_run_read_texts(run->path.data, run->texts))
    say(warn, run, "the attributes of metrics.h5 cannot be read; its rows can");
  if (run->texts[TITAN_RUN_configuration].data == NULL)
    TITAN_TRY(read_configuration(run));
  return read_summary(run, warn);
}

void titan_run_destroy(titan_run *run) {
  titan_memory_free(run->name);
  titan_text_destroy(&run->path);
  titan_text_destroy(&run->folder);
  for (int i = 0; i < TITAN_RUN_TEXTS; i++)
    titan_text_destroy(&run->texts[i]);
  titan_metrics_rows_destroy(run->rows);
  json_decref(run->summary);
  *run = (titan_run){0};
}

const titan_metrics_row *titan_run_rows(const titan_run *run, uint64_t *count) {
  *count = run->rows[TITAN_METRICS_TRAINING].count;
  return (const titan_metrics_row *)run->rows[TITAN_METRICS_TRAINING].values;
}

const titan_metrics_validation_row *titan_run_validations(const titan_run *run, uint64_t *count) {
  *count = run->rows[TITAN_METRICS_VALIDATION].count;
  return (const titan_metrics_validation_row *)run->rows[TITAN_METRICS_VALIDATION].values;
}

// A lock may not reach other hosts: it tells something of a run on this one alone.
static bool is_gone(const titan_run *run) {
  char host[256] = "";
  return run->texts[TITAN_RUN_hosts].data != NULL && gethostname(host, sizeof host - 1) == 0 &&
         strcmp(host, run->texts[TITAN_RUN_hosts].data) == 0 && titan_lock_is_free(run->folder.data, ".lock");
}

const char *titan_run_outcome(const titan_run *run) {
  const char *outcome = json_string_value(json_object_get(run->summary, "outcome"));
  return outcome != NULL ? outcome : is_gone(run) ? "ended without a summary" : "no summary yet";
}
