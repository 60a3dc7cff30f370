// SPDX-License-Identifier: Apache-2.0
#include "data/corpus.h"

#include "base/memory.h"
#include "data/assets.h"
#include "data/corpus_index.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct corpus_file {
  char *path;
  int64_t size;
  bool has_index;
} corpus_file;

struct titan_corpus {
  const char *section; // of its options
  bool has_path;
  char *name;
  size_t root_length; // bytes of each path before the name that is its own in the corpus
  corpus_file *files;
  int64_t count, capacity;
};

const char *titan_corpus_option(const titan_corpus *corpus) {
  bool training = strcmp(corpus->section, "training") == 0;
  if (corpus->has_path)
    return training ? "training.dataset_path" : "validation.dataset_path";
  return training ? "training.dataset" : "validation.dataset";
}

static titan_status add_file(titan_corpus *corpus, const char *path) {
  if (corpus->count == corpus->capacity) {
    int64_t capacity = corpus->capacity == 0 ? 16 : 2 * corpus->capacity;
    TITAN_TRY(titan_memory_resize(TITAN_MEMORY_DATA, (size_t)capacity * sizeof *corpus->files, &corpus->files));
    corpus->capacity = capacity;
  }
  TITAN_TRY(titan_memory_duplicate(TITAN_MEMORY_DATA, path, &corpus->files[corpus->count].path));
  corpus->files[corpus->count].size = 0;
  corpus->files[corpus->count++].has_index = false;
  return TITAN_OK;
}

static bool is_corpus_name(const char *name) {
  static const char *const endings[] = {".json", ".jsonl", ".json.gz", ".jsonl.gz"};
  size_t length = strlen(name);
  for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
    size_t tail = strlen(endings[i]);
    if (length > tail && name[0] != '.' && strcmp(name + length - tail, endings[i]) == 0)
      return true;
  }
  return false;
}

static int compare_paths(const void *a, const void *b) {
  const corpus_file *x = a, *y = b;
  return strcmp(x->path, y->path);
}

static titan_status add_folder(titan_corpus *corpus, const char *path) {
  DIR *folder = opendir(path);
  if (folder == NULL)
    return titan_error(TITAN_ERROR_USAGE, "%s: cannot read the folder %s: %s", titan_corpus_option(corpus), path,
                       strerror(errno));
  titan_text file = {0};
  titan_status status = TITAN_OK;
  corpus->root_length = strlen(path) + 1;
  for (struct dirent *entry; (errno = 0, entry = readdir(folder)) != NULL;) {
    struct stat facts;
    if (!is_corpus_name(entry->d_name))
      continue;
    file.length = 0;
    TITAN_TRY_CLEANUP(titan_text_printf(&file, "%s/%s", path, entry->d_name));
    if (stat(file.data, &facts) == 0 && S_ISDIR(facts.st_mode))
      continue;
    TITAN_TRY_CLEANUP(add_file(corpus, file.data));
  }
  if (errno != 0) // else the end of the folder
    status = titan_error(TITAN_ERROR_USAGE, "%s: cannot read the folder %s: %s", titan_corpus_option(corpus), path,
                         strerror(errno));
  else if (corpus->count == 0)
    status = titan_error(TITAN_ERROR_DATA, "%s: the folder %s holds no file *.json, *.jsonl, *.json.gz or *.jsonl.gz",
                         titan_corpus_option(corpus), path);
  else
    qsort(corpus->files, (size_t)corpus->count, sizeof *corpus->files, compare_paths);
cleanup:
  titan_text_destroy(&file);
  closedir(folder);
  return status;
}

static titan_status add_path(titan_corpus *corpus, const char *path) {
  struct stat facts;
  if (stat(path, &facts) != 0)
    return titan_error(TITAN_ERROR_USAGE, "%s: %s: %s", titan_corpus_option(corpus), path, strerror(errno));
  if (S_ISDIR(facts.st_mode))
    return add_folder(corpus, path);
  corpus->root_length = strlen(path);
  return add_file(corpus, path);
}

static titan_status find_index(corpus_file *file) {
  titan_text path = {0};
  titan_status status = titan_text_printf(&path, "%s%s", file->path, TITAN_CORPUS_INDEX_ENDING);
  file->has_index = status == TITAN_OK && access(path.data, F_OK) == 0;
  titan_text_destroy(&path);
  return status;
}

// Every file must be readable now, not after a day's training, and one must hold something.
static titan_status check_files(titan_corpus *corpus) {
  bool some = false;
  for (int64_t i = 0; i < corpus->count; i++) {
    corpus_file *file = &corpus->files[i];
    struct stat facts;
    if (access(file->path, R_OK) != 0 || stat(file->path, &facts) != 0)
      return titan_error(TITAN_ERROR_USAGE, "%s: cannot read the corpus file %s: %s", titan_corpus_option(corpus),
                         file->path, strerror(errno));
    if (!S_ISREG(facts.st_mode))
      return titan_error(TITAN_ERROR_USAGE,
                         "%s: the corpus file %s is a device or a pipe; expected a file, which every rank reads for "
                         "itself and more than once",
                         titan_corpus_option(corpus), file->path);
    file->size = facts.st_size;
    TITAN_TRY(find_index(file));
    some |= facts.st_size > 0;
  }
  if (!some)
    return titan_error(TITAN_ERROR_DATA, "%s: the corpus %s is empty", titan_corpus_option(corpus), corpus->name);
  return TITAN_OK;
}

