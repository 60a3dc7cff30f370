#include "storage/folder.h"

#include "base/memory.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static titan_status folder_create_one(const char *path) {
  if (mkdir(path, 0777) == 0)
    return TITAN_OK;
  int reason = errno;
  struct stat information;
  if (stat(path, &information) == 0) {
    if (S_ISDIR(information.st_mode))
      return TITAN_OK;
    return titan_error(TITAN_ERROR_OUTPUT, "cannot make the folder %s: a file of that name is in the way", path);
  }
  return titan_error(TITAN_ERROR_OUTPUT, "cannot make the folder %s: %s", path, strerror(reason));
}

titan_status titan_folder_create(const char *path) {
  char *prefix = NULL;
  TITAN_TRY(titan_memory_duplicate(TITAN_MEMORY_GENERAL, path, &prefix));
  titan_status status = TITAN_OK;
  for (char *slash = prefix; status == TITAN_OK && (slash = strchr(slash, '/')) != NULL; slash++) {
    *slash = '\0';
    if (*prefix != '\0')
      status = folder_create_one(prefix);
    *slash = '/';
  }
  size_t length = strlen(path);
  if (status == TITAN_OK && length > 0 && path[length - 1] != '/')
    status = folder_create_one(path);
  titan_memory_free(prefix);
  return status;
}

titan_status titan_folder_create_for(const char *path) {
  const char *slash = strrchr(path, '/');
  if (slash == NULL)
    return TITAN_OK;
  char *folder = NULL;
  TITAN_TRY(titan_memory_duplicate(TITAN_MEMORY_GENERAL, path, &folder));
  folder[slash - path + 1] = '\0';
  titan_status status = titan_folder_create(folder);
  titan_memory_free(folder);
  return status;
}
