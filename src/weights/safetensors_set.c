// SPDX-License-Identifier: Apache-2.0
#include "weights/safetensors_set.h"

#include "base/memory.h"
#include "weights/json_file.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char index_name[] = "model.safetensors.index.json", ending[] = ".safetensors";

static bool ends_with(const char *text, const char *end) {
  size_t length = strlen(text), tail = strlen(end);
  return length >= tail && strcmp(text + length - tail, end) == 0;
}

static int by_name(const void *a, const void *b) {
  const struct titan_safetensors_place *left = a, *right = b;
  return strcmp(left->tensor->name, right->tensor->name);
}

// Opens a file of the set's folder unless it is open; *index: its place in set->files.
static titan_status open_file(titan_safetensors_set *set, const char *name, int *index) {
  titan_text path = {0};
  titan_status status = TITAN_OK;
  TITAN_TRY_CLEANUP(titan_text_printf(&path, "%s%s", set->folder, name));
  for (*index = 0; *index < set->file_count; ++*index)
    if (strcmp(set->files[*index]->path, path.data) == 0)
      goto cleanup;
  TITAN_TRY_CLEANUP(
      titan_memory_resize(TITAN_MEMORY_GENERAL, (size_t)(set->file_count + 1) * sizeof *set->files, &set->files));
  TITAN_TRY_CLEANUP(titan_safetensors_open(path.data, &set->files[set->file_count]));
  set->file_count++;
cleanup:
  titan_text_destroy(&path);
  return status;
}

static titan_status take_file(titan_safetensors_set *set, const char *name) {
  int index;
  TITAN_TRY(open_file(set, name, &index));
  const titan_safetensors *file = set->files[index];
  TITAN_TRY(
      titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, (size_t)file->count, sizeof *set->tensors, &set->tensors));
  for (int i = 0; i < file->count; i++) {
    set->tensors[i].file = index;
    set->tensors[i].tensor = &file->tensors[i];
  }
  set->count = file->count;
  return TITAN_OK;
}

// --- an index: {"weight_map": {tensor: file, ...}} ---

static titan_status take_mapped(titan_safetensors_set *set, const char *index_path, json_t *map) {
  const char *tensor_name;
  json_t *value;
  TITAN_TRY(
      titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, json_object_size(map), sizeof *set->tensors, &set->tensors));
  json_object_foreach(map, tensor_name, value) {
    const char *file_name = json_string_value(value);
    struct titan_safetensors_place *place = &set->tensors[set->count];
    if (file_name == NULL || strchr(file_name, '/') != NULL)
      return titan_error(TITAN_ERROR_CHECKPOINT, "%s: tensor %.200s: expected the name of a file in the same folder",
                         index_path, tensor_name);
    TITAN_TRY(open_file(set, file_name, &place->file));
    place->tensor = titan_safetensors_find(set->files[place->file], tensor_name);
    if (place->tensor == NULL)
      return titan_error(TITAN_ERROR_CHECKPOINT, "%s: tensor %.200s is not in %s, where the index %s says it is",
                         set->path, tensor_name, file_name, index_path);
    set->count++;
  }
  return TITAN_OK;
}

static titan_status take_index(titan_safetensors_set *set, const char *name) {
  titan_text path = {0};
  titan_status status = TITAN_OK;
  json_t *root = NULL;
  TITAN_TRY_CLEANUP(titan_text_printf(&path, "%s%s", set->folder, name));
  TITAN_TRY_CLEANUP(titan_json_file_read(path.data, &root));
  json_t *map = json_object_get(root, "weight_map");
  if (!json_is_object(map))
    status = titan_error(TITAN_ERROR_CHECKPOINT, "%s: expected a JSON object with a \"weight_map\"", path.data);
  else
    status = take_mapped(set, path.data, map);
cleanup:
  json_decref(root);
  titan_text_destroy(&path);
  return status;
}

// --- a folder ---

