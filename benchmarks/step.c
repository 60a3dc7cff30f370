// One rank's training step: tokens/s, FLOP/s as a share of this machine's matrix-product ceiling, time by operation,
// memory.
//
//   benchmarks/step [flavor [batch [length [float32|bfloat16 [steps [model]]]]]]     debugmodel 8 2048 float32 5 llama3
//   mpirun -np 2 benchmarks/step ...         the same work over two ranks: batch is the global batch
//
// FLOP/s count causal attention at half and nothing that is recomputed. The ceiling is the device's own matrix product,
// 4096 cubed, of the compute type, measured before and after the steps in the same process with the same threads.
#include "base/clock.h"
#include "base/random.h"
#include "comm/bootstrap.h"
#include "comm/topology.h"
#include "optim/optimizer.h"
#include "parallel/runtime.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

typedef struct arguments {
  const char *flavor, *model;
  int64_t batch, length, steps;
  titan_dtype dtype;
} arguments;

static arguments parse(int argc, char **argv) {
  return (arguments){
      .flavor = argc > 1 ? argv[1] : "debugmodel",
      .batch = argc > 2 ? atoll(argv[2]) : 8,
      .length = argc > 3 ? atoll(argv[3]) : 2048,
      .dtype = argc > 4 && strcmp(argv[4], "bfloat16") == 0 ? TITAN_BFLOAT16 : TITAN_FLOAT32,
      .steps = argc > 5 ? atoll(argv[5]) : 5,
      .model = argc > 6 ? argv[6] : "llama3",
  };
}

static void end(titan_status status) {
  if (status == TITAN_OK)
    return;
  fprintf(stderr, "%s\n%s\n", titan_error_message(), titan_error_trace());
  MPI_Abort(MPI_COMM_WORLD, titan_status_exit_code(status));
}

// Best of three products, FLOP/s.
static double ceiling(titan_device *device, titan_dtype dtype) {
  enum { SIZE = 4096 };
  titan_op_call call = {.kind = TITAN_OP_matmul, .input_count = 2};
  call.inputs[0] = call.inputs[1] = (titan_tensor_type){dtype, 2, {SIZE, SIZE}};
  call.attributes.matmul.transpose_b = true;
  call.attributes.matmul.output = dtype;
  end(titan_op_infer(&call));
  const titan_kernel *kernel = device->kernel(device, TITAN_OP_matmul);
  size_t matrix = (size_t)SIZE * SIZE * sizeof(float);
  void *memory, *state = NULL, *workspace;
  end(device->allocate(device, TITAN_MEMORY_GENERAL, 3 * matrix, &memory));
  device->vector->fill(device, 3 * (int64_t)SIZE * SIZE, memory, 1);
  end(device->allocate(device, TITAN_MEMORY_GENERAL, kernel->workspace ? kernel->workspace(device, &call) : 0,
                       &workspace));
  if (kernel->prepare != NULL)
    end(kernel->prepare(device, &call, &state));
  double best = 0;
  for (int i = 0; i < 4; i++) {
    double start = titan_clock_seconds();
    end(kernel->run(device, &call, state, (const void *[]){memory, (char *)memory + matrix},
                    (void *[]){(char *)memory + 2 * matrix}, workspace));
    best = fmax(best, titan_op_cost_of(&call).flops / (titan_clock_seconds() - start));
  }
  if (state != NULL && kernel->release != NULL)
    kernel->release(device, state);
  device->free(device, workspace);
  device->free(device, memory);
  return best;
}

static void fill_batch(titan_runtime *runtime, int64_t vocabulary, int64_t count, int64_t step) {
  titan_random_stream stream = titan_random_stream_create((uint64_t)step, "benchmark.tokens");
  for (int64_t i = 0; i < count; i++) {
    double u[2];
    titan_random_uniform(stream, (uint64_t)(2 * i), 2, u);
    titan_runtime_tokens(runtime)[i] = (int32_t)(u[0] * (double)vocabulary);
    titan_runtime_labels(runtime)[i] = (int32_t)(u[1] * (double)vocabulary);
  }
}

static void print_operations(const titan_op_timing *rows, int64_t steps, double seconds, double peak) {
  double flops = 0, counted = 0;
  printf("%-24s %8s %10s %7s %10s %9s %9s\n", "operation", "calls", "ms/step", "share", "GFLOP/s", "of peak", "GB/s");
  for (int kind = 0; kind < TITAN_OP_COUNT; kind++) {
    const titan_op_timing *row = &rows[kind];
    if (row->calls == 0)
      continue;
    printf("%-24s %8lld %10.1f %6.1f%% %10.1f %8.0f%% %9.1f\n", titan_op_name((titan_op_kind)kind),
           (long long)(row->calls / steps), 1e3 * row->seconds / (double)steps, 100 * row->seconds / seconds,
           1e-9 * row->flops / row->seconds, 100 * row->flops / row->seconds / peak, 1e-9 * row->bytes / row->seconds);
    flops += row->flops;
    counted += row->seconds;
  }
  printf("%-24s %8s %10.1f %6.1f%%\n", "optimizer, reduction, rest", "", 1e3 * (seconds - counted) / (double)steps,
         100 * (seconds - counted) / seconds);
}

