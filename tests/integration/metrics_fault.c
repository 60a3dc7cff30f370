// SPDX-License-Identifier: Apache-2.0
// Preloaded: the METRICS_FIRST-th to METRICS_LAST-th writes to the finished metrics.h5 find the disk full; with
// METRICS_NAME set, those to the file of that name.
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int is_metrics(int descriptor) {
  char name[64], target[4096];
  snprintf(name, sizeof name, "/proc/self/fd/%d", descriptor);
  ssize_t length = readlink(name, target, sizeof target - 1);
  if (length < 0)
    return 0;
  target[length] = '\0';
  const char *last = strrchr(target, '/'), *name_asked = getenv("METRICS_NAME");
  return last != NULL && strcmp(last + 1, name_asked != NULL ? name_asked : "metrics.h5") == 0;
}

ssize_t pwrite(int descriptor, const void *bytes, size_t count, off_t place) {
  ssize_t (*real)(int, const void *, size_t, off_t) = dlsym(RTLD_NEXT, "pwrite");
  static int calls;
  const char *first = getenv("METRICS_FIRST"), *last = getenv("METRICS_LAST");
  if (first != NULL && last != NULL && is_metrics(descriptor)) {
    calls++;
    if (calls >= atoi(first) && calls <= atoi(last)) {
      errno = ENOSPC;
      return -1;
    }
  }
  return real(descriptor, bytes, count, place);
}
