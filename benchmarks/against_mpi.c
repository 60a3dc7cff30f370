// SPDX-License-Identifier: Apache-2.0
// Collectives and messages of titan_comm beside the same operations of MPI, in turns within one run, from 1 KiB to the
// largest buffer, on 2, 4, 8, ... of the ranks and on all of them; send/recv on 2. Start with:
// mpirun -np N benchmarks/benchmark_against_mpi [largest buffer in MiB [file.csv [seconds for a row]]]
//
// Times are the median and the best of the rounds, each that of its slowest rank; of send/recv, half a round trip. The
// best is for a machine that does other work too. The bytes are those of the whole buffer (all_gather, reduce_scatter),
// or of the message. float32, host memory, sums.
#include "base/clock.h"
#include "base/median.h"
#include "comm/bootstrap.h"
#include "comm/comm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LEAST_ROUNDS = 5, MOST_ROUNDS = 1001, OPERATIONS = 5, SEND_RECV = 4 };

typedef struct settings {
  size_t largest; // bytes
  double seconds; // for the rounds of a row, once the least have been done
  FILE *csv;      // NULL: none
} settings;

typedef struct bench {
  titan_comm *comm;
  MPI_Comm mpi;
  int rank, ranks;
  float *send, *recv;
  size_t count; // elements of the whole buffer, or of the message
  const settings *settings;
} bench;

typedef titan_status bench_case(const bench *b);

static titan_status check_mpi(int code) {
  return code == MPI_SUCCESS ? TITAN_OK : titan_error(TITAN_ERROR_COMMUNICATION, "MPI gave the error %d", code);
}

static size_t part(const bench *b) {
  return b->count / (size_t)b->ranks;
}

// --- the operations ---

static titan_status all_gather(const bench *b) {
  return titan_comm_all_gather(b->comm, b->send, b->recv, part(b), TITAN_FLOAT32, NULL);
}

static titan_status all_gather_mpi(const bench *b) {
  return check_mpi(MPI_Allgather(b->send, (int)part(b), MPI_FLOAT, b->recv, (int)part(b), MPI_FLOAT, b->mpi));
}

static titan_status reduce_scatter(const bench *b) {
  return titan_comm_reduce_scatter(b->comm, b->send, b->recv, part(b), TITAN_FLOAT32, TITAN_SUM, NULL);
}

static titan_status reduce_scatter_mpi(const bench *b) {
  return check_mpi(MPI_Reduce_scatter_block(b->send, b->recv, (int)part(b), MPI_FLOAT, MPI_SUM, b->mpi));
}

static titan_status all_reduce(const bench *b) {
  return titan_comm_all_reduce(b->comm, b->send, b->recv, b->count, TITAN_FLOAT32, TITAN_SUM, NULL);
}

static titan_status all_reduce_mpi(const bench *b) {
  return check_mpi(MPI_Allreduce(b->send, b->recv, (int)b->count, MPI_FLOAT, MPI_SUM, b->mpi));
}

static titan_status broadcast(const bench *b) {
  return titan_comm_broadcast(b->comm, b->send, b->count, TITAN_FLOAT32, 0, NULL);
}

static titan_status broadcast_mpi(const bench *b) {
  return check_mpi(MPI_Bcast(b->send, (int)b->count, MPI_FLOAT, 0, b->mpi));
}

// A round trip between two ranks.
static titan_status send_recv(const bench *b) {
  for (int turn = 0; turn < 2; turn++)
    TITAN_TRY(turn == b->rank ? titan_comm_send(b->comm, b->send, b->count, TITAN_FLOAT32, 1 - b->rank, 0, NULL)
                              : titan_comm_recv(b->comm, b->recv, b->count, TITAN_FLOAT32, 1 - b->rank, 0, NULL));
  return TITAN_OK;
}

static titan_status send_recv_mpi(const bench *b) {
  for (int turn = 0; turn < 2; turn++)
    TITAN_TRY(check_mpi(turn == b->rank
                            ? MPI_Send(b->send, (int)b->count, MPI_FLOAT, 1 - b->rank, 0, b->mpi)
                            : MPI_Recv(b->recv, (int)b->count, MPI_FLOAT, 1 - b->rank, 0, b->mpi, MPI_STATUS_IGNORE)));
  return TITAN_OK;
}

