// SPDX-License-Identifier: Apache-2.0
// all_gather and reduce_scatter of float32, over MPI messages and through memory shared by the node's ranks, by size of
// the whole buffer, and all_reduce of small buffers. Start with: mpirun -np N benchmarks/collectives [largest buffer in
// MiB]
//
// GB/s is the whole buffer's bytes over the slowest rank's best time: what one rank sees arrive (all_gather) or taken
// in (reduce_scatter) each second. "shared" is what FSDP does in one node: each rank writes its part of the window,
// then all synchronize (all_gather), and sums its slice out of all parts (reduce_scatter). "staged" is what a tp
// group's collectives do: operands lie anywhere, and are copied into staging memory.
#include "base/clock.h"
#include "comm/bootstrap.h"
#include "comm/comm.h"
#include "comm/topology.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct bench {
  titan_comm *comm, *staging; // the same ranks, without and with staging memory
  titan_shared *window;       // one whole buffer per rank
  float *send, *recv;         // whole buffers
  size_t count;               // elements of a rank's part
} bench;

typedef titan_status bench_case(bench *b);

static titan_status all_gather_messages(bench *b) {
  return titan_comm_all_gather(b->comm, b->send, b->recv, b->count, TITAN_FLOAT32, NULL);
}

static titan_status all_gather_shared(bench *b) {
  memcpy((float *)titan_shared_part(b->window, 0) + (size_t)titan_comm_rank(b->comm) * b->count, b->send,
         b->count * sizeof(float));
  return titan_shared_synchronize(b->window, NULL);
}

static titan_status all_gather_staged(bench *b) {
  return titan_comm_all_gather(b->staging, b->send, b->recv, b->count, TITAN_FLOAT32, NULL);
}

static titan_status reduce_scatter_staged(bench *b) {
  return titan_comm_reduce_scatter(b->staging, b->send, b->recv, b->count, TITAN_FLOAT32, TITAN_SUM, NULL);
}

static titan_status all_reduce_messages(bench *b) {
  return titan_comm_all_reduce(b->comm, b->send, b->recv, b->count, TITAN_FLOAT32, TITAN_SUM, NULL);
}

static titan_status all_reduce_staged(bench *b) {
  return titan_comm_all_reduce(b->staging, b->send, b->recv, b->count, TITAN_FLOAT32, TITAN_SUM, NULL);
}

static titan_status reduce_scatter_messages(bench *b) {
  return titan_comm_reduce_scatter(b->comm, b->send, b->recv, b->count, TITAN_FLOAT32, TITAN_SUM, NULL);
}

static titan_status reduce_scatter_shared(bench *b) {
  return titan_shared_reduce_scatter(b->window, 0, b->recv, b->count, TITAN_FLOAT32, TITAN_SUM, NULL);
}

// Seconds of the slowest rank, the best of several rounds.
static titan_status measure(bench *b, bench_case *run, double *seconds) {
  double best = 1e30, begin = titan_clock_seconds(), now = begin;
  double stop = 0;
  for (int round = 0; stop == 0; round++) {
    TITAN_TRY(titan_comm_barrier(b->comm, NULL));
    double start = titan_clock_seconds();
    TITAN_TRY(run(b));
    now = titan_clock_seconds();
    double took = now - start;
    TITAN_TRY(titan_comm_all_reduce(b->comm, &took, &took, 1, TITAN_FLOAT64, TITAN_MAX, NULL));
    best = took < best ? took : best;
    stop = round >= 4 && now - begin > 0.5;
    TITAN_TRY(titan_comm_broadcast(b->comm, &stop, 1, TITAN_FLOAT64, 0, NULL));
  }
  *seconds = best;
  return TITAN_OK;
}

typedef struct column {
  const char *name;
  bench_case *run;
} column;

