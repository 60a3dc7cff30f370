// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/store.h"

#include "base/io_spans.h"
#include "base/memory.h"
#include "checkpoint/format.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

titan_status titan_store_path(const char *folder, int64_t step, titan_text *path) {
  return titan_text_printf(path, "%s/step-%" PRId64 ".h5", folder, step);
}

// "step-12.h5<suffix>" gives 12; a name that is written otherwise (step-012.h5), -1.
static int64_t step_of(const char *name, const char *suffix) {
  char again[64];
  if (strncmp(name, "step-", 5) != 0)
    return -1;
  int64_t step = strtoll(name + 5, NULL, 10);
  if (step < 0)
    return -1;
  snprintf(again, sizeof again, "step-%" PRId64 ".h5%s", step, suffix);
  return strcmp(again, name) == 0 ? step : -1;
}

int64_t titan_store_step_of(const char *name) {
  return step_of(name, "");
}

static int compare(const void *a, const void *b) {
  const int64_t *x = a, *y = b;
  return *x < *y ? -1 : *x > *y;
}

static titan_status list(const char *folder, const char *suffix, int64_t **steps, int64_t *count) {
  int64_t capacity = 0;
  *steps = NULL;
  *count = 0;
  DIR *directory = opendir(folder);
  if (directory == NULL && errno == ENOENT)
    return TITAN_OK;
  if (directory == NULL)
    return titan_error(TITAN_ERROR_CHECKPOINT, "cannot read the folder of checkpoints %s: %s", folder, strerror(errno));
  titan_status status = TITAN_OK;
  for (struct dirent *entry; status == TITAN_OK && (errno = 0, entry = readdir(directory)) != NULL;) {
    int64_t step = step_of(entry->d_name, suffix);
    if (step < 0)
      continue;
    if (*count == capacity) {
      capacity = capacity > 0 ? 2 * capacity : 64;
      status = titan_memory_resize(TITAN_MEMORY_GENERAL, (size_t)capacity * sizeof **steps, steps);
    }
    if (status == TITAN_OK)
      (*steps)[(*count)++] = step;
  }
  if (status == TITAN_OK && errno != 0) // else the end of the folder
    status =
        titan_error(TITAN_ERROR_CHECKPOINT, "cannot read the folder of checkpoints %s: %s", folder, strerror(errno));
  closedir(directory);
  if (status == TITAN_OK && *count > 0)
    qsort(*steps, (size_t)*count, sizeof **steps, compare);
  if (status != TITAN_OK) {
    titan_memory_free(*steps);
    *steps = NULL;
  }
  return status;
}

titan_status titan_store_list(const char *folder, int64_t **steps, int64_t *count) {
  return list(folder, "", steps, count);
}

titan_status titan_store_lock(const char *folder, titan_lock_file file, titan_lock **out, bool *held) {
  return titan_lock_take(folder, ".checkpoints.lock", file, out, held);
}

static bool is_folder(const char *path) {
  struct stat information;
  return lstat(path, &information) == 0 && S_ISDIR(information.st_mode);
}

static titan_status remove_file(const char *path) {
  uint64_t span = titan_io_span_begin("remove");
  int removed = unlink(path), reason = errno;
  titan_io_span_end(span, 0);
  errno = reason;
  if (removed != 0 && errno != ENOENT && !is_folder(path))
    return titan_error(TITAN_ERROR_CHECKPOINT, "cannot remove %s: %s", path, strerror(errno));
  return TITAN_OK;
}

static titan_status remove_partial(const char *folder, int64_t step) {
  titan_text path = {0};
  titan_status status = titan_store_path(folder, step, &path);
  if (status == TITAN_OK)
    status = titan_text_printf(&path, ".partial");
  if (status == TITAN_OK)
    status = remove_file(path.data);
  titan_text_destroy(&path);
  return status;
}

static titan_status remove_checkpoint(const char *folder, int64_t step) {
  titan_text path = {0};
  titan_status status = titan_store_path(folder, step, &path);
  if (status == TITAN_OK && !titan_checkpoint_is_foreign(path.data))
    status = remove_file(path.data);
  titan_text_destroy(&path);
  return status;
}

titan_status titan_store_remove_partial(const char *folder) {
  int64_t *steps, count;
  TITAN_TRY(list(folder, ".partial", &steps, &count));
  titan_status status = TITAN_OK;
  for (int64_t i = 0; i < count && status == TITAN_OK; i++)
    status = remove_partial(folder, steps[i]);
  titan_memory_free(steps);
  return status;
}

int64_t titan_store_new_files(int64_t keep, int64_t there, int64_t saves) {
  int64_t most = keep == 0 || keep + 1 - there > saves ? saves : keep + 1 - there;
  return saves < 1 ? 0 : most < 1 ? 1 : most;
}

titan_status titan_store_retain(const char *folder, int64_t keep, int64_t latest) {
  int64_t *steps, count;
  if (keep == 0)
    return TITAN_OK;
  TITAN_TRY(titan_store_list(folder, &steps, &count));
  titan_status status = TITAN_OK;
  while (count > 0 && steps[count - 1] > latest)
    count--;
  for (int64_t i = 0; i < count - keep && status == TITAN_OK; i++)
    status = remove_checkpoint(folder, steps[i]);
  titan_memory_free(steps);
  return status;
}
