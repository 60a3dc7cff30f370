// Tensor parallelism against one rank with the same cores, in one run, in turns: each round takes one step of every
// way, so that what else the machine does falls on all of them alike.
//
//   mpirun --bind-to none -np 2 benchmarks/tensor_parallel [flavor [batch [length [float32|bfloat16 [rounds
//   [model]]]]]]
//                                                          debugmodel 4 2048 float32 5 llama3
//
// Ranks with one thread each are one tp group; "one rank" is the first of them alone with as many threads as there are
// ranks, while the others sleep. Exposed seconds: inside calls that begin or wait for operations of the tp group
// (copies and sums of the group included), mean over the ranks. The ceiling is the device's own matrix product of the
// compute type, 2048 cubed, by the same ranks and threads.
#include "base/clock.h"
#include "base/random.h"
#include "comm/bootstrap.h"
#include "optim/optimizer.h"
#include "parallel/runtime.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct arguments {
  const char *flavor, *model;
  int64_t batch, length, rounds;
  titan_dtype dtype;
} arguments;

// One way to take the step.
typedef struct way {
  const char *name;
  bool alone, async;
  titan_intra_node intra_node;
  titan_device *device;
  titan_runtime *runtime;
  titan_mesh *mesh;
  double seconds, best, exposed, flops, peak; // sums over rounds; this rank's flops of a step; ceiling of all ranks
} way;

static void end(titan_status status) {
  if (status == TITAN_OK)
    return;
  fprintf(stderr, "%s\n%s\n", titan_error_message(), titan_error_trace());
  MPI_Abort(MPI_COMM_WORLD, titan_status_exit_code(status));
}

static arguments parse(int argc, char **argv) {
  return (arguments){
      .flavor = argc > 1 ? argv[1] : "debugmodel",
      .batch = argc > 2 ? atoll(argv[2]) : 4,
      .length = argc > 3 ? atoll(argv[3]) : 2048,
      .dtype = argc > 4 && strcmp(argv[4], "bfloat16") == 0 ? TITAN_BFLOAT16 : TITAN_FLOAT32,
      .rounds = argc > 5 ? atoll(argv[5]) : 5,
      .model = argc > 6 ? argv[6] : "llama3",
  };
}

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

// Best of several products, FLOP/s of this rank.
static double ceiling(titan_device *device, titan_dtype dtype) {
  enum { SIZE = 2048, PRODUCTS = 6 };
  titan_op_call call = {.kind = TITAN_OP_matmul, .input_count = 2};
  call.inputs[0] = call.inputs[1] = (titan_tensor_type){dtype, 2, {SIZE, SIZE}};
  call.attributes.matmul.transpose_b = true;
  call.attributes.matmul.output = dtype;
  end(titan_op_infer(&call));
  const titan_kernel *kernel = device->kernel(device, TITAN_OP_matmul);
  size_t matrix = (size_t)SIZE * SIZE * sizeof(float);
  void *state = NULL, *workspace;
  char *memory;
  end(device->allocate(device, TITAN_MEMORY_GENERAL, 3 * matrix, &memory));
  device->vector->fill(device, 3 * (int64_t)SIZE * SIZE, (float *)(void *)memory, 1);
  end(device->allocate(device, TITAN_MEMORY_GENERAL, kernel->workspace ? kernel->workspace(device, &call) : 0,
                       &workspace));
  if (kernel->prepare != NULL)
    end(kernel->prepare(device, &call, &state));
  double best = 0;
  for (int i = 0; i < PRODUCTS; i++) {
    double start = titan_clock_seconds();
    end(kernel->run(device, &call, state, (const void *[]){memory, memory + matrix}, (void *[]){memory + 2 * matrix},
                    workspace));
    best = fmax(best, titan_op_cost_of(&call).flops / (titan_clock_seconds() - start));
  }
  if (state != NULL && kernel->release != NULL)
    kernel->release(device, state);
  device->free(device, workspace);
  device->free(device, memory);
  return best;
}

static void create(const arguments *a, way *w, int ranks) {
  titan_runtime_options options = {.model = titan_model_find(a->model), .loss_parallel = true};
  options.intra_node = w->intra_node;
  options.async_tensor = w->async;
  options.compile = true;
  if (!options.model->flavor(a->flavor, &options.arguments)) {
    fprintf(stderr, "flavors: %s\n", options.model->flavor_names);
    MPI_Abort(MPI_COMM_WORLD, 2);
  }
  options.arguments.vocabulary = 2256;
  options.shape = (titan_model_shape){a->batch, a->length, a->batch * a->length, a->dtype};
  end(titan_mesh_create(w->alone ? MPI_COMM_SELF : MPI_COMM_WORLD,
                        (titan_mesh_degrees){1, 1, 1, 1, w->alone ? 1 : ranks}, &w->mesh));
  end(titan_device_create_cpu(w->alone ? ranks : 1, &w->device));
  end(titan_runtime_plan(&options, w->mesh, w->device, &w->runtime));
  end(titan_runtime_allocate(w->runtime));
  end(titan_runtime_initialize(w->runtime, 0));
  for (int unit = 0; unit < titan_runtime_unit_count(w->runtime); unit++)
    for (int phase = 0; phase < TITAN_PHASES; phase++)
      w->flops += titan_runtime_unit(w->runtime, unit)->plan->phases[phase].cost.flops;
  w->best = 1e300;
}

