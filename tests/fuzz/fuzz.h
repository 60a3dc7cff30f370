// SPDX-License-Identifier: Apache-2.0
// What the fuzz targets share. A target is one function over bytes, which libFuzzer calls with inputs that it makes,
// and replay.c with those of a corpus. It fails by ending the process: a sanitizer's finding, or a requirement that is
// not met.
#ifndef TITAN_TESTS_FUZZ_H
#define TITAN_TESTS_FUZZ_H

#include "base/memory.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The target. The bytes are the caller's. Returns 0.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// The bytes as a file in memory. Returns its path, which ends in `extension` (".toml") and is valid, and the same,
// until the process ends; each call replaces what the file holds. Of one extension a process.
const char *fuzz_file(const char *extension, const void *data, size_t size);
// That file, for more writing; -1 before the first call of fuzz_file.
int fuzz_descriptor(void);

// Ends the process unless the condition holds; the last error message of the program is printed with it.
#define FUZZ_REQUIRE(condition) fuzz_require_at((condition), #condition, __FILE__, __LINE__)
void fuzz_require_at(bool condition, const char *text, const char *file, int line);

// Ends the process unless as many allocations are live as `before`.
void fuzz_require_no_leak(uint64_t before);
static inline uint64_t fuzz_live(void) {
  return titan_memory_usage_total().live_count;
}

#endif
