// SPDX-License-Identifier: Apache-2.0
#include "storage/aside.h"

#include "storage/rename.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

enum { MOST_NUMBERS = 100000 };

titan_status titan_set_aside(const char *path, titan_text *kept) {
  struct stat unused;
  const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path, *dot = strrchr(name, '.');
  int stem = (int)(dot != NULL && dot != name ? dot - path : (long)strlen(path));
  if (lstat(path, &unused) != 0)
    return TITAN_OK;
  int reason = EEXIST;
  for (int number = 1; number <= MOST_NUMBERS && reason == EEXIST; number++) {
    kept->length = 0;
    TITAN_TRY(titan_text_printf(kept, "%.*s.%d%s", stem, path, number, path + stem));
    reason = titan_rename_new(path, kept->data) == 0 ? 0 : errno;
  }
  if (reason == 0)
    return TITAN_OK;
  titan_status status = titan_error(TITAN_ERROR_OUTPUT, "cannot move %s to %s: %s", path, kept->data, strerror(reason));
  titan_text_destroy(kept);
  return status;
}
