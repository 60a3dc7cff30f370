// SPDX-License-Identifier: Apache-2.0
// Changes a tensor of a safetensors file in place, for runs that have to begin with weights that are wrong.
//
//   edit_weights FILE TENSOR set INDEX VALUE    one element, counted over the whole tensor; VALUE: a number, nan or inf
//   edit_weights FILE TENSOR scale FACTOR       all of them
//
// Exit status: 0, 1 (with a message), 2 usage.
#include "base/memory.h"
#include "weights/safetensors.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static titan_status scale(const titan_safetensors *file, const titan_safetensors_tensor *tensor, float factor,
                          int descriptor) {
  float *values;
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_GENERAL, (size_t)tensor->count * sizeof *values, &values));
  titan_status status = titan_safetensors_read(file, tensor, 0, tensor->count, values);
  for (int64_t i = 0; i < tensor->count && status == TITAN_OK; i++)
    values[i] *= factor;
  if (status == TITAN_OK)
    status = titan_safetensors_write(descriptor, file->path, tensor, 0, tensor->count, values);
  titan_memory_free(values);
  return status;
}

static titan_status edit(const titan_safetensors *file, char **words, int count, int descriptor) {
  const titan_safetensors_tensor *tensor = titan_safetensors_find(file, words[0]);
  if (tensor == NULL)
    return titan_error(TITAN_ERROR_USAGE, "%s has no tensor %s", file->path, words[0]);
  if (count == 3 && strcmp(words[1], "scale") == 0)
    return scale(file, tensor, strtof(words[2], NULL), descriptor);
  if (count != 4 || strcmp(words[1], "set") != 0)
    return titan_error(TITAN_ERROR_USAGE, "expected FILE TENSOR set INDEX VALUE, or FILE TENSOR scale FACTOR");
  float value = strtof(words[3], NULL);
  return titan_safetensors_write(descriptor, file->path, tensor, strtoll(words[2], NULL, 10), 1, &value);
}

int main(int count, char **words) {
  titan_safetensors *file = NULL;
  if (count < 5) {
    fprintf(stderr, "usage: edit_weights FILE TENSOR set INDEX VALUE | FILE TENSOR scale FACTOR\n");
    return 2;
  }
  int descriptor = open(words[1], O_WRONLY);
  titan_status status = titan_safetensors_open(words[1], &file);
  if (status == TITAN_OK)
    status = descriptor < 0 ? titan_error(TITAN_ERROR_OUTPUT, "%s cannot be written", words[1])
                            : edit(file, words + 2, count - 2, descriptor);
  titan_safetensors_close(&file);
  if (descriptor >= 0)
    close(descriptor);
  if (status != TITAN_OK)
    fprintf(stderr, "edit_weights: %s\n", titan_error_message());
  return status != TITAN_OK;
}
