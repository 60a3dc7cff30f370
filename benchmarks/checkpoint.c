// SPDX-License-Identifier: Apache-2.0
// Checkpoints against plain MPI-IO of the same bytes to the same place, in one run and in turns; and what an
// asynchronous save costs the training.
//
//   mpirun -np 2 benchmarks/checkpoint FOLDER [flavor [batch [length [float32|bfloat16 [rounds [model [files]]]]]]]
//                                              271M 2 256 float32 3 llama2
//
// "files": without the asynchronous saves, and so without training steps.
//
// Plain: each rank writes its shards of masters and moments, one after another, to its own part of one file in pieces
// of 16 MiB, and MPI_File_sync; no names, no checksums. Each file is dropped from the page cache before it is read.
// Bytes are those of masters and moments; seconds are from the first rank's start to the last one's end.
#include "base/clock.h"
#include "comm/bootstrap.h"
#include "comm/topology.h"
#include "common.h"
#include "state/load.h"
#include "state/save.h"

#include <fcntl.h>
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PIECE_BYTES = 16 << 20 };

typedef enum act { PLAIN_WRITE, SAVE, PLAIN_READ, LOAD, ACTS } act;
static const char *const names[ACTS] = {"plain MPI-IO, write", "checkpoint, save", "plain MPI-IO, read",
                                        "checkpoint, load"};

typedef struct bench {
  titan_runtime *runtime;
  titan_saver *saver;
  MPI_Comm comm;
  int rank;
  titan_checkpoint_written last; // save
  uint64_t bytes, first, all;    // of this rank's shards; those of the ranks before; of all ranks
  char plain[4096], saved[4096];
} bench;

static void mpi(int code) {
  if (code != MPI_SUCCESS) {
    char text[MPI_MAX_ERROR_STRING] = "";
    int length;
    MPI_Error_string(code, text, &length);
    fprintf(stderr, "MPI-IO: %s\n", text);
    MPI_Abort(MPI_COMM_WORLD, 5);
  }
}

// The shards, one after another, through `transfer`.
static void plain(bench *b, int mode, int (*transfer)(MPI_File, MPI_Offset, void *, int)) {
  MPI_File file;
  mpi(MPI_File_open(b->comm, b->plain, mode, MPI_INFO_NULL, &file));
  uint64_t at = b->first;
  for (int group = 0; group <= titan_runtime_options_of(b->runtime)->slot_count; group++)
    for (int u = 0; u < titan_runtime_unit_count(b->runtime); u++) {
      const titan_unit *unit = titan_runtime_unit(b->runtime, u);
      char *shard = (char *)(group == 0 ? unit->master : unit->slots[group - 1]);
      size_t left = (size_t)unit->shard_elements * sizeof(float);
      while (left > 0) {
        size_t piece = left < PIECE_BYTES ? left : PIECE_BYTES;
        mpi(transfer(file, (MPI_Offset)at, shard, (int)piece));
        shard += piece;
        at += piece;
        left -= piece;
      }
    }
  if (mode & MPI_MODE_CREATE)
    mpi(MPI_File_sync(file));
  mpi(MPI_File_close(&file));
}

static int write_piece(MPI_File file, MPI_Offset at, void *data, int bytes) {
  return MPI_File_write_at(file, at, data, bytes, MPI_BYTE, MPI_STATUS_IGNORE);
}

static int read_piece(MPI_File file, MPI_Offset at, void *data, int bytes) {
  return MPI_File_read_at(file, at, data, bytes, MPI_BYTE, MPI_STATUS_IGNORE);
}

static void save(bench *b) {
  titan_checkpoint_contents contents = {.step = 1,
                                        .model_name = titan_runtime_options_of(b->runtime)->model->name,
                                        .model = titan_runtime_options_of(b->runtime)->arguments};
  titan_save_request request = {.path = b->saved, .contents = &contents, .at_once = true, .replace = true};
  titan_save_result result;
  bench_end(titan_saver_start(b->saver, &request));
  bench_end(titan_saver_finish(b->saver, &result));
  b->last = result.written;
}

