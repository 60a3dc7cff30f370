// SPDX-License-Identifier: Apache-2.0
// Writes a checkpoint once more with other weights, for runs that have to begin with weights that are wrong.
//
//   edit_weights FILE TENSOR set INDEX VALUE    one element, counted over the whole tensor; VALUE: a number, nan or inf
//   edit_weights FILE TENSOR scale FACTOR       all of them
//   edit_weights FILE TENSOR fill VALUE         all of them
//
// Exit status: 0, 1 (with a message), 2 usage.
#include "base/memory.h"
#include "checkpoint/writer.h"
#include "comm/bootstrap.h"

#include <stdlib.h>
#include <string.h>

static int64_t elements_of(const titan_checkpoint_tensor *tensor) {
  return titan_checkpoint_rows(tensor) * titan_checkpoint_columns(tensor);
}

static void edit(float *values, int64_t count, char **words) {
  float value = strtof(words[strcmp(words[0], "set") == 0 ? 2 : 1], NULL);
  if (strcmp(words[0], "set") == 0)
    values[strtoll(words[1], NULL, 10)] = value;
  for (int64_t i = 0; i < count && strcmp(words[0], "scale") == 0; i++)
    values[i] *= value;
  for (int64_t i = 0; i < count && strcmp(words[0], "fill") == 0; i++)
    values[i] = value;
}

// Copies a tensor, edited where it is the one.
static titan_status copy(const titan_checkpoint_file *file, int tensor, char **words, bool edited,
                         titan_checkpoint_writer *writer) {
  const titan_checkpoint_tensor *t = &file->tensors[tensor];
  float *values;
  if (t->number != TITAN_NUMBER_FLOAT32)
    return titan_error(TITAN_ERROR_USAGE, "%s: %s is not float32", file->path, t->name);
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_GENERAL, (size_t)elements_of(t) * sizeof *values, &values));
  titan_status status = titan_checkpoint_file_read(file, tensor, 0, titan_checkpoint_rows(t), values);
  titan_checkpoint_section slab = {
      .tensor = tensor, .rows = titan_checkpoint_rows(t), .columns = titan_checkpoint_columns(t)};
  if (status == TITAN_OK && edited)
    edit(values, elements_of(t), words);
  if (status == TITAN_OK)
    status = titan_checkpoint_writer_write(writer, &slab, values, slab.columns);
  titan_memory_free(values);
  return status;
}

static titan_status rewrite(const titan_checkpoint_file *file, char **words) {
  int wanted = titan_checkpoint_file_find(file, TITAN_CHECKPOINT_MODEL, words[0]);
  titan_checkpoint_writer *writer;
  if (wanted < 0)
    return titan_error(TITAN_ERROR_USAGE, "%s has no tensor %s", file->path, words[0]);
  titan_checkpoint_writer_options options = {.comm = MPI_COMM_WORLD,
                                             .path = file->path,
                                             .replace = true,
                                             .contents = &file->contents,
                                             .tensor_count = file->tensor_count,
                                             .tensors = file->tensors,
                                             .slab_count = file->tensor_count};
  TITAN_TRY(titan_checkpoint_writer_create(&options, &writer));
  titan_status status = TITAN_OK;
  for (int i = 0; i < file->tensor_count && status == TITAN_OK; i++)
    status = copy(file, i, words + 1, i == wanted, writer);
  return titan_checkpoint_writer_finish(&writer, status, NULL);
}

int main(int count, char **words) {
  titan_checkpoint_file *file = NULL;
  titan_mpi mpi;
  bool one = count == 6 && strcmp(words[3], "set") == 0;
  bool all = count == 5 && (strcmp(words[3], "scale") == 0 || strcmp(words[3], "fill") == 0);
  if (!one && !all) {
    fputs("usage: edit_weights FILE TENSOR set INDEX VALUE | scale FACTOR | fill VALUE\n", stderr);
    return 2;
  }
  titan_status status = titan_mpi_initialize(&count, &words, &mpi);
  if (status == TITAN_OK)
    status = titan_checkpoint_file_open(words[1], &file, NULL);
  if (status == TITAN_OK)
    status = rewrite(file, words + 2);
  titan_checkpoint_file_close(&file);
  if (status != TITAN_OK)
    fprintf(stderr, "edit_weights: %s\n", titan_error_message());
  titan_mpi_finalize();
  return status != TITAN_OK;
}
