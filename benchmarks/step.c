// SPDX-License-Identifier: Apache-2.0
// One rank's training step: tokens/s, FLOP/s as a share of this machine's matrix-product ceiling, time by operation,
// memory.
//
//   benchmarks/step [flavor [batch [length [float32|bfloat16 [steps [model [compile]]]]]]]
//                    debugmodel 8 2048 float32 5 llama3
//   mpirun -np 2 benchmarks/step ...         the same work over two ranks: batch is the global batch
//
// FLOP/s count causal attention at half and nothing that is recomputed. The ceiling is the device's own matrix product,
// 4096 cubed, of the compute type, measured before and after the steps in the same process with the same threads.
#include "base/clock.h"
#include "comm/bootstrap.h"
#include "comm/topology.h"
#include "common.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <sys/resource.h>

static void print_operations(const titan_op_timing *rows, int64_t steps, double seconds, double peak) {
  double counted = 0;
  printf("%-24s %8s %10s %7s %10s %9s %9s\n", "operation", "calls", "ms/step", "share", "GFLOP/s", "of peak", "GB/s");
  for (int kind = 0; kind < TITAN_OP_COUNT; kind++) {
    const titan_op_timing *row = &rows[kind];
    if (row->calls == 0)
      continue;
    printf("%-24s %8lld %10.1f %6.1f%% %10.1f %8.0f%% %9.1f\n", titan_op_name((titan_op_kind)kind),
           (long long)(row->calls / steps), 1e3 * row->seconds / (double)steps, 100 * row->seconds / seconds,
           1e-9 * row->flops / row->seconds, 100 * row->flops / row->seconds / peak, 1e-9 * row->bytes / row->seconds);
    counted += row->seconds;
  }
  printf("%-24s %8s %10.1f %6.1f%%\n", "optimizer, reduction, rest", "", 1e3 * (seconds - counted) / (double)steps,
         100 * (seconds - counted) / seconds);
}

static void run(const bench_arguments *a, titan_comm *node, titan_mesh *mesh, int rank, int ranks) {
  titan_topology topology;
  titan_device *device;
  titan_runtime *runtime;
  double begun = titan_clock_since_process_start();
  bench_end(titan_topology_query(node, &topology));
  omp_set_num_threads(topology.threads);
  bench_end(titan_device_create_cpu(topology.threads, &device));
  double peak_before = bench_ceiling(device, a->dtype, 4096, 4);
  titan_memory_reset_peaks();
  double start = titan_clock_seconds();
  titan_runtime_options options = bench_runtime_options(a, ranks);
  runtime = bench_runtime_create(&options, mesh, device);
  double ready = titan_clock_seconds() - start;
  titan_op_timing rows[TITAN_OP_COUNT];
  double best = 1e300, total = 0;
  for (int64_t step = 1; step <= a->rounds + 1; step++) { // the first warms up
    if (step == 2)
      titan_executor_timing_start();
    double seconds = bench_step(runtime, step);
    if (step > 1) {
      total += seconds;
      best = fmin(best, seconds);
    }
  }
  titan_executor_timing_stop(rows);
  double peak_after = bench_ceiling(device, a->dtype, 4096, 4);
  double peak = fmax(peak_before, peak_after);
  if (rank == 0) {
    double flops = 0;
    for (int kind = 0; kind < TITAN_OP_COUNT; kind++)
      flops += rows[kind].flops / (double)a->rounds;
    double tokens = (double)(a->batch * a->length);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    titan_runtime_memory memory = titan_runtime_memory_of(runtime);
    printf("%s %s, batch %lld x %lld, %s%s, %d rank(s) x %d thread(s), %s\n", a->model, a->flavor, (long long)a->batch,
           (long long)a->length, titan_dtype_name(a->dtype), a->compile ? ", compile" : "", ranks, topology.threads,
           device->description);
    printf("step: mean %.3f s, best %.3f s; %.0f tokens/s (best %.0f)\n", total / (double)a->rounds, best,
           tokens * (double)a->rounds / total, tokens / best);
    printf("work: %.1f GFLOP a rank and step; %.1f GFLOP/s a rank (best %.1f)\n", 1e-9 * flops,
           1e-9 * flops * (double)a->rounds / total, 1e-9 * flops / best);
    printf("ceiling: %.1f GFLOP/s before, %.1f after (matrix product 4096^3 of this process); the step reaches %.1f %% "
           "(best %.1f %%)\n",
           1e-9 * peak_before, 1e-9 * peak_after, 100 * flops * (double)a->rounds / total / peak,
           100 * flops / best / peak);
    print_operations(rows, a->rounds, total, peak);
    printf("memory: plan %.3f GiB; allocated at the peak %.3f GiB; resident at the peak %.3f GiB (with the ceiling's "
           "0.19)\n",
           (double)memory.total / (1 << 30), (double)titan_memory_usage_total().peak_bytes / (1 << 30),
           (double)usage.ru_maxrss / (1 << 20));
    printf(
        "from the process's start to the first step: %.3f s (of which MPI's start %.3f; without the ceiling's time)\n",
        begun + ready, begun);
  }
  titan_runtime_destroy(&runtime);
  titan_device_destroy(&device);
}

int main(int argc, char **argv) {
  titan_mpi mpi;
  titan_comm *node;
  titan_mesh *mesh;
  bench_end(titan_mpi_initialize(&argc, &argv, &mpi));
  bench_arguments a =
      bench_parse(argc, argv, (bench_arguments){"debugmodel", "llama3", 8, 2048, 5, TITAN_FLOAT32, false});
  bench_end(titan_comm_create_node(MPI_COMM_WORLD, "node", &node));
  bench_end(titan_mesh_create(MPI_COMM_WORLD, (titan_mesh_degrees){1, 1, mpi.size, 1, 1}, &mesh));
  run(&a, node, mesh, mpi.rank, mpi.size);
  titan_mesh_destroy(&mesh);
  titan_comm_destroy(&node);
  titan_mpi_finalize();
  return 0;
}