static void load(bench *b) {
  titan_checkpoint_load_options options = {.runtime = b->runtime, .optimizer = true, .step = -1};
  titan_checkpoint_file *file;
  titan_checkpoint_fault fault;
  bench_end(titan_checkpoint_load(&options, b->saved, &file, &fault));
  titan_checkpoint_file_close(&file);
}

// Memory as large as the file is touched and given back, so that the page cache finds pages that are there: a virtual
// machine takes seconds to get those again that it had given back to its host, and whoever writes next would pay.
static void warm_memory(const bench *b) {
  char *pages;
  bench_end(titan_memory_allocate(TITAN_MEMORY_GENERAL, (size_t)b->bytes, &pages));
  memset(pages, 1, (size_t)b->bytes);
  titan_memory_free(pages);
}

// A file that is written is made anew; one that is read comes from the disk.
static void make_ready(const bench *b, act what) {
  const char *path = what == PLAIN_WRITE || what == PLAIN_READ ? b->plain : b->saved;
  if (b->rank == 0 && what <= SAVE) {
    char partial[sizeof b->saved + 16]; // of a run that was ended
    snprintf(partial, sizeof partial, "%s.partial", path);
    unlink(partial);
    unlink(path);
  }
  int descriptor = b->rank == 0 && what > SAVE ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (descriptor >= 0) {
    posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
    close(descriptor);
  }
  warm_memory(b);
  MPI_Barrier(b->comm);
}

static double perform(bench *b, act what) {
  make_ready(b, what);
  double start = titan_clock_seconds();
  if (what == PLAIN_WRITE)
    plain(b, MPI_MODE_CREATE | MPI_MODE_WRONLY, write_piece);
  else if (what == PLAIN_READ)
    plain(b, MPI_MODE_RDONLY, read_piece);
  else if (what == SAVE)
    save(b);
  else
    load(b);
  MPI_Barrier(b->comm);
  return titan_clock_seconds() - start;
}

static int compare(const void *left, const void *right) {
  double a = *(const double *)left, b = *(const double *)right;
  return (a > b) - (a < b);
}

// Sorts.
static double median(double *values, int64_t count) {
  qsort(values, (size_t)count, sizeof *values, compare);
  return values[count / 2];
}

// Where rank 0's time goes in a save.
static void print_phases(const titan_checkpoint_written *saves, int64_t rounds) {
  printf(
      "saves, seconds of rank 0: file made and opened, slabs written, waiting for other ranks, brought to the disk\n");
  for (int64_t i = 0; i < rounds; i++)
    printf("  %9.3f %9.3f %9.3f %9.3f\n", saves[i].create_seconds, saves[i].write_seconds, saves[i].wait_seconds,
           saves[i].flush_seconds);
}

static void measure_files(bench *b, int64_t rounds) {
  double *seconds[ACTS];
  titan_checkpoint_written *saves;
  bench_end(titan_memory_allocate(TITAN_MEMORY_GENERAL, (size_t)rounds * sizeof *saves, &saves));
  for (int i = 0; i < ACTS; i++)
    bench_end(titan_memory_allocate(TITAN_MEMORY_GENERAL, (size_t)rounds * sizeof(double), &seconds[i]));
  // Each round begins with another act: what one leaves in the page cache and in the disk's queue is not always the
  // same one's to bear. Only files that are there can be read, so the first round is in order.
  for (int64_t round = 0; round < rounds; round++)
    for (int i = 0; i < ACTS; i++) {
      act what = (act)((i + round) % ACTS);
      seconds[what][round] = perform(b, what);
      if (what == SAVE)
        saves[round] = b->last;
    }
  if (b->rank == 0)
    printf("%-22s %9s %9s %9s %9s   (median, best)\n", "", "seconds", "GB/s", "best", "of plain");
  for (int i = 0; i < ACTS; i++) {
    double middle = median(seconds[i], rounds);
    if (b->rank == 0)
      printf("%-22s %9.3f %9.3f %9.3f %9.3f\n", names[i], middle, 1e-9 * (double)b->all / middle,
             1e-9 * (double)b->all / seconds[i][0], seconds[i & 2][rounds / 2] / middle);
  }
  if (b->rank == 0)
    print_phases(saves, rounds);
  titan_memory_free(saves);
  for (int i = 0; i < ACTS; i++)
    titan_memory_free(seconds[i]);
}

