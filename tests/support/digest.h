// SPDX-License-Identifier: Apache-2.0
// Bits of a test's results, so that two runs can be compared: where TITAN_TEST_DIGESTS names a file, lines are
// appended.
#ifndef TITAN_TESTS_SUPPORT_DIGEST_H
#define TITAN_TESTS_SUPPORT_DIGEST_H

#include "base/hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

// "name number hash": of output `number` of an operation.
static inline void note_digest(const char *name, int number, const void *data, size_t bytes) {
  const char *path = getenv("TITAN_TEST_DIGESTS");
  FILE *file = path != NULL ? fopen(path, "a") : NULL;
  if (path == NULL)
    return;
  if (file == NULL) {
    perror(path);
    abort();
  }
  fprintf(file, "%s %d %016" PRIx64 "\n", name, number, titan_hash_bytes(TITAN_HASH_START, data, bytes));
  fclose(file);
}

#endif
