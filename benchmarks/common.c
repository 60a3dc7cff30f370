// SPDX-License-Identifier: Apache-2.0
#include "common.h"

#include "base/clock.h"
#include "base/random.h"
#include "device/product.h"
#include "optim/optimizer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VOCABULARY = 2256 };

bench_arguments bench_parse(int argc, char **argv, bench_arguments defaults) {
  bench_arguments a = defaults;
  if (argc > 1)
    a.flavor = argv[1];
  if (argc > 2)
    a.batch = atoll(argv[2]);
  if (argc > 3)
    a.length = atoll(argv[3]);
  if (argc > 4)
    a.dtype = strcmp(argv[4], "bfloat16") == 0 ? TITAN_BFLOAT16 : TITAN_FLOAT32;
  if (argc > 5)
    a.rounds = atoll(argv[5]);
  if (argc > 6)
    a.model = argv[6];
  a.compile = argc > 7 && strcmp(argv[7], "compile") == 0;
  if (titan_model_find(a.model) == NULL || a.batch < 1 || a.length < 1 || a.rounds < 1) {
    fprintf(stderr, "usage: %s [flavor [batch [length [float32|bfloat16 [rounds [llama2|llama3 [compile]]]]]]]\n",
            argv[0]);
    MPI_Abort(MPI_COMM_WORLD, 2);
  }
  return a;
}

void bench_end(titan_status status) {
  if (status == TITAN_OK)
    return;
  fprintf(stderr, "%s\n%s\n", titan_error_message(), titan_error_trace());
  MPI_Abort(MPI_COMM_WORLD, titan_status_exit_code(status));
}

double bench_ceiling(titan_device *device, titan_dtype dtype, int64_t size, int products) {
  const titan_product_request request = {.dtype = dtype, .size = size, .least = products, .most = products};
  titan_product_times times;
  double best = 0;
  bench_end(titan_device_time_products(device, &request, &times));
  for (int i = 0; i < times.count; i++)
    best = fmax(best, times.flops / times.seconds[i]);
  return best;
}

titan_runtime_options bench_runtime_options(const bench_arguments *arguments, int dp) {
  titan_runtime_options options = {.model = titan_model_find(arguments->model)};
  if (!options.model->flavor(arguments->flavor, &options.arguments)) {
    fprintf(stderr, "%s has the flavors %s\n", arguments->model, options.model->flavor_names);
    MPI_Abort(MPI_COMM_WORLD, 2);
  }
  if (arguments->batch % dp != 0) {
    fprintf(stderr, "the batch must be divisible by the number of data-parallel ranks, %d\n", dp);
    MPI_Abort(MPI_COMM_WORLD, 2);
  }
  options.arguments.vocabulary = VOCABULARY;
  options.shape = (titan_model_shape){arguments->batch / dp, arguments->length, arguments->dtype, 0};
  options.global_tokens = arguments->batch * arguments->length;
  options.slot_count = 2;
  options.slots[0] = "exp_avg";
  options.slots[1] = "exp_avg_sq";
  options.loss_parallel = true;
  options.compile = arguments->compile;
  return options;
}

titan_runtime *bench_runtime_create(const titan_runtime_options *options, titan_mesh *mesh, titan_device *device) {
  titan_runtime *runtime;
  bench_end(titan_runtime_plan(options, mesh, device, &runtime));
  bench_end(titan_runtime_allocate(runtime));
  bench_end(titan_runtime_initialize(runtime, 0));
  return runtime;
}

void bench_fill_batch(titan_runtime *runtime, int64_t step) {
  titan_random_stream stream = titan_random_stream_create((uint64_t)step, "benchmark.tokens");
  const titan_runtime_options *options = titan_runtime_options_of(runtime);
  double vocabulary = (double)options->arguments.vocabulary;
  for (int64_t i = 0; i < options->shape.batch * options->shape.length; i++) {
    double u[2];
    titan_random_uniform(stream, (uint64_t)(2 * i), 2, u);
    titan_runtime_tokens(runtime)[i] = (int32_t)(u[0] * vocabulary);
    titan_runtime_labels(runtime)[i] = (int32_t)(u[1] * vocabulary);
  }
}

double bench_step(titan_runtime *runtime, int64_t step) {
  const titan_optimizer_options optimizer = {.rule = titan_optimizer_rule_find("AdamW"),
                                             .learning_rate = 8e-4,
                                             .beta1 = 0.9,
                                             .beta2 = 0.95,
                                             .epsilon = 1e-8,
                                             .weight_decay = 0.1,
                                             .max_norm = 1.0,
                                             .warmup_steps = 2,
                                             .total_steps = 1000};
  titan_comm *world = titan_mesh_comm(titan_runtime_mesh(runtime), TITAN_MESH_WORLD);
  double loss;
  bench_fill_batch(runtime, step);
  bench_end(titan_comm_barrier(world, NULL));
  double begin = titan_clock_seconds();
  bench_end(titan_runtime_step(runtime, &loss));
  double square = titan_optimizer_sum_of_squares(runtime), sum;
  bench_end(titan_comm_all_reduce(world, &square, &sum, 1, TITAN_FLOAT64, TITAN_SUM, NULL));
  bench_end(titan_optimizer_step(runtime, &optimizer, step, sqrt(sum)));
  return titan_clock_seconds() - begin;
}