static const struct {
  const char *name;
  bench_case *ours, *theirs;
  int trips; // that a round has of the operation
} operations[OPERATIONS] = {{"all_gather", all_gather, all_gather_mpi, 1},
                            {"reduce_scatter", reduce_scatter, reduce_scatter_mpi, 1},
                            {"all_reduce", all_reduce, all_reduce_mpi, 1},
                            {"broadcast", broadcast, broadcast_mpi, 1},
                            {"send/recv", send_recv, send_recv_mpi, 2}};

// --- timing ---

static titan_status time_once(const bench *b, bench_case *run, double *seconds) {
  TITAN_TRY(check_mpi(MPI_Barrier(b->mpi)));
  double start = titan_clock_seconds();
  TITAN_TRY(run(b));
  *seconds = titan_clock_seconds() - start;
  return check_mpi(MPI_Allreduce(MPI_IN_PLACE, seconds, 1, MPI_DOUBLE, MPI_MAX, b->mpi));
}

typedef struct times {
  double median, best; // seconds
} times;

static times summarise(double *seconds, int rounds, int trips) {
  double median = titan_median(seconds, rounds); // it sorts them
  return (times){median / trips, seconds[0] / trips};
}

// One operation, ours and MPI's, in turns.
static titan_status measure(const bench *b, int operation, times *ours, times *theirs) {
  double first[MOST_ROUNDS], second[MOST_ROUNDS], total = 0;
  int rounds = 0, trips = operations[operation].trips;
  TITAN_TRY(time_once(b, operations[operation].ours, &first[0])); // they warm up
  TITAN_TRY(time_once(b, operations[operation].theirs, &second[0]));
  // All ranks have the same seconds, so that they stop together.
  while (rounds < LEAST_ROUNDS || (rounds < MOST_ROUNDS && total < b->settings->seconds)) {
    TITAN_TRY(time_once(b, operations[operation].ours, &first[rounds]));
    TITAN_TRY(time_once(b, operations[operation].theirs, &second[rounds]));
    total += first[rounds] + second[rounds];
    rounds++;
  }
  *ours = summarise(first, rounds, trips);
  *theirs = summarise(second, rounds, trips);
  return TITAN_OK;
}

static void print_row(const bench *b, int operation, times ours, times theirs) {
  double bytes = (double)(b->count * sizeof(float));
  printf("%5d  %-14s  %9.0f  %11.1f  %11.1f  %5.2f  %11.1f  %11.1f  %5.2f  %7.3f\n", b->ranks,
         operations[operation].name, bytes / 1024, ours.median * 1e6, theirs.median * 1e6, ours.median / theirs.median,
         ours.best * 1e6, theirs.best * 1e6, ours.best / theirs.best, bytes / ours.best / 1e9);
  fflush(stdout);
  if (b->settings->csv != NULL)
    fprintf(b->settings->csv, "%d,%s,%.0f,%.9g,%.9g,%.9g,%.9g\n", b->ranks, operations[operation].name, bytes,
            ours.median, theirs.median, ours.best, theirs.best);
}

static titan_status run_size(bench *b, int operation, size_t bytes) {
  times ours, theirs;
  b->count = bytes / sizeof(float) / (size_t)b->ranks * (size_t)b->ranks;
  titan_comm_reservation reservation = titan_comm_reservation_least(b->comm);
  size_t sum = titan_comm_all_reduce_bytes(b->comm, b->count, TITAN_FLOAT32);
  size_t scatter = titan_comm_reduce_scatter_bytes(b->comm, part(b), TITAN_FLOAT32);
  size_t larger = sum > scatter ? sum : scatter;
  reservation.buffer_bytes = larger > reservation.buffer_bytes ? larger : reservation.buffer_bytes;
  TITAN_TRY(titan_comm_reserve(b->comm, reservation));
  TITAN_TRY(measure(b, operation, &ours, &theirs));
  if (b->rank == 0)
    print_row(b, operation, ours, theirs);
  return TITAN_OK;
}

