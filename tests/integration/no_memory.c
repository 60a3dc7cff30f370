// SPDX-License-Identifier: Apache-2.0
// Preloaded: the system has no memory for a piece of NO_MEMORY bytes and more.
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>

int posix_memalign(void **out, size_t alignment, size_t bytes) {
  int (*real)(void **, size_t, size_t) = dlsym(RTLD_NEXT, "posix_memalign");
  const char *least = getenv("NO_MEMORY");
  return least != NULL && bytes >= strtoull(least, NULL, 10) ? ENOMEM : real(out, alignment, bytes);
}