static const column whole_columns[] = {
    {"gather MPI", all_gather_messages},       {"gather shared", all_gather_shared},
    {"gather staged", all_gather_staged},      {"scatter MPI", reduce_scatter_messages},
    {"scatter shared", reduce_scatter_shared}, {"scatter staged", reduce_scatter_staged}};
static const column small_columns[] = {{"all_reduce MPI", all_reduce_messages},
                                       {"all_reduce staged", all_reduce_staged}};
enum { WHOLE_COLUMNS = 6, SMALL_COLUMNS = 2 };

// A row of the table: `count` elements a rank's part.
static titan_status run_row(bench *b, const column *columns, int column_count, size_t whole) {
  titan_status status = TITAN_OK;
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, whole, 1, &b->send));
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, whole, 1, &b->recv));
  TITAN_TRY_CLEANUP(titan_shared_create(b->comm, whole, TITAN_MEMORY_GENERAL, &b->window));
  TITAN_TRY_CLEANUP(titan_comm_stage(b->staging, whole));
  memset(b->send, 1, whole);
  bool tells = titan_comm_rank(b->comm) == 0;
  if (tells)
    printf("%10.1f", (double)whole / 1024);
  for (int c = 0; c < column_count; c++) {
    double seconds = 0;
    TITAN_TRY_CLEANUP(measure(b, columns[c].run, &seconds));
    if (tells)
      printf("  %9.1f %7.2f", seconds * 1e6, (double)whole / seconds / 1e9);
  }
  if (tells)
    printf("\n");
  fflush(stdout);
cleanup:
  titan_comm_unstage(b->staging);
  titan_shared_destroy(&b->window);
  titan_memory_free(b->send);
  titan_memory_free(b->recv);
  return status;
}

static void print_head(const column *columns, int count) {
  printf("%10s", "KiB");
  for (int c = 0; c < count; c++)
    printf("  %17s", columns[c].name);
  printf("\n");
}

static titan_status run_all(size_t largest) {
  bench b = {0};
  titan_topology topology;
  titan_status status = TITAN_OK;
  TITAN_TRY_CLEANUP(titan_comm_create_node(MPI_COMM_WORLD, "node", &b.comm));
  TITAN_TRY_CLEANUP(titan_comm_create_node(MPI_COMM_WORLD, "staging", &b.staging));
  TITAN_TRY_CLEANUP(titan_topology_query(b.comm, &topology));
  omp_set_num_threads(topology.threads);
  bool tells = titan_comm_rank(b.comm) == 0;
  size_t size = (size_t)titan_comm_size(b.comm);
  if (tells) {
    printf("%zu ranks on one node, %d thread(s) each, float32; microseconds and GB/s\n", size, topology.threads);
    print_head(whole_columns, WHOLE_COLUMNS);
  }
  for (size_t bytes = (size_t)64 << 10; bytes <= largest; bytes *= 4) {
    b.count = bytes / size / sizeof(float) / 16 * 16;
    TITAN_TRY_CLEANUP(run_row(&b, whole_columns, WHOLE_COLUMNS, b.count * size * sizeof(float)));
  }
  if (tells)
    print_head(small_columns, SMALL_COLUMNS);
  for (size_t bytes = 1024; bytes <= (size_t)64 << 10; bytes *= 4) {
    b.count = bytes / sizeof(float);
    TITAN_TRY_CLEANUP(run_row(&b, small_columns, SMALL_COLUMNS, bytes));
  }
cleanup:
  titan_comm_destroy(&b.staging);
  titan_comm_destroy(&b.comm);
  return status;
}

int main(int argc, char **argv) {
  titan_mpi facts;
  titan_status status = titan_mpi_initialize(&argc, &argv, &facts);
  if (status == TITAN_OK)
    status = run_all((size_t)(argc > 1 ? strtoul(argv[1], NULL, 10) : 64) << 20);
  if (status != TITAN_OK && facts.rank == 0)
    fprintf(stderr, "%s\n", titan_error_message());
  titan_mpi_finalize();
  return titan_status_exit_code(status);
}
