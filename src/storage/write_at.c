// SPDX-License-Identifier: Apache-2.0
#include "storage/write_at.h"

#include <errno.h>
#include <unistd.h>

int titan_write_at(int descriptor, const void *bytes, size_t count, uint64_t offset) {
  for (size_t done = 0; done < count;) {
    ssize_t taken = pwrite(descriptor, (const char *)bytes + done, count - done, (off_t)(offset + done));
    if (taken == 0)
      return ENOSPC;
    if (taken < 0 && errno != EINTR)
      return errno;
    done += taken > 0 ? (size_t)taken : 0;
  }
  return 0;
}