static void destroy(way *w) {
  titan_runtime_destroy(&w->runtime);
  titan_device_destroy(&w->device);
  titan_mesh_destroy(&w->mesh);
}

static void fill_batch(titan_runtime *runtime, int64_t count, int64_t step) {
  titan_random_stream stream = titan_random_stream_create((uint64_t)step, "benchmark.tokens");
  for (int64_t i = 0; i < count; i++) {
    double u[2];
    titan_random_uniform(stream, (uint64_t)(2 * i), 2, u);
    titan_runtime_tokens(runtime)[i] = (int32_t)(u[0] * 2256);
    titan_runtime_labels(runtime)[i] = (int32_t)(u[1] * 2256);
  }
}

// One step; the first is not counted.
static void take_step(const arguments *a, way *w, int64_t step) {
  titan_optimizer_options optimizer = {true, 8e-4, 0.9, 0.95, 1e-8, 0.1, 1.0, 2, 1000, 0, 0};
  titan_comm *world = titan_mesh_comm(w->mesh, TITAN_MESH_WORLD), *tp = titan_mesh_comm(w->mesh, TITAN_MESH_TP);
  float loss;
  fill_batch(w->runtime, a->batch * a->length, step);
  end(titan_comm_barrier(world, NULL));
  double begin = titan_clock_seconds(), exposed = titan_comm_exposed_seconds(tp);
  end(titan_runtime_step(w->runtime, &loss));
  double square = titan_optimizer_sum_of_squares(w->runtime), sum;
  end(titan_comm_all_reduce(world, &square, &sum, 1, TITAN_FLOAT64, TITAN_SUM, NULL));
  end(titan_optimizer_step(w->runtime, &optimizer, step, sqrt(sum)));
  double seconds = titan_clock_seconds() - begin;
  if (step == 1)
    return;
  w->seconds += seconds;
  w->best = fmin(w->best, seconds);
  w->exposed += titan_comm_exposed_seconds(tp) - exposed;
}

static void measure_ceiling(const arguments *a, way *w) {
  double mine = ceiling(w->device, a->dtype), sum;
  end(titan_comm_all_reduce(titan_mesh_comm(w->mesh, TITAN_MESH_WORLD), &mine, &sum, 1, TITAN_FLOAT64, TITAN_SUM,
                            NULL));
  w->peak = fmax(w->peak, sum);
}

static void report(const arguments *a, const way *ways, int count, int ranks) {
  double tokens = (double)(a->batch * a->length), rounds = (double)a->rounds;
  printf("%s %s, batch %lld x %lld, %s, %lld steps of each in turns, %s\n", a->model, a->flavor, (long long)a->batch,
         (long long)a->length, titan_dtype_name(a->dtype), (long long)a->rounds, ways[0].device->description);
  printf("%-34s %9s %9s %10s %9s %12s %12s\n", "", "s/step", "best", "tokens/s", "of one", "exposed s", "of ceiling");
  for (int i = 0; i < count; i++) {
    const way *w = &ways[i];
    double mean = w->seconds / rounds;
    printf("%-34s %9.3f %9.3f %10.0f %9.3f %12.4f %11.1f%%\n", w->name, mean, w->best, tokens / mean,
           ways[0].seconds / w->seconds, w->exposed / rounds, 100 * w->flops * (w->alone ? 1 : ranks) / mean / w->peak);
  }
}

// The mean of the ranks' exposed seconds.
static void average(way *w, int ranks) {
  MPI_Allreduce(MPI_IN_PLACE, &w->exposed, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
  w->exposed /= ranks;
}

int main(int argc, char **argv) {
  titan_mpi mpi;
  end(titan_mpi_initialize(&argc, &argv, &mpi));
  arguments a = parse(argc, argv);
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
        take_step(&a, &ways[i], step);
      meet();
      if (ways[i].runtime != NULL && (step == 1 || step == a.rounds + 1))
        measure_ceiling(&a, &ways[i]);
    }
  for (int i = 0; i < WAYS; i++)
    if (!ways[i].alone)
      average(&ways[i], mpi.size);
  if (mpi.rank == 0)
    report(&a, ways, WAYS, mpi.size);
  for (int i = 0; i < WAYS; i++)
    if (ways[i].runtime != NULL)
      destroy(&ways[i]);
  titan_mpi_finalize();
  return 0;
}
