// SPDX-License-Identifier: Apache-2.0
// Runs a fuzz target over the files of folders, for compilers without libFuzzer.
//
// usage: replay_TARGET FOLDER...
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_input(const char *name) {
  return name[0] != '.';
}

static void replay_file(const char *path) {
  uint8_t *bytes = NULL;
  size_t size = 0, capacity = 1 << 20;
  FILE *file = fopen(path, "rb");
  FUZZ_REQUIRE(file != NULL);
  FUZZ_REQUIRE((bytes = malloc(capacity)) != NULL);
  size = fread(bytes, 1, capacity, file);
  FUZZ_REQUIRE(size < capacity && ferror(file) == 0);
  fclose(file);
  // No byte behind the input is the program's: a read beyond it is found by AddressSanitizer.
  uint8_t *exact = malloc(size > 0 ? size : 1);
  FUZZ_REQUIRE(exact != NULL);
  memcpy(exact, bytes, size);
  free(bytes);
  FUZZ_REQUIRE(LLVMFuzzerTestOneInput(exact, size) == 0);
  free(exact);
}

int main(int argc, char **argv) {
  int count = 0;
  for (int i = 1; i < argc; i++) {
    DIR *folder = opendir(argv[i]);
    if (folder == NULL) {
      fprintf(stderr, "cannot open the folder %s\n", argv[i]);
      return 1;
    }
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
      char path[4096];
      if (!is_input(entry->d_name))
        continue;
      snprintf(path, sizeof path, "%s/%s", argv[i], entry->d_name);
      replay_file(path);
      count++;
    }
    closedir(folder);
  }
  printf("%d inputs\n", count);
  return count > 0 ? 0 : 1; // a corpus that is not found is no success
}
