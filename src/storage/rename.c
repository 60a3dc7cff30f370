// SPDX-License-Identifier: Apache-2.0
#include "storage/rename.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

int titan_rename_new(const char *from, const char *to) {
  struct stat unused;
  if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
    return 0;
  if (errno != EINVAL && errno != ENOSYS)
    return -1;
  if (lstat(to, &unused) != 0)
    return rename(from, to);
  errno = EEXIST;
  return -1;
}