// The rank's bytes copied by all of its threads between places that have been written before, GB/s of all ranks.
static double copy_rate(const bench *b, int threads) {
  char *from, *to;
  size_t bytes = (size_t)b->bytes;
  bench_end(titan_memory_allocate(TITAN_MEMORY_GENERAL, bytes, &from));
  bench_end(titan_memory_allocate(TITAN_MEMORY_GENERAL, bytes, &to));
  memset(from, 1, bytes);
  memset(to, 2, bytes);
  double best = 1e300;
  for (int i = 0; i < 5; i++) {
    MPI_Barrier(b->comm);
    double start = titan_clock_seconds();
#pragma omp parallel for num_threads(threads)
    for (int t = 0; t < threads; t++) {
      size_t begin = bytes / (size_t)threads * (size_t)t,
             end = t + 1 == threads ? bytes : begin + bytes / (size_t)threads;
      memcpy(to + begin, from + begin, end - begin);
    }
    MPI_Barrier(b->comm);
    best = fmin(best, titan_clock_seconds() - start);
  }
  titan_memory_free(from);
  titan_memory_free(to);
  return 1e-9 * (double)b->all / best;
}

// Steps alone, then steps from the start of a save to its end, in turns.
static void measure_async(bench *b, titan_save_mode mode, const char *name, int64_t rounds, int threads) {
  titan_saver_options options = {.runtime = b->runtime, .mode = mode};
  titan_checkpoint_contents contents = {.step = 1,
                                        .model_name = titan_runtime_options_of(b->runtime)->model->name,
                                        .model = titan_runtime_options_of(b->runtime)->arguments};
  titan_save_request request = {.path = b->saved, .contents = &contents, .replace = true};
  titan_save_result result;
  titan_saver *saver;
  double alone = 0, meanwhile = 0, start_call = 0, copy = 0, whole = 0, rate = copy_rate(b, threads);
  int64_t steps_alone = 0, steps_meanwhile = 0, step = 1;
  bench_end(titan_saver_create(&options, &saver));
  bench_step(b->runtime, step++);
  for (int64_t round = 0; round < rounds; round++) {
    for (int i = 0; i < 2; i++, steps_alone++)
      alone += bench_step(b->runtime, step++);
    double start = titan_clock_seconds();
    bench_end(titan_saver_start(saver, &request));
    start_call += titan_clock_seconds() - start;
    int done = 0;
    while (!done) {
      meanwhile += bench_step(b->runtime, step++);
      steps_meanwhile++;
      done = titan_saver_is_done(saver);
      MPI_Allreduce(MPI_IN_PLACE, &done, 1, MPI_INT, MPI_MIN, b->comm);
    }
    bench_end(titan_saver_finish(saver, &result));
    copy += result.copy_seconds;
    whole += result.seconds;
  }
  titan_saver_destroy(&saver);
  if (b->rank != 0)
    return;
  double step_alone = alone / (double)steps_alone, step_meanwhile = meanwhile / (double)steps_meanwhile;
  printf("%s: written in %.2f s (%.2f GB/s) behind %.1f steps\n", name, whole / (double)rounds,
         1e-9 * (double)b->all * (double)rounds / whole, (double)steps_meanwhile / (double)rounds);
  printf("  copy %.3f s, %.2f GB/s (memcpy of the same bytes: %.2f GB/s; of it %.2f)\n", copy / (double)rounds,
         1e-9 * (double)b->all * (double)rounds / copy, rate, 1e-9 * (double)b->all * (double)rounds / copy / rate);
  printf("  the training stands still for %.4f s beyond the copy: %.2f %% of a step\n",
         (start_call - copy) / (double)rounds, 100 * (start_call - copy) / (double)rounds / step_alone);
  printf("  step alone %.3f s, while a save is written %.3f s (+%.1f %%)\n", step_alone, step_meanwhile,
         100 * (step_meanwhile / step_alone - 1));
}

