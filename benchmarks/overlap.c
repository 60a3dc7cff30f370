// SPDX-License-Identifier: Apache-2.0
// How a message gets on while its receiver multiplies matrices: left alone, looked after between the panels of the
// product, or looked after by a thread of its own. Start with: mpirun --bind-to none -np 2 benchmarks/benchmark_overlap
// [rows]
//
// Two ranks exchange `rows` rows of 1024 floats and multiply as many others by a square matrix. Each line is the median
// of rounds in which all ways take turns; "exposed" is what the exchange adds to the product alone, of the slower rank.
#include "base/clock.h"
#include "device/device.h"

#include <mpi.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { COLUMNS = 1024, ROUNDS = 15 };

typedef enum way { PRODUCT, EXCHANGE, LEFT_ALONE, POLL_4, POLL_16, THREAD, WAYS } way;
static const char *const names[WAYS] = {"product alone",
                                        "exchange alone",
                                        "left alone until the end",
                                        "polling between 4 panels",
                                        "polling between 16 panels",
                                        "a thread that looks on"};

typedef struct bench {
  titan_device *device;
  const titan_kernel *kernel;
  int64_t rows;
  float *a, *b, *c, *send, *recv;
  MPI_Request requests[2];
  atomic_bool stop;
} bench;

static void begin(bench *b) {
  int rank, count = (int)(b->rows * COLUMNS);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Irecv(b->recv, count, MPI_FLOAT, 1 - rank, 0, MPI_COMM_WORLD, &b->requests[0]);
  MPI_Isend(b->send, count, MPI_FLOAT, 1 - rank, 0, MPI_COMM_WORLD, &b->requests[1]);
}

static bool poll_once(bench *b) {
  int done;
  MPI_Testall(2, b->requests, &done, MPI_STATUSES_IGNORE);
  return done;
}

static void finish(bench *b) {
  while (!poll_once(b))
    sched_yield();
}

static void multiply(bench *b, int panels, bool poll) {
  int64_t rows = b->rows / panels;
  titan_op_call call = {.kind = TITAN_OP_matmul, .input_count = 2};
  call.inputs[0] = (titan_tensor_type){TITAN_FLOAT32, 2, {rows, COLUMNS}};
  call.inputs[1] = (titan_tensor_type){TITAN_FLOAT32, 2, {COLUMNS, COLUMNS}};
  call.attributes.matmul.output = TITAN_FLOAT32;
  if (titan_op_infer(&call) != TITAN_OK)
    MPI_Abort(MPI_COMM_WORLD, 1);
  for (int p = 0; p < panels; p++) {
    const void *inputs[] = {b->a + p * rows * COLUMNS, b->b};
    void *output = b->c + p * rows * COLUMNS;
    b->kernel->run(b->device, &call, NULL, inputs, &output, NULL);
    if (poll)
      poll_once(b);
  }
}

static void *look_on(void *argument) {
  bench *b = argument;
  while (!atomic_load(&b->stop) && !poll_once(b))
    nanosleep(&(struct timespec){0, 20000}, NULL);
  return NULL;
}

static double run(bench *b, way w) {
  pthread_t thread;
  MPI_Barrier(MPI_COMM_WORLD);
  double start = titan_clock_seconds();
  if (w != PRODUCT)
    begin(b);
  atomic_store(&b->stop, false);
  if (w == THREAD)
    pthread_create(&thread, NULL, look_on, b);
  if (w != EXCHANGE)
    multiply(b, w == POLL_4 ? 4 : w == POLL_16 ? 16 : 1, w == POLL_4 || w == POLL_16);
  if (w == THREAD) {
    atomic_store(&b->stop, true);
    pthread_join(thread, NULL);
  }
  if (w != PRODUCT)
    finish(b);
  double seconds = titan_clock_seconds() - start, slowest;
  MPI_Allreduce(&seconds, &slowest, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
  return slowest;
}

static int compare(const void *left, const void *right) {
  double a = *(const double *)left, b = *(const double *)right;
  return (a > b) - (a < b);
}

int main(int argc, char **argv) {
  int provided, rank, size;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &provided);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  bench b = {.rows = argc > 1 ? atoll(argv[1]) / 16 * 16 : 2048};
  if (size != 2 || provided != MPI_THREAD_MULTIPLE || titan_device_create_cpu(1, &b.device) != TITAN_OK)
    MPI_Abort(MPI_COMM_WORLD, 1);
  b.kernel = b.device->kernel(b.device, TITAN_OP_matmul);
  float **const buffers[] = {&b.a, &b.b, &b.c, &b.send, &b.recv};
  for (int i = 0; i < 5; i++)
    if (titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, (size_t)(b.rows > COLUMNS ? b.rows : COLUMNS) * COLUMNS,
                                     sizeof(float), buffers[i]) != TITAN_OK)
      MPI_Abort(MPI_COMM_WORLD, 1);
  double seconds[WAYS][ROUNDS];
  for (int round = -1; round < ROUNDS; round++)
    for (int w = 0; w < WAYS; w++) {
      double took = run(&b, (way)w);
      if (round >= 0)
        seconds[w][round] = took;
    }
  for (int w = 0; w < WAYS; w++)
    qsort(seconds[w], ROUNDS, sizeof(double), compare);
  if (rank == 0) {
    printf("%lld rows of %d floats each way (%.1f MiB), milliseconds\n", (long long)b.rows, (int)COLUMNS,
           (double)b.rows * COLUMNS * 4 / 1048576);
    for (int w = 0; w < WAYS; w++)
      printf("%-28s %8.2f   exposed %7.2f\n", names[w], 1e3 * seconds[w][ROUNDS / 2],
             1e3 * (seconds[w][ROUNDS / 2] - seconds[PRODUCT][ROUNDS / 2]));
  }
  for (int i = 0; i < 5; i++)
    titan_memory_free(*buffers[i]);
  titan_device_destroy(&b.device);
  MPI_Finalize();
  return 0;
}
