// SPDX-License-Identifier: Apache-2.0
// What the integration tests ask of a checkpoint file, without the program that wrote it.
//
//   checkpoint_file digest FILE    verifies it, then prints a line "group/name checksum" for each tensor and the state;
//                                  the same for the same contents, whatever mesh wrote them
//   checkpoint_file flip FILE N    flips one bit of the byte N * length / 1000
//   checkpoint_file metrics FILE   prints the rows of a metrics file, but for times and memory
//
// Exit status: 0, 1 (with a message), 2 usage.
#include "base/memory.h"
#include "checkpoint/file.h"
#include "observe/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static titan_status digest_tensor(const titan_checkpoint_file *file, int index) {
  const titan_checkpoint_tensor *tensor = &file->tensors[index];
  size_t bytes = (size_t)titan_checkpoint_tensor_bytes(tensor);
  void *data;
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_GENERAL, bytes, &data));
  titan_status status = titan_checkpoint_file_read(file, index, 0, titan_checkpoint_rows(tensor), data);
  if (status == TITAN_OK)
    printf("%s/%s %s %016" PRIx64 "\n", titan_checkpoint_group_path(tensor->group), tensor->name,
           titan_number_name(tensor->number), (uint64_t)XXH64(data, bytes, 0));
  titan_memory_free(data);
  return status;
}

static titan_status digest(const char *path) {
  titan_checkpoint_file *file;
  TITAN_TRY(titan_checkpoint_file_open(path, &file, NULL));
  titan_status status = titan_checkpoint_file_verify(file, NULL, NULL, NULL);
  for (int i = 0; i < file->tensor_count && status == TITAN_OK; i++)
    status = digest_tensor(file, i);
  const titan_checkpoint_contents *c = &file->contents;
  printf("step %" PRId64 " tokens %" PRId64 " seq_len %" PRId64 " corpus %016" PRIx64 " tokenizer %016" PRIx64 "\n",
         c->step, c->tokens, c->seq_len, c->corpus, c->tokenizer);
  for (int64_t i = 0; i < c->log_count; i++)
    printf("logged %" PRId64 " %a %a\n", c->log_steps[i], c->log_mean[i], c->log_max[i]);
  for (int64_t i = 0; i < c->lane_count; i++)
    printf("lane %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 "\n", c->cursors[4 * i], c->cursors[4 * i + 1],
           c->cursors[4 * i + 2], c->cursors[4 * i + 3]);
  titan_checkpoint_file_close(&file);
  return status;
}

static int flip(const char *path, long thousandth) {
  FILE *file = fopen(path, "r+b");
  if (file == NULL || fseek(file, 0, SEEK_END) != 0)
    return 1;
  long place = (long)((double)ftell(file) * (double)thousandth / 1000);
  int byte = fseek(file, place, SEEK_SET) == 0 ? fgetc(file) : EOF;
  bool good = byte != EOF && fseek(file, place, SEEK_SET) == 0 && fputc(byte ^ 4, file) != EOF;
  return fclose(file) == 0 && good ? 0 : 1;
}

static titan_status print_metrics(const char *path) {
  titan_metrics_row *rows;
  uint64_t count;
  TITAN_TRY(titan_metrics_read(path, &rows, &count));
  for (uint64_t i = 0; i < count; i++)
    printf("%.0f %a %a %a %a %.0f\n", rows[i].step, rows[i].loss, rows[i].loss_max, rows[i].grad_norm, rows[i].lr,
           rows[i].tokens);
  titan_memory_free(rows);
  return TITAN_OK;
}

int main(int argc, char **argv) {
  if (argc == 4 && strcmp(argv[1], "flip") == 0)
    return flip(argv[2], strtol(argv[3], NULL, 10));
  bool metrics = argc == 3 && strcmp(argv[1], "metrics") == 0;
  if (argc != 3 || (strcmp(argv[1], "digest") != 0 && !metrics)) {
    fputs("usage: checkpoint_file digest FILE | metrics FILE | flip FILE THOUSANDTH\n", stderr);
    return 2;
  }
  if ((metrics ? print_metrics(argv[2]) : digest(argv[2])) == TITAN_OK)
    return 0;
  fprintf(stderr, "%s\n", titan_error_message());
  return 1;
}