static void prepare(bench *b, const char *folder) {
  for (int u = 0; u < titan_runtime_unit_count(b->runtime); u++)
    b->bytes += (uint64_t)(1 + titan_runtime_options_of(b->runtime)->slot_count) *
                (uint64_t)titan_runtime_unit(b->runtime, u)->shard_elements * sizeof(float);
  MPI_Exscan(&b->bytes, &b->first, 1, MPI_UINT64_T, MPI_SUM, b->comm);
  MPI_Allreduce(&b->bytes, &b->all, 1, MPI_UINT64_T, MPI_SUM, b->comm);
  snprintf(b->plain, sizeof b->plain, "%s/benchmark-plain", folder);
  snprintf(b->saved, sizeof b->saved, "%s/benchmark-step-1.h5", folder);
  titan_saver_options options = {.runtime = b->runtime, .mode = TITAN_SAVE_AT_ONCE};
  bench_end(titan_saver_create(&options, &b->saver));
}

int main(int argc, char **argv) {
  titan_mpi started;
  titan_comm *node;
  titan_mesh *mesh;
  titan_device *device;
  titan_topology topology;
  bench_end(titan_mpi_initialize(&argc, &argv, &started));
  if (argc < 2) {
    fprintf(stderr, "usage: %s FOLDER [flavor [batch [length [float32|bfloat16 [rounds [llama2|llama3 [files]]]]]]]\n",
            argv[0]);
    MPI_Abort(MPI_COMM_WORLD, 2);
  }
  bench_arguments defaults = {"271M", "llama2", started.size > 2 ? started.size : 2, 256, 3, TITAN_FLOAT32, false};
  bench_arguments a = bench_parse(argc - 1, argv + 1, defaults);
  bench_end(titan_comm_create_node(MPI_COMM_WORLD, "node", &node));
  bench_end(titan_topology_query(node, &topology));
  omp_set_num_threads(topology.threads);
  bench_end(titan_device_create_cpu(topology.threads, &device));
  bench_end(titan_mesh_create(MPI_COMM_WORLD, (titan_mesh_degrees){1, 1, started.size, 1, 1}, &mesh));
  titan_runtime_options options = bench_runtime_options(&a, started.size);
  options.activations.mode = TITAN_ACTIVATIONS_FULL;
  bench b = {.runtime = bench_runtime_create(&options, mesh, device), .comm = MPI_COMM_WORLD, .rank = started.rank};
  prepare(&b, argv[1]);
  if (b.rank == 0)
    printf("%s %s, %.3f GB of masters and moments, %d rank(s) x %d thread(s), %lld rounds in turns, %s\n", a.model,
           a.flavor, 1e-9 * (double)b.all, started.size, topology.threads, (long long)a.rounds, device->description);
  measure_files(&b, a.rounds);
  if (argc < 9 || strcmp(argv[8], "files") != 0) {
    measure_async(&b, TITAN_SAVE_ASYNC_PINNED, "async_with_pinned_mem", a.rounds, topology.threads);
    measure_async(&b, TITAN_SAVE_ASYNC, "async", a.rounds, topology.threads);
  }
  if (b.rank == 0) {
    unlink(b.plain);
    unlink(b.saved);
  }
  titan_saver_destroy(&b.saver);
  titan_runtime_destroy(&b.runtime);
  titan_mesh_destroy(&mesh);
  titan_device_destroy(&device);
  titan_comm_destroy(&node);
  titan_mpi_finalize();
  return 0;
}