static titan_status run_all(bench *b) {
  size_t largest = b->settings->largest;
  titan_status status = TITAN_OK;
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, largest, 1, &b->send));
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, largest, 1, &b->recv));
  for (int operation = 0; operation < (b->ranks == 2 ? OPERATIONS : SEND_RECV); operation++)
    for (size_t bytes = 1024; bytes <= largest; bytes *= 4)
      TITAN_TRY_CLEANUP(run_size(b, operation, bytes));
cleanup:
  titan_memory_free(b->send);
  titan_memory_free(b->recv);
  return status;
}

// --- the ranks ---

// Collective over the world. Ranks that have nothing to do sleep, so that they take no core.
static titan_status wait_for_all(void) {
  MPI_Request request;
  int done = 0;
  TITAN_TRY(check_mpi(MPI_Ibarrier(MPI_COMM_WORLD, &request)));
  while (!done) {
    TITAN_TRY(check_mpi(MPI_Test(&request, &done, MPI_STATUS_IGNORE)));
    if (!done)
      usleep(10000);
  }
  return TITAN_OK;
}

// The first `ranks` of the world.
static titan_status run_ranks(int rank, int ranks, const settings *chosen) {
  bench b = {.ranks = ranks, .rank = rank, .settings = chosen, .mpi = MPI_COMM_NULL};
  bool works = rank < ranks;
  titan_status status = TITAN_OK;
  TITAN_TRY_CLEANUP(titan_comm_create_split(MPI_COMM_WORLD, works ? 0 : 1, rank, "bench", &b.comm));
  TITAN_TRY_CLEANUP(check_mpi(MPI_Comm_dup(titan_comm_mpi(b.comm), &b.mpi)));
  if (works)
    TITAN_TRY_CLEANUP(run_all(&b));
  TITAN_TRY_CLEANUP(wait_for_all());
cleanup:
  if (b.mpi != MPI_COMM_NULL)
    MPI_Comm_free(&b.mpi);
  titan_comm_destroy(&b.comm);
  return status;
}

static titan_status run(const titan_mpi *facts, settings *chosen, const char *path) {
  titan_status status = TITAN_OK;
  if (facts->rank == 0 && path != NULL && (chosen->csv = fopen(path, "w")) == NULL)
    return titan_error(TITAN_ERROR_OUTPUT, "%s cannot be written", path);
  if (facts->rank == 0)
    printf("%5s  %-14s  %9s  %11s  %11s  %5s  %11s  %11s  %5s  %7s\n", "ranks", "operation", "KiB", "median us",
           "MPI's", "ratio", "best us", "MPI's", "ratio", "GB/s");
  if (chosen->csv != NULL)
    fprintf(chosen->csv, "ranks,operation,bytes,median_seconds,mpi_median_seconds,best_seconds,mpi_best_seconds\n");
  for (int ranks = 2; status == TITAN_OK && ranks < 2 * facts->size; ranks *= 2)
    status = run_ranks(facts->rank, ranks < facts->size ? ranks : facts->size, chosen);
  if (chosen->csv != NULL && fclose(chosen->csv) != 0 && status == TITAN_OK)
    status = titan_error(TITAN_ERROR_OUTPUT, "%s cannot be written", path);
  return status;
}

int main(int argc, char **argv) {
  titan_mpi facts;
  unsigned long largest = argc > 1 ? strtoul(argv[1], NULL, 10) : 64;
  settings chosen = {.largest = largest << 20, .seconds = argc > 3 ? strtod(argv[3], NULL) : 0.5};
  titan_status status = titan_mpi_initialize(&argc, &argv, &facts);
  if (status == TITAN_OK && (facts.size < 2 || largest < 1 || largest > 1024))
    status = titan_error(TITAN_ERROR_USAGE,
                         "usage: mpirun -np N %s [largest buffer in MiB, 1 to 1024 [file.csv [seconds for a row]]], "
                         "with 2 ranks or more",
                         argv[0]);
  if (status == TITAN_OK)
    status = run(&facts, &chosen, argc > 2 ? argv[2] : NULL);
  if (status != TITAN_OK && facts.rank == 0)
    fprintf(stderr, "%s\n", titan_error_message());
  if (status != TITAN_OK && status != TITAN_ERROR_USAGE)
    MPI_Abort(MPI_COMM_WORLD, titan_status_exit_code(status));
  titan_mpi_finalize();
  return titan_status_exit_code(status);
}
