// SPDX-License-Identifier: Apache-2.0
// Collectives of float32 over all ranks, by messages between all of them and in two levels over nodes, in turns.
// Start with: mpirun -np N benchmarks/levels [MiB of the whole buffer]
//
// Milliseconds are medians of the slowest rank's times. "sent" is what the first node sends to others in two levels, in
// parts of s (nodes - 1) / nodes, where s is the whole buffer (an all_reduce: twice that).
#include "base/clock.h"
#include "comm/bootstrap.h"
#include "comm/comm.h"

#include <stdio.h>
#include <stdlib.h>

enum { ROUNDS = 9, OPERATIONS = 3 };

static const char *const names[OPERATIONS] = {"all_gather", "reduce_scatter", "all_reduce"};

typedef struct bench {
  titan_comm *plain, *levelled, *node;
  float *send, *recv;
  size_t count; // of a rank's part
} bench;

static titan_status run(const bench *b, titan_comm *comm, int operation) {
  size_t size = (size_t)titan_comm_size(comm);
  if (operation == 0)
    return titan_comm_all_gather(comm, b->send, b->recv, b->count, TITAN_FLOAT32, NULL);
  if (operation == 1)
    return titan_comm_reduce_scatter(comm, b->send, b->recv, b->count, TITAN_FLOAT32, TITAN_SUM, NULL);
  return titan_comm_all_reduce(comm, b->send, b->recv, b->count * size, TITAN_FLOAT32, TITAN_SUM, NULL);
}

static titan_status time_of(const bench *b, titan_comm *comm, int operation, double *seconds) {
  TITAN_TRY(titan_comm_barrier(b->plain, NULL));
  double begun = titan_clock_seconds();
  TITAN_TRY(run(b, comm, operation));
  *seconds = titan_clock_seconds() - begun;
  return titan_comm_all_reduce(b->plain, seconds, seconds, 1, TITAN_FLOAT64, TITAN_MAX, NULL);
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static titan_status run_row(const bench *b, int operation) {
  double plain[ROUNDS], levelled[ROUNDS];
  uint64_t before = titan_comm_traffic_of(b->levelled).between_nodes;
  for (int round = 0; round < ROUNDS; round++) {
    TITAN_TRY(time_of(b, b->plain, operation, &plain[round]));
    TITAN_TRY(time_of(b, b->levelled, operation, &levelled[round]));
  }
  int64_t sent = (int64_t)(titan_comm_traffic_of(b->levelled).between_nodes - before) / ROUNDS;
  TITAN_TRY(titan_comm_all_reduce(b->node, &sent, &sent, 1, TITAN_INT64, TITAN_SUM, NULL));
  qsort(plain, ROUNDS, sizeof *plain, compare);
  qsort(levelled, ROUNDS, sizeof *levelled, compare);
  double nodes = titan_comm_nodes_of(b->plain).count, whole = (double)b->count * titan_comm_size(b->plain) * 4;
  double part = (operation == 2 ? 2 : 1) * whole * (nodes - 1) / nodes;
  if (titan_comm_rank(b->plain) == 0)
    printf("%-15s %10.2f %10.2f %7.2f %7.3f\n", names[operation], plain[ROUNDS / 2] * 1e3, levelled[ROUNDS / 2] * 1e3,
           levelled[ROUNDS / 2] / plain[ROUNDS / 2], (double)sent / part);
  return TITAN_OK;
}

static titan_status run_all(size_t bytes) {
  bench b = {0};
  titan_status status = TITAN_OK;
  TITAN_TRY_CLEANUP(titan_comm_create_mpi(MPI_COMM_WORLD, "plain", &b.plain));
  TITAN_TRY_CLEANUP(titan_comm_create_mpi(MPI_COMM_WORLD, "levelled", &b.levelled));
  TITAN_TRY_CLEANUP(titan_comm_create_node(MPI_COMM_WORLD, "node", &b.node));
  TITAN_TRY_CLEANUP(titan_comm_level(b.levelled));
  if (!titan_comm_is_levelled(b.levelled))
    TITAN_TRY_CLEANUP(titan_error(TITAN_ERROR_USAGE, "needs several nodes, one of them with several ranks; see "
                                                     "TITAN_SIMULATED_NODES in docs/testing.md"));
  b.count = bytes / sizeof(float) / (size_t)titan_comm_size(b.plain);
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, bytes, 1, &b.send));
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, bytes, 1, &b.recv));
  if (titan_comm_rank(b.plain) == 0)
    printf("%d ranks on %d nodes, %.0f MiB\n%-15s %10s %10s %7s %7s\n", titan_comm_size(b.plain),
           titan_comm_nodes_of(b.plain).count, (double)bytes / (1 << 20), "", "flat ms", "levels ms", "ratio", "sent");
  for (int operation = 0; operation < OPERATIONS; operation++)
    TITAN_TRY_CLEANUP(run_row(&b, operation));
cleanup:
  titan_memory_free(b.send);
  titan_memory_free(b.recv);
  if (b.levelled != NULL)
    titan_comm_unlevel(b.levelled);
  titan_comm_destroy(&b.node);
  titan_comm_destroy(&b.levelled);
  titan_comm_destroy(&b.plain);
  return status;
}

int main(int argc, char **argv) {
  titan_mpi mpi;
  titan_status status = titan_mpi_initialize(&argc, &argv, &mpi);
  if (status == TITAN_OK)
    status = run_all((argc > 1 ? strtoull(argv[1], NULL, 10) : 16) << 20);
  if (status != TITAN_OK)
    fprintf(stderr, "%s\n", titan_error_message());
  titan_mpi_finalize();
  return status != TITAN_OK;
}
