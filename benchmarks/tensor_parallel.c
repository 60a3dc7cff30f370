// SPDX-License-Identifier: Apache-2.0
// Tensor parallelism against one rank with the same cores, in one run, in turns: each round takes one step of every
// way, so that what else the machine does falls on all of them alike.
//
//   mpirun --bind-to none -np 2 benchmarks/tensor_parallel [flavor [batch [length [float32|bfloat16 [rounds
//   [model]]]]]]
//                                                          debugmodel 4 2048 float32 5 llama3
//
// Ranks with one thread each are one tp group; "one rank" is the first of them alone with as many threads as there are
// ranks, while the others sleep. Exposed seconds: inside calls that begin or wait for operations of the tp group
// (copies and sums of the group included), mean over the ranks; of these, waiting for a rank that comes later, which
// nothing can hide, and the transfer itself (exposed.h), by operation below. The ceiling is the device's own matrix
// product of the compute type, 2048 cubed, by the same ranks and threads.
#include "comm/bootstrap.h"
#include "common.h"
#include "exposed.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

// One way to take the step.
typedef struct way {
  const char *name;
  bool alone, async;
  titan_intra_node intra_node;
  titan_device *device;
  titan_runtime *runtime;
  titan_mesh *mesh;
  double seconds, best, flops, peak; // sums over rounds; this rank's flops of a step; ceiling of all ranks
  bench_exposed exposed;
} way;

// A barrier in which ranks that come early leave their core to others.
static void meet(void) {
  MPI_Request request;
  MPI_Ibarrier(MPI_COMM_WORLD, &request);
  for (int done = 0; !done;) {
    MPI_Test(&request, &done, MPI_STATUS_IGNORE);
    if (!done)
      nanosleep(&(struct timespec){0, 500000}, NULL);
  }
}

static void create(const bench_arguments *a, way *w, int ranks) {
  titan_runtime_options options = bench_runtime_options(a, 1);
  options.intra_node = w->intra_node;
  options.async_tensor = w->async;
  options.compile = true;
  bench_end(titan_mesh_create(w->alone ? MPI_COMM_SELF : MPI_COMM_WORLD,
                              (titan_mesh_degrees){1, 1, 1, 1, w->alone ? 1 : ranks}, &w->mesh));
  bench_end(titan_device_create_cpu(w->alone ? ranks : 1, &w->device));
  w->runtime = bench_runtime_create(&options, w->mesh, w->device);
  for (int unit = 0; unit < titan_runtime_unit_count(w->runtime); unit++)
    for (int phase = 0; phase < TITAN_PHASES; phase++)
      w->flops += titan_runtime_unit(w->runtime, unit)->plan->phases[phase].cost.flops;
  w->best = 1e300;
}

static void destroy(way *w) {
  bench_exposed_free(&w->exposed);
  titan_runtime_destroy(&w->runtime);
  titan_device_destroy(&w->device);
  titan_mesh_destroy(&w->mesh);
}

// One step; the first is not counted.
static void take_step(way *w, int64_t step) {
  titan_comm *tp = titan_mesh_comm(w->mesh, TITAN_MESH_TP);
  if (step > 1)
    bench_exposed_start(&w->exposed, tp);
  double seconds = bench_step(w->runtime, step);
  if (step == 1)
    return;
  bench_exposed_stop(&w->exposed, tp);
  w->seconds += seconds;
  w->best = fmin(w->best, seconds);
}

static void measure_ceiling(const bench_arguments *a, way *w) {
  double mine = bench_ceiling(w->device, a->dtype, 2048, 6), sum;
  bench_end(titan_comm_all_reduce(titan_mesh_comm(w->mesh, TITAN_MESH_WORLD), &mine, &sum, 1, TITAN_FLOAT64, TITAN_SUM,
                                  NULL));
  w->peak = fmax(w->peak, sum);
}

static void report(const bench_arguments *a, const way *ways, int count, int ranks) {
  double tokens = (double)(a->batch * a->length), rounds = (double)a->rounds;
  printf("%s %s, batch %lld x %lld, %s, %lld steps of each in turns, %s\n", a->model, a->flavor, (long long)a->batch,
         (long long)a->length, titan_dtype_name(a->dtype), (long long)a->rounds, ways[0].device->description);
  printf("%-28s %9s %9s %9s %8s %10s %10s %10s %11s\n", "", "s/step", "best", "tokens/s", "of one", "exposed s",
         "waiting", "transfer", "of ceiling");
  for (int i = 0; i < count; i++) {
    const way *w = &ways[i];
    bench_exposed_row exposed = bench_exposed_sum(&w->exposed);
    double mean = w->seconds / rounds, waiting = exposed.waiting / rounds, transfer = exposed.transfer / rounds;
    printf("%-28s %9.3f %9.3f %9.0f %8.3f %10.4f %10.4f %10.4f %10.1f%%\n", w->name, mean, w->best, tokens / mean,
           ways[0].seconds / w->seconds, waiting + transfer, waiting, transfer,
           100 * w->flops * (w->alone ? 1 : ranks) / mean / w->peak);
  }
  for (int i = 0; i < count; i++)
    if (!ways[i].alone) {
      printf("%s, exposed in a step\n", ways[i].name);
      bench_exposed_print(&ways[i].exposed, a->rounds, "  ");
    }
}

int main(int argc, char **argv) {
  titan_mpi mpi;
  bench_end(titan_mpi_initialize(&argc, &argv, &mpi));
  bench_arguments a =
      bench_parse(argc, argv, (bench_arguments){"debugmodel", "llama3", 4, 2048, 5, TITAN_FLOAT32, false});
  way ways[] = {
      {.name = "one rank, all threads", .alone = true},
      {.name = "tp, MPI", .intra_node = TITAN_INTRA_NODE_MPI},
      {.name = "tp, MPI, async", .intra_node = TITAN_INTRA_NODE_MPI, .async = true},
      {.name = "tp, shared memory"},
      {.name = "tp, shared memory, async", .async = true},
  };
  enum { WAYS = sizeof ways / sizeof *ways };
  for (int i = 0; i < WAYS; i++)
    if (!ways[i].alone || mpi.rank == 0)
      create(&a, &ways[i], mpi.size);
  for (int64_t step = 1; step <= a.rounds + 1; step++)
    for (int i = 0; i < WAYS; i++) {
      meet();
      if (ways[i].runtime != NULL)
        take_step(&ways[i], step);
      meet();
      if (ways[i].runtime != NULL && (step == 1 || step == a.rounds + 1))
        measure_ceiling(&a, &ways[i]);
    }
  for (int i = 0; i < WAYS; i++)
    if (!ways[i].alone)
      bench_exposed_average(&ways[i].exposed, titan_mesh_comm(ways[i].mesh, TITAN_MESH_TP));
  if (mpi.rank == 0)
    report(&a, ways, WAYS, mpi.size);
  for (int i = 0; i < WAYS; i++)
    if (ways[i].runtime != NULL)
      destroy(&ways[i]);
  titan_mpi_finalize();
  return 0;
}