static titan_status add_installed(titan_corpus *corpus, const char *dataset) {
  titan_text name = {0}, path = {0};
  titan_status status = titan_text_printf(&name, "%s.jsonl.gz", dataset);
  if (status == TITAN_OK)
    status = titan_assets_find(name.data, &path);
  if (status == TITAN_OK)
    status = add_file(corpus, path.data);
  corpus->root_length = path.length;
  titan_text_destroy(&name);
  titan_text_destroy(&path);
  return status;
}

static titan_status find_files(titan_corpus *corpus, const char *dataset, const char *dataset_path) {
  bool installed = strcmp(dataset, "c4_test") == 0 || strcmp(dataset, "c4_mini") == 0;
  bool has_path = dataset_path != NULL && dataset_path[0] != '\0';
  corpus->has_path = has_path;
  if (!installed && strcmp(dataset, "c4") != 0 && strcmp(dataset, "c4_validation") != 0)
    return titan_error(TITAN_ERROR_USAGE,
                       "%s.dataset: '%s' is unknown; there are c4_test and c4_mini (installed with the program) and c4 "
                       "and c4_validation (files named by %s.dataset_path)",
                       corpus->section, dataset, corpus->section);
  if (!installed && !has_path)
    return titan_error(TITAN_ERROR_USAGE,
                       "%s.dataset %s needs %s.dataset_path: a file of JSON lines, or a folder of them (c4_test and "
                       "c4_mini need none)",
                       corpus->section, dataset, corpus->section);
  TITAN_TRY(titan_memory_duplicate(TITAN_MEMORY_DATA, has_path ? dataset_path : dataset, &corpus->name));
  return has_path ? add_path(corpus, dataset_path) : add_installed(corpus, dataset);
}

titan_status titan_corpus_create(const char *dataset, const char *dataset_path, titan_corpus **out) {
  return titan_corpus_create_for("training", dataset, dataset_path, out);
}

titan_status titan_corpus_create_for(const char *section, const char *dataset, const char *dataset_path,
                                     titan_corpus **out) {
  titan_corpus *corpus;
  titan_status status;
  *out = NULL;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_DATA, 1, sizeof *corpus, &corpus));
  corpus->section = section;
  TITAN_TRY_CLEANUP(find_files(corpus, dataset, dataset_path));
  TITAN_TRY_CLEANUP(check_files(corpus));
  *out = corpus;
  return TITAN_OK;
cleanup:
  titan_corpus_destroy(&corpus);
  return status;
}

void titan_corpus_destroy(titan_corpus **corpus) {
  if (*corpus == NULL)
    return;
  for (int64_t i = 0; i < (*corpus)->count; i++)
    titan_memory_free((*corpus)->files[i].path);
  titan_memory_free((*corpus)->files);
  titan_memory_free((*corpus)->name);
  titan_memory_free(*corpus);
  *corpus = NULL;
}

const char *titan_corpus_name(const titan_corpus *corpus) {
  return corpus->name;
}

int64_t titan_corpus_file_count(const titan_corpus *corpus) {
  return corpus->count;
}

const char *titan_corpus_file(const titan_corpus *corpus, int64_t file) {
  return corpus->files[file].path;
}

int64_t titan_corpus_file_size(const titan_corpus *corpus, int64_t file) {
  return corpus->files[file].size;
}

bool titan_corpus_file_has_index(const titan_corpus *corpus, int64_t file) {
  return corpus->files[file].has_index;
}

// --- lists: of each file its size, a blank, "i" (it has an index) or "-", its name below the folder, a NUL ---

titan_status titan_corpus_list(const titan_corpus *corpus, titan_text *list) {
  for (int64_t i = 0; i < corpus->count; i++) {
    const corpus_file *file = &corpus->files[i];
    TITAN_TRY(titan_text_printf(list, "%" PRId64 " %c%s", file->size, file->has_index ? 'i' : '-',
                                file->path + corpus->root_length));
    TITAN_TRY(titan_text_append(list, "", 1));
  }
  return TITAN_OK;
}

static titan_status take_list(titan_corpus *corpus, const char *dataset_path, const titan_text *list) {
  titan_text path = {0};
  titan_status status = TITAN_OK;
  for (const char *at = list->data, *end = at + list->length; at < end; at += strlen(at) + 1) {
    char *name;
    int64_t size = strtoll(at, &name, 10);
    path.length = 0;
    bool has_index = *++name == 'i'; // behind the blank
    name++;
    TITAN_TRY_CLEANUP(titan_text_printf(&path, "%s%s%s", dataset_path, *name != '\0' ? "/" : "", name));
    TITAN_TRY_CLEANUP(add_file(corpus, path.data));
    corpus->files[corpus->count - 1].size = size;
    corpus->files[corpus->count - 1].has_index = has_index;
  }
cleanup:
  titan_text_destroy(&path);
  return status;
}

titan_status titan_corpus_create_from_list(const char *section, const char *dataset, const char *dataset_path,
                                           const titan_text *list, titan_corpus **out) {
  titan_corpus *corpus;
  titan_status status;
  bool has_path = dataset_path != NULL && dataset_path[0] != '\0';
  *out = NULL;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_DATA, 1, sizeof *corpus, &corpus));
  corpus->section = section;
  corpus->has_path = has_path;
  TITAN_TRY_CLEANUP(titan_memory_duplicate(TITAN_MEMORY_DATA, has_path ? dataset_path : dataset, &corpus->name));
  TITAN_TRY_CLEANUP(has_path ? take_list(corpus, dataset_path, list) : add_installed(corpus, dataset));
  *out = corpus;
  return TITAN_OK;
cleanup:
  titan_corpus_destroy(&corpus);
  return status;
}
