// SPDX-License-Identifier: Apache-2.0
// What recomputing activations saves and costs, and what fusing does, in one run: each round takes two steps of every
// mode, compile off and on, of which the second counts, so that what else the machine does falls on all alike.
//
//   benchmarks/activations [flavor [batch [length [float32|bfloat16 [rounds [model]]]]]]
//                           debugmodel 8 2048 float32 3 llama3
//   mpirun -np 2 benchmarks/activations ...   the same work over two ranks (FSDP): batch is the global batch
//
// Activations: what blocks keep, with their inputs. Memory: the plan of one rank, which its allocations are held
// against. The budget is the middle between what `none` and what `full` take.
#include "comm/bootstrap.h"
#include "comm/topology.h"
#include "common.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>

typedef struct way {
  const char *name;
  titan_activation_options activations;
  bool compile;
  titan_runtime_memory memory;
  double recomputed;    // share of FLOPs
  double seconds, best; // of all rounds; of the fastest
} way;

enum { MODES = 5, WAYS = 2 * MODES };

static const way modes[MODES] = {
    {"none", {.mode = TITAN_ACTIVATIONS_KEPT}, .best = 1e300},
    {"selective 2", {.mode = TITAN_ACTIVATIONS_EVERY, .every = 2}, .best = 1e300},
    {"selective op", {.mode = TITAN_ACTIVATIONS_OPERATIONS}, .best = 1e300},
    {"full", {.mode = TITAN_ACTIVATIONS_FULL}, .best = 1e300},
    {"selective budget", {.mode = TITAN_ACTIVATIONS_BUDGET}, .best = 1e300},
};

static double recomputed_share(titan_runtime *runtime) {
  double all = 0, again = 0;
  for (int unit = 0; unit < titan_runtime_unit_count(runtime); unit++)
    for (int phase = 0; phase < TITAN_PHASES; phase++) {
      const titan_plan_phase *p = &titan_runtime_unit(runtime, unit)->plan->phases[phase];
      all += p->cost.flops;
      again += p->recomputed.flops;
    }
  return again / (all - again);
}

static void take_steps(const titan_runtime_options *common, titan_mesh *mesh, titan_device *device, int64_t round,
                       way *w) {
  titan_runtime_options options = *common;
  options.activations = w->activations;
  options.compile = w->compile;
  titan_memory_reset_peaks();
  titan_runtime *runtime = bench_runtime_create(&options, mesh, device);
  w->memory = titan_runtime_memory_of(runtime);
  w->recomputed = recomputed_share(runtime);
  bench_step(runtime, 2 * round + 1);
  double seconds = bench_step(runtime, 2 * round + 2);
  w->seconds += seconds;
  w->best = fmin(w->best, seconds);
  for (int tag = TITAN_MEMORY_PARAMETERS; tag < TITAN_MEMORY_TAG_COUNT; tag++)
    if (titan_memory_usage_of((titan_memory_tag)tag).peak_bytes != w->memory.by_tag[tag])
      fprintf(stderr, "%s, compile %d: %s took %zu bytes, planned %zu\n", w->name, w->compile,
              titan_memory_tag_text((titan_memory_tag)tag), titan_memory_usage_of((titan_memory_tag)tag).peak_bytes,
              w->memory.by_tag[tag]);
  titan_runtime_destroy(&runtime);
}

static void report(const bench_arguments *a, const way *ways, int ranks, const titan_device *device) {
  double tokens = (double)(a->batch * a->length), gib = 1 << 30;
  printf("%s %s, batch %lld x %lld, %s, %d rank(s) x %d thread(s), %lld rounds, %s\n", a->model, a->flavor,
         (long long)a->batch, (long long)a->length, titan_dtype_name(a->dtype), ranks, device->threads,
         (long long)a->rounds, device->description);
  printf("%-18s %-8s %11s %8s %10s %8s %9s %9s %9s %9s\n", "activations", "compile", "activations", "of none",
         "memory GiB", "of plain", "recomp.", "s/step", "of none", "tokens/s");
  for (int i = 0; i < WAYS; i++) {
    const way *w = &ways[i], *none = &ways[i - i % MODES], *plain = &ways[i % MODES];
    printf("%-18s %-8s %11.3f %8.3f %10.3f %8.3f %8.1f%% %9.3f %9.3f %9.0f\n", w->name, w->compile ? "on" : "off",
           (double)w->memory.by_tag[TITAN_MEMORY_ACTIVATIONS] / gib,
           (double)w->memory.by_tag[TITAN_MEMORY_ACTIVATIONS] / (double)none->memory.by_tag[TITAN_MEMORY_ACTIVATIONS],
           (double)w->memory.total / gib, (double)w->memory.total / (double)plain->memory.total, 100 * w->recomputed,
           w->seconds / (double)a->rounds, w->seconds / none->seconds, tokens * (double)a->rounds / w->seconds);
  }
  for (int i = MODES - 1; i < WAYS; i += MODES)
    printf("budget, compile %s: %.4f of its limit\n", ways[i].compile ? "on" : "off",
           (double)ways[i].memory.total / (double)ways[i].activations.budget);
  for (int i = 0; i < MODES; i++)
    printf("compile on against off, %s: tokens/s x %.3f (best steps x %.3f), memory x %.3f\n", ways[i].name,
           ways[i].seconds / ways[i + MODES].seconds, ways[i].best / ways[i + MODES].best,
           (double)ways[i + MODES].memory.total / (double)ways[i].memory.total);
}

int main(int argc, char **argv) {
  titan_mpi mpi;
  titan_comm *node;
  titan_mesh *mesh;
  titan_device *device;
  titan_topology topology;
  bench_end(titan_mpi_initialize(&argc, &argv, &mpi));
  bench_arguments a =
      bench_parse(argc, argv, (bench_arguments){"debugmodel", "llama3", 8, 2048, 3, TITAN_FLOAT32, false});
  bench_end(titan_comm_create_node(MPI_COMM_WORLD, "node", &node));
  bench_end(titan_topology_query(node, &topology));
  omp_set_num_threads(topology.threads);
  bench_end(titan_device_create_cpu(topology.threads, &device));
  bench_end(titan_mesh_create(MPI_COMM_WORLD, (titan_mesh_degrees){1, 1, mpi.size, 1, 1}, &mesh));
  titan_runtime_options options = bench_runtime_options(&a, mpi.size);
  way ways[WAYS];
  for (int i = 0; i < WAYS; i++) {
    ways[i] = modes[i % MODES];
    ways[i].compile = i >= MODES;
  }
  for (int64_t round = 0; round < a.rounds; round++)
    for (int i = 0; i < WAYS; i++) {
      if (ways[i].activations.mode == TITAN_ACTIVATIONS_BUDGET)
        ways[i].activations.budget = ways[i - MODES + 1].memory.total / 2 + ways[i - 1].memory.total / 2;
      take_steps(&options, mesh, device, round, &ways[i]);
    }
  if (mpi.rank == 0)
    report(&a, ways, mpi.size, device);
  titan_mesh_destroy(&mesh);
  titan_device_destroy(&device);
  titan_comm_destroy(&node);
  titan_mpi_finalize();
  return 0;
}
