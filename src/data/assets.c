// SPDX-License-Identifier: Apache-2.0
#include "data/assets.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static titan_status program_folder(char folder[PATH_MAX]) {
  ssize_t length = readlink("/proc/self/exe", folder, PATH_MAX - 1);
  if (length <= 0)
    return titan_error(TITAN_ERROR_USAGE,
                       "cannot find this program's own folder (/proc/self/exe: %s); set TITAN_ASSETS", strerror(errno));
  folder[length] = '\0';
  *strrchr(folder, '/') = '\0';
  return TITAN_OK;
}

static titan_status find_below(const char *folder, const char *name, titan_text *path) {
  // a build tree's program, an installed one, and a build tree's test, which lies some folders deeper
  static const char *const places[] = {"assets", "../share/titan-hpc/assets", "../assets", "../../assets",
                                       "../../../assets"};
  for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
    path->length = 0;
    TITAN_TRY(titan_text_printf(path, "%s/%s/%s", folder, places[i], name));
    if (access(path->data, R_OK) == 0)
      return TITAN_OK;
  }
  return titan_error(TITAN_ERROR_USAGE,
                     "%s, which comes with the program, was searched in %s/assets and in "
                     "%s/../share/titan-hpc/assets and is in neither; is the installation complete? (TITAN_ASSETS may "
                     "name its folder)",
                     name, folder, folder);
}

titan_status titan_assets_find(const char *name, titan_text *path) {
  const char *given = getenv("TITAN_ASSETS");
  char folder[PATH_MAX];
  if (given == NULL || given[0] == '\0') {
    TITAN_TRY(program_folder(folder));
    return find_below(folder, name, path);
  }
  path->length = 0;
  TITAN_TRY(titan_text_printf(path, "%s/%s", given, name));
  if (access(path->data, R_OK) != 0)
    return titan_error(TITAN_ERROR_USAGE, "%s: %s (the folder is from TITAN_ASSETS)", path->data, strerror(errno));
  return TITAN_OK;
}
