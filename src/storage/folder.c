// SPDX-License-Identifier: Apache-2.0
#include "storage/folder.h"

#include "base/memory.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static titan_status folder_create_one(const char *path, int part, uint64_t *made) {
  if (mkdir(path, 0777) == 0) {
    *made |= part < 64 ? (uint64_t)1 << part : 0;
    return TITAN_OK;
  }
  int reason = errno;
  struct stat information;
  if (stat(path, &information) == 0) {
    if (S_ISDIR(information.st_mode))
      return TITAN_OK;
    return titan_error(TITAN_ERROR_OUTPUT, "cannot make the folder %s: a file of that name is in the way", path);
  }
  return titan_error(TITAN_ERROR_OUTPUT, "cannot make the folder %s: %s", path, strerror(reason));
}

titan_status titan_folder_create_noting(const char *path, uint64_t *made) {
  char *prefix = NULL;
  int part = 0;
  *made = 0;
  TITAN_TRY(titan_memory_duplicate(TITAN_MEMORY_GENERAL, path, &prefix));
  titan_status status = TITAN_OK;
  for (char *slash = prefix; status == TITAN_OK && (slash = strchr(slash, '/')) != NULL; slash++, part++) {
    *slash = '\0';
    if (*prefix != '\0')
      status = folder_create_one(prefix, part, made);
    *slash = '/';
  }
  size_t length = strlen(path);
  if (status == TITAN_OK && length > 0 && path[length - 1] != '/')
    status = folder_create_one(path, part, made);
  titan_memory_free(prefix);
  return status;
}

void titan_folder_of(const char *path, char folder[TITAN_FOLDER_BYTES]) {
  const char *slash = strrchr(path, '/');
  size_t length = slash != NULL ? (size_t)(slash - path) + 1 : 0;
  bool fits = length > 0 && length < TITAN_FOLDER_BYTES;
  memcpy(folder, fits ? path : ".", fits ? length : 1);
  folder[fits ? length : 1] = '\0';
}

titan_status titan_folder_create(const char *path) {
  uint64_t made;
  return titan_folder_create_noting(path, &made);
}

titan_status titan_folder_create_for_noting(const char *path, uint64_t *made) {
  const char *slash = strrchr(path, '/');
  *made = 0;
  if (slash == NULL)
    return TITAN_OK;
  char *folder = NULL;
  TITAN_TRY(titan_memory_duplicate(TITAN_MEMORY_GENERAL, path, &folder));
  folder[slash - path + 1] = '\0';
  titan_status status = titan_folder_create_noting(folder, made);
  titan_memory_free(folder);
  return status;
}

titan_status titan_folder_create_for(const char *path) {
  uint64_t made;
  return titan_folder_create_for_noting(path, &made);
}

void titan_folder_remove_noted(const char *path, uint64_t made) {
  char *prefix = NULL;
  int part = 0;
  if (made == 0 || titan_memory_duplicate(TITAN_MEMORY_GENERAL, path, &prefix) != TITAN_OK)
    return;
  for (const char *at = path; *at != '\0'; at++)
    part += *at == '/';
  for (char *slash = prefix; slash != NULL; part--) { // the deepest first
    if (part < 64 && (made >> part & 1) != 0)
      rmdir(prefix);
    slash = strrchr(prefix, '/');
    if (slash != NULL)
      *slash = '\0';
  }
  titan_memory_free(prefix);
}
