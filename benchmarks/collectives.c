// all_gather and reduce_scatter of float32, over MPI messages and through memory shared by the node's ranks, by size of
// the whole buffer. Start with: mpirun -np N benchmarks/collectives [largest buffer in MiB]
//
// GB/s is the whole buffer's bytes over the slowest rank's best time: what one rank sees arrive (all_gather) or taken
// in (reduce_scatter) each second. "shared" is what FSDP does in one node: each rank writes its part of the window,
// then all synchronize (all_gather), and sums its slice out of all parts (reduce_scatter).
#include "base/clock.h"
#include "comm/bootstrap.h"
#include "comm/comm.h"
#include "comm/topology.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct bench {
  titan_comm *comm;
  titan_shared *window; // one whole buffer per rank
  float *send, *recv;   // whole buffers
  size_t count;         // elements of a rank's part
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

static titan_status run_size(titan_comm *comm, size_t bytes) {
  static bench_case *const cases[] = {all_gather_messages, all_gather_shared, reduce_scatter_messages,
                                      reduce_scatter_shared};
  size_t size = (size_t)titan_comm_size(comm);
  bench b = {.comm = comm, .count = bytes / size / sizeof(float) / 16 * 16};
  size_t whole = b.count * size * sizeof(float);
  double seconds[4] = {0};
  titan_status status = TITAN_OK;
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, whole, 1, &b.send));
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, whole, 1, &b.recv));
  TITAN_TRY_CLEANUP(titan_shared_create(comm, whole, TITAN_MEMORY_GENERAL, &b.window));
  memset(b.send, 1, whole);
  for (int c = 0; c < 4; c++)
    TITAN_TRY_CLEANUP(measure(&b, cases[c], &seconds[c]));
  if (titan_comm_rank(comm) == 0) {
    printf("%10zu", whole / 1024);
    for (int c = 0; c < 4; c++)
      printf("  %9.1f %7.2f", seconds[c] * 1e6, (double)whole / seconds[c] / 1e9);
    printf("\n");
    fflush(stdout);
  }
cleanup:
  titan_shared_destroy(&b.window);
  titan_memory_free(b.send);
  titan_memory_free(b.recv);
  return status;
}

static titan_status run_all(size_t largest) {
  titan_comm *comm = NULL;
  TITAN_TRY(titan_comm_create_node(MPI_COMM_WORLD, "node", &comm));
  titan_status status = TITAN_OK;
  titan_topology topology;
  TITAN_TRY_CLEANUP(titan_topology_query(comm, &topology));
  omp_set_num_threads(topology.threads);
  if (titan_comm_rank(comm) == 0) {
    printf("%d ranks on one node, %d thread(s) each, float32; microseconds and GB/s\n", titan_comm_size(comm),
           topology.threads);
    printf("%10s  %17s  %17s  %17s  %17s\n", "KiB", "all_gather MPI", "shared", "reduce_scatter MPI", "shared");
  }
  for (size_t bytes = (size_t)64 << 10; bytes <= largest; bytes *= 4)
    TITAN_TRY_CLEANUP(run_size(comm, bytes));
cleanup:
  titan_comm_destroy(&comm);
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