static void run(const arguments *a, titan_comm *node, titan_mesh *mesh, int rank, int ranks) {
  titan_topology topology;
  titan_device *device;
  titan_runtime *runtime;
  double begun = titan_clock_since_process_start();
  end(titan_topology_query(node, &topology));
  omp_set_num_threads(topology.threads);
  end(titan_device_create_cpu(topology.threads, &device));
  double peak_before = ceiling(device, a->dtype);
  titan_memory_reset_peaks();
  double start = titan_clock_seconds();
  titan_runtime_options options = {.model = titan_model_find(a->model)};
  if (!options.model->flavor(a->flavor, &options.arguments)) {
    fprintf(stderr, "flavors: %s\n", options.model->flavor_names);
    MPI_Abort(MPI_COMM_WORLD, 2);
  }
  options.arguments.vocabulary = 2256;
  options.shape = (titan_model_shape){a->batch / ranks, a->length, a->batch * a->length, a->dtype};
  end(titan_runtime_plan(&options, mesh, device, &runtime));
  end(titan_runtime_allocate(runtime));
  end(titan_runtime_initialize(runtime, 0));
  double ready = titan_clock_seconds() - start;
  titan_optimizer_options optimizer = {true, 8e-4, 0.9, 0.95, 1e-8, 0.1, 1.0, 2, 1000, 0, 0};
  titan_op_timing rows[TITAN_OP_COUNT];
  float loss;
  double best = 1e300, total = 0;
  for (int64_t step = 1; step <= a->steps + 1; step++) { // the first warms up
    fill_batch(runtime, options.arguments.vocabulary, options.shape.batch * a->length, step);
    if (step == 2)
      titan_executor_timing_start();
    MPI_Barrier(MPI_COMM_WORLD);
    double begin = titan_clock_seconds();
    end(titan_runtime_step(runtime, &loss));
    double square = titan_optimizer_sum_of_squares(runtime), sum;
    end(titan_comm_all_reduce(titan_mesh_comm(mesh, TITAN_MESH_WORLD), &square, &sum, 1, TITAN_FLOAT64, TITAN_SUM,
                              NULL));
    end(titan_optimizer_step(runtime, &optimizer, step, sqrt(sum)));
    double seconds = titan_clock_seconds() - begin;
    if (step > 1) {
      total += seconds;
      best = fmin(best, seconds);
    }
  }
  titan_executor_timing_stop(rows);
  double peak_after = ceiling(device, a->dtype);
  double peak = fmax(peak_before, peak_after);
  if (rank == 0) {
    double flops = 0;
    for (int kind = 0; kind < TITAN_OP_COUNT; kind++)
      flops += rows[kind].flops / (double)a->steps;
    double tokens = (double)(a->batch * a->length);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    titan_runtime_memory memory = titan_runtime_memory_of(runtime);
    printf("%s %s, batch %lld x %lld, %s, %d rank(s) x %d thread(s), %s\n", a->model, a->flavor, (long long)a->batch,
           (long long)a->length, titan_dtype_name(a->dtype), ranks, topology.threads, device->description);
    printf("step: mean %.3f s, best %.3f s; %.0f tokens/s (best %.0f)\n", total / (double)a->steps, best,
           tokens * (double)a->steps / total, tokens / best);
    printf("work: %.1f GFLOP a rank and step; %.1f GFLOP/s a rank (best %.1f)\n", 1e-9 * flops,
           1e-9 * flops * (double)a->steps / total, 1e-9 * flops / best);
    printf("ceiling: %.1f GFLOP/s before, %.1f after (matrix product 4096^3 of this process); the step reaches %.1f %% "
           "(best %.1f %%)\n",
           1e-9 * peak_before, 1e-9 * peak_after, 100 * flops * (double)a->steps / total / peak,
           100 * flops / best / peak);
    print_operations(rows, a->steps, total, peak);
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
  end(titan_mpi_initialize(&argc, &argv, &mpi));
  arguments a = parse(argc, argv);
  if (a.batch % mpi.size != 0) {
    fprintf(stderr, "the batch must be divisible by the number of ranks\n");
    MPI_Abort(MPI_COMM_WORLD, 2);
  }
  end(titan_comm_create_node(MPI_COMM_WORLD, "node", &node));
  end(titan_mesh_create(MPI_COMM_WORLD, (titan_mesh_degrees){1, 1, mpi.size, 1, 1}, &mesh));
  run(&a, node, mesh, mpi.rank, mpi.size);
  titan_mesh_destroy(&mesh);
  titan_comm_destroy(&node);
  titan_mpi_finalize();
  return 0;
}
