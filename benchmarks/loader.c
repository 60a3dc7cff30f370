// SPDX-License-Identifier: Apache-2.0
// What one data-parallel rank reads of a corpus, and how long passing over other ranks' documents takes.
//
//   benchmarks/benchmark_loader CORPUS TOKENIZER RANKS LANES BATCHES [LENGTH]
//
// The loader of the first of RANKS ranks, with LANES lanes a rank, gives BATCHES batches of windows of LENGTH (1024)
// tokens. Printed: bytes that the process read (/proc/self/io, rchar), processor time of all its threads, and seconds.
// With batches in proportion to 1 / (RANKS * LANES), the same part of the corpus is passed through.
#include "data/loader.h"
#include "base/clock.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static void end_on(titan_status status) {
  if (status == TITAN_OK)
    return;
  fprintf(stderr, "%s\n", titan_error_message());
  exit(1);
}

// Bytes that read calls have given this process.
static long long bytes_read(void) {
  long long bytes = -1;
  FILE *file = fopen("/proc/self/io", "r");
  if (file == NULL || fscanf(file, "rchar: %lld", &bytes) != 1)
    bytes = -1;
  if (file != NULL)
    fclose(file);
  return bytes;
}

static double processor_seconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static titan_tokenizer *read_tokenizer(const char *path) {
  titan_tokenizer *tokenizer;
  char *bytes;
  size_t length;
  end_on(titan_tokenizer_read_file(path, &bytes, &length));
  end_on(titan_tokenizer_create(bytes, length, path, &tokenizer));
  titan_memory_free(bytes);
  return tokenizer;
}

static void take_batches(const titan_loader_options *options, int64_t batches) {
  size_t tokens = (size_t)(options->lane_count * options->seq_len);
  int32_t *inputs, *labels;
  titan_loader *loader;
  end_on(titan_memory_allocate(TITAN_MEMORY_BATCH, tokens * sizeof *inputs, &inputs));
  end_on(titan_memory_allocate(TITAN_MEMORY_BATCH, tokens * sizeof *labels, &labels));
  end_on(titan_loader_create(options, &loader));
  for (int64_t i = 0; i < batches; i++)
    end_on(titan_loader_next(loader, inputs, labels));
  titan_loader_destroy(&loader);
  titan_memory_free(inputs);
  titan_memory_free(labels);
}

int main(int argc, char **argv) {
  if (argc < 6) {
    fprintf(stderr, "usage: %s CORPUS TOKENIZER RANKS LANES BATCHES [LENGTH]\n", argv[0]);
    return 2;
  }
  int64_t ranks = atoll(argv[3]), lanes = atoll(argv[4]), batches = atoll(argv[5]);
  titan_corpus *corpus;
  end_on(titan_corpus_create("c4", argv[1], &corpus));
  titan_tokenizer *tokenizer = read_tokenizer(argv[2]);
  titan_loader_options options = {.corpus = corpus,
                                  .tokenizer = tokenizer,
                                  .seq_len = argc > 6 ? atoll(argv[6]) : 1024,
                                  .global_batch = ranks * lanes,
                                  .lane_count = lanes};
  long long before = bytes_read();
  double start = titan_clock_seconds(), spent = processor_seconds();
  take_batches(&options, batches);
  printf("%s: a rank of %lld, %lld lanes a rank, %lld batches: %.2f MB read, %.3f s of a processor, %.3f s\n", argv[1],
         (long long)ranks, (long long)lanes, (long long)batches, 1e-6 * (double)(bytes_read() - before),
         processor_seconds() - spent, titan_clock_seconds() - start);
  titan_tokenizer_destroy(&tokenizer);
  titan_corpus_destroy(&corpus);
  return 0;
}