static titan_status take_folder(titan_safetensors_set *set) {
  titan_text found = {0};
  int count = 0;
  bool has_index = false;
  titan_status status = TITAN_OK;
  DIR *folder = opendir(set->path);
  if (folder == NULL)
    return titan_error(TITAN_ERROR_CHECKPOINT, "cannot open the folder %s: %s", set->path, strerror(errno));
  for (const struct dirent *entry; (errno = 0, entry = readdir(folder)) != NULL;) {
    has_index |= strcmp(entry->d_name, index_name) == 0;
    if (!ends_with(entry->d_name, ending))
      continue;
    titan_text_destroy(&found);
    TITAN_TRY_CLEANUP(titan_text_printf(&found, "%s", entry->d_name));
    count++;
  }
  if (errno != 0) // else the end of the folder
    status = titan_error(TITAN_ERROR_CHECKPOINT, "cannot read the folder %s: %s", set->path, strerror(errno));
  else if (has_index)
    status = take_index(set, index_name);
  else if (count == 1)
    status = take_file(set, found.data);
  else
    status = titan_error(TITAN_ERROR_CHECKPOINT,
                         "the folder %s holds %d files *.safetensors and no %s; expected one file, or an index",
                         set->path, count, index_name);
cleanup:
  closedir(folder);
  titan_text_destroy(&found);
  return status;
}

titan_status titan_safetensors_set_open(const char *path, titan_safetensors_set **out) {
  titan_safetensors_set *set;
  titan_status status = TITAN_OK;
  titan_text folder = {0};
  struct stat properties;
  *out = NULL;
  if (stat(path, &properties) != 0)
    return titan_error(TITAN_ERROR_CHECKPOINT, "cannot open %s: %s", path, strerror(errno));
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, 1, sizeof *set, &set));
  TITAN_TRY_CLEANUP(titan_memory_duplicate(TITAN_MEMORY_GENERAL, path, &set->path));
  const char *slash = strrchr(path, '/');
  int head = S_ISDIR(properties.st_mode) ? (int)strlen(path) : slash != NULL ? (int)(slash - path) + 1 : 0;
  TITAN_TRY_CLEANUP(titan_text_printf(&folder, "%.*s%s", head, path,
                                      S_ISDIR(properties.st_mode) && !ends_with(path, "/") ? "/" : ""));
  TITAN_TRY_CLEANUP(titan_memory_duplicate(TITAN_MEMORY_GENERAL, folder.data, &set->folder));
  if (S_ISDIR(properties.st_mode))
    TITAN_TRY_CLEANUP(take_folder(set));
  else if (ends_with(path, ".json"))
    TITAN_TRY_CLEANUP(take_index(set, path + head));
  else
    TITAN_TRY_CLEANUP(take_file(set, path + head));
  qsort(set->tensors, (size_t)set->count, sizeof *set->tensors, by_name);
  *out = set;
  set = NULL;
cleanup:
  titan_text_destroy(&folder);
  titan_safetensors_set_close(&set);
  return status;
}

void titan_safetensors_set_close(titan_safetensors_set **inout) {
  titan_safetensors_set *set = *inout;
  if (set == NULL)
    return;
  for (int i = 0; i < set->file_count; i++)
    titan_safetensors_close(&set->files[i]);
  titan_memory_free(set->files);
  titan_memory_free(set->tensors);
  titan_memory_free(set->folder);
  titan_memory_free(set->path);
  titan_memory_free(set);
  *inout = NULL;
}

int titan_safetensors_set_find(const titan_safetensors_set *set, const char *name) {
  titan_safetensors_tensor wanted = {.name = (char *)name};
  struct titan_safetensors_place key = {.tensor = &wanted}, *found;
  found = set->count == 0 ? NULL : bsearch(&key, set->tensors, (size_t)set->count, sizeof key, by_name);
  return found == NULL ? -1 : (int)(found - set->tensors);
}

const char *titan_safetensors_set_metadata(const titan_safetensors_set *set, const char *key) {
  const char *value = NULL;
  for (int i = 0; i < set->file_count && value == NULL; i++)
    value = titan_safetensors_metadata(set->files[i], key);
  return value;
}

titan_status titan_safetensors_set_read(const titan_safetensors_set *set, int index, int64_t first, int64_t count,
                                        float *out) {
  const struct titan_safetensors_place *place = &set->tensors[index];
  return titan_safetensors_read(set->files[place->file], place->tensor, first, count, out);
}
