// SPDX-License-Identifier: Apache-2.0
// A file of weights in the safetensors format. Property: any bytes are such a file or TITAN_ERROR_CHECKPOINT with the
// path; of one that was opened every tensor lies within the file, and can be read where it holds numbers.
#include "fuzz.h"

#include "weights/safetensors.h"

#include <string.h>

static void read_tensor(const titan_safetensors *file, const titan_safetensors_tensor *tensor, uint64_t file_bytes) {
  float values[64];
  FUZZ_REQUIRE(tensor->offset <= file_bytes && tensor->bytes <= file_bytes - tensor->offset);
  FUZZ_REQUIRE(titan_safetensors_find(file, tensor->name) == tensor);
  for (int64_t first = 0; tensor->is_number && first < tensor->count; first += 64) {
    int64_t count = tensor->count - first < 64 ? tensor->count - first : 64;
    FUZZ_REQUIRE(titan_safetensors_read(file, tensor, first, count, values) == TITAN_OK);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  uint64_t live = fuzz_live();
  titan_safetensors *file = NULL;
  const char *path = fuzz_file(".safetensors", data, size);
  titan_status status = titan_safetensors_open(path, &file);
  if (status == TITAN_OK)
    for (int i = 0; i < file->count; i++)
      read_tensor(file, &file->tensors[i], size);
  else
    FUZZ_REQUIRE(status == TITAN_ERROR_CHECKPOINT && file == NULL && strstr(titan_error_message(), path) != NULL);
  titan_safetensors_close(&file);
  fuzz_require_no_leak(live);
  return 0;
}
