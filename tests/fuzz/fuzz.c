// SPDX-License-Identifier: Apache-2.0
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int descriptor = -1;
static char folder[] = "/tmp/titan-fuzz-XXXXXX";
static char path[sizeof folder + 32];

static void remove_folder(void) {
  unlink(path);
  rmdir(folder);
}

// A file in memory needs a name with an extension: a symbolic link gives it one.
static void make_file(const char *extension) {
  char target[64];
  descriptor = memfd_create("input", MFD_CLOEXEC);
  FUZZ_REQUIRE(descriptor >= 0 && mkdtemp(folder) != NULL);
  snprintf(target, sizeof target, "/proc/%ld/fd/%d", (long)getpid(), descriptor);
  snprintf(path, sizeof path, "%s/input%s", folder, extension);
  FUZZ_REQUIRE(symlink(target, path) == 0 && atexit(remove_folder) == 0);
}

const char *fuzz_file(const char *extension, const void *data, size_t size) {
  if (descriptor < 0)
    make_file(extension);
  FUZZ_REQUIRE(ftruncate(descriptor, 0) == 0);
  FUZZ_REQUIRE(size == 0 || pwrite(descriptor, data, size, 0) == (ssize_t)size);
  return path;
}

int fuzz_descriptor(void) {
  return descriptor;
}

void fuzz_require_at(bool condition, const char *text, const char *file, int line) {
  if (condition)
    return;
  fprintf(stderr, "%s:%d: not so: %s (%s)\n", file, line, text, titan_error_message());
  abort();
}

void fuzz_require_no_leak(uint64_t before) {
  if (fuzz_live() != before)
    titan_memory_report_leaks();
  FUZZ_REQUIRE(fuzz_live() == before);
}
