// SPDX-License-Identifier: Apache-2.0
// Training steps of a model with the layers of Llama 3 8B on one GPU: tokens/s, MFU, time by operation, and memory
// against the plan. As in training, a step is put into the queues before the one before it has ended.
//
//   gpu_step [--layers 8] [--batch 1] [--length 8192] [--activations none|op|full] [--warm 3] [--steps 10]
//            [--peak 989e12] [--divisor 1] [--json FILE]
//
// --peak: FLOP/s that MFU refers to; of the GPU's datasheet, dense bfloat16. FLOPs are those of the reference's
// formula: attention in full, nothing of what is recomputed. --divisor divides length, widths and vocabulary, for a
// trial on an emulated GPU. The time by operation is of two further steps, in which the host waits for the GPU after
// each phase.
#include "../common.h"

#include "base/clock.h"
#include "comm/bootstrap.h"
#include "device/numbers.h"
#include "device/plugin.h"
#include "device/queue.h"
#include "optim/optimizer.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TIMED_STEPS = 2 };

typedef struct settings {
  bench_arguments model;
  int64_t layers, warm, divisor;
  const char *activations, *json;
  double peak;
} settings;

typedef struct results {
  double start, step, tokens_per_second, tflops, mfu, loss;
  double planned, counted,
      taken;    // bytes of device memory: by the plan; by the device's counts; off the GPU's free ones
  double timed; // seconds of the steps that are timed by operation
  titan_op_timing rows[TITAN_OP_COUNT];
} results;

static const titan_optimizer_options optimizer = {.learning_rate = 3e-4,
                                                  .beta1 = 0.9,
                                                  .beta2 = 0.95,
                                                  .epsilon = 1e-8,
                                                  .weight_decay = 0.1,
                                                  .max_norm = 1.0,
                                                  .warmup_steps = 2,
                                                  .total_steps = 1000};

static void usage(const char *option, const char *value) {
  bench_end(titan_error(TITAN_ERROR_USAGE,
                        "%s %s: expected --layers, --batch, --length, --warm, --steps, --divisor and a number of at "
                        "least 1, --peak and FLOP/s, --activations none, op or full, or --json FILE",
                        option, value));
}

static settings parse(int argc, char **argv) {
  settings s = {.model = {"8B", "llama3", 1, 8192, 10, TITAN_BFLOAT16, true},
                .layers = 8,
                .warm = 3,
                .divisor = 1,
                .activations = "none",
                .peak = 989e12};
  const struct {
    const char *name;
    int64_t *value;
  } numbers[] = {{"--layers", &s.layers}, {"--batch", &s.model.batch},  {"--length", &s.model.length},
                 {"--warm", &s.warm},     {"--steps", &s.model.rounds}, {"--divisor", &s.divisor}};
  for (int i = 1; i < argc; i += 2) {
    const char *value = i + 1 < argc ? argv[i + 1] : "";
    bool known = false;
    for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++)
      if (strcmp(argv[i], numbers[k].name) == 0)
        known = (*numbers[k].value = atoll(value)) > 0;
    if (strcmp(argv[i], "--activations") == 0) {
      s.activations = value;
      known = strcmp(value, "none") == 0 || strcmp(value, "op") == 0 || strcmp(value, "full") == 0;
    } else if (strcmp(argv[i], "--peak") == 0) {
      known = (s.peak = atof(value)) > 0;
    } else if (strcmp(argv[i], "--json") == 0) {
      known = *(s.json = value) != '\0';
    }
    if (!known)
      usage(argv[i], value);
  }
  return s;
}

static titan_runtime_options options_of(settings *s) {
  s->model.length = s->model.length / s->divisor > 1 ? s->model.length / s->divisor : 1;
  titan_runtime_options options = bench_runtime_options(&s->model, 1);
  titan_model_arguments *a = &options.arguments;
  a->layers = s->layers;
  a->vocabulary = 128256 / s->divisor;
  if (s->divisor > 1) { // four heads of at least 16 elements for each kv head, as in the whole model
    a->heads = a->dim / s->divisor >= 64 ? a->dim / s->divisor / 16 : 4;
    a->dim = 16 * a->heads;
    a->kv_heads = a->heads / 4;
    a->multiple_of = 16;
  }
  options.activations.mode = strcmp(s->activations, "op") == 0     ? TITAN_ACTIVATIONS_OPERATIONS
                             : strcmp(s->activations, "full") == 0 ? TITAN_ACTIVATIONS_FULL
                                                                   : TITAN_ACTIVATIONS_KEPT;
  return options;
}

// Puts a step into the queues.
static void begin_step(titan_runtime *runtime, const titan_optimizer_options *rule, int64_t step) {
  titan_optimizer_step_state state = {0};
  bench_end(titan_runtime_next_batch(runtime));
  bench_fill_batch(runtime, step);
  bench_end(titan_optimizer_begin(&state, runtime, rule, step));
  bench_end(titan_runtime_step(runtime, NULL));
  bench_end(titan_optimizer_add_squares(&state, runtime));
  titan_numbers_request request = {
      .square_count = state.squares, .replicas = 1, .max_norm = rule->max_norm, .token_ranks = 1};
  bench_end(titan_runtime_sum_numbers(runtime, &request));
  bench_end(titan_runtime_send_numbers(runtime, step));
  bench_end(titan_optimizer_update(&state, runtime));
}

static double loss_of(titan_runtime *runtime, int64_t step) {
  titan_step_numbers numbers;
  bench_end(titan_runtime_numbers(runtime, step, &numbers));
  if (numbers.loss != numbers.loss)
    bench_end(titan_error(TITAN_ERROR_NUMBERS, "step %lld: the loss is not finite", (long long)step));
  return numbers.loss;
}

// Steps from `first` on; the loss of the last.
static double run_steps(titan_runtime *runtime, int64_t first, int64_t count) {
  titan_optimizer_options rule = optimizer;
  double loss = 0;
  rule.rule = titan_optimizer_rule_find("AdamW");
  for (int64_t step = first; step < first + count; step++) {
    begin_step(runtime, &rule, step);
    if (step > first)
      loss = loss_of(runtime, step - 1);
  }
  loss = loss_of(runtime, first + count - 1);
  bench_end(titan_device_drain(titan_runtime_device(runtime)));
  return loss;
}

static double device_bytes(void) {
  double bytes = 0;
  for (int tag = 0; tag < TITAN_MEMORY_TAG_COUNT; tag++)
    bytes += (double)titan_memory_usage_of_device((titan_memory_tag)tag).peak_bytes;
  return bytes;
}

static double free_bytes(titan_device *device) {
  size_t available = 0, total;
  bench_end(device->memory(device, &available, &total));
  return (double)available;
}

static void measure(const settings *s, titan_runtime *runtime, results *r) {
  const titan_runtime_options *options = titan_runtime_options_of(runtime);
  int64_t parameters, embedding;
  bench_end(titan_model_count_parameters(options->model, &options->arguments, &parameters, &embedding));
  run_steps(runtime, 1, s->warm);
  double begin = titan_clock_seconds();
  r->loss = run_steps(runtime, s->warm + 1, s->model.rounds);
  r->step = (titan_clock_seconds() - begin) / (double)s->model.rounds;
  r->tokens_per_second = (double)options->global_tokens / r->step;
  r->tflops = 1e-12 * r->tokens_per_second *
              titan_model_flops_per_token(&options->arguments, parameters, embedding, options->shape.length);
  r->mfu = 1e12 * r->tflops / s->peak;
  titan_executor_timing_start();
  begin = titan_clock_seconds();
  run_steps(runtime, s->warm + s->model.rounds + 1, TIMED_STEPS);
  r->timed = (titan_clock_seconds() - begin) / TIMED_STEPS;
  titan_executor_timing_stop(r->rows);
}

static void write_json(const settings *s, const titan_device *device, const results *r) {
  FILE *file = fopen(s->json, "w");
  if (file == NULL)
    bench_end(titan_error(TITAN_ERROR_USAGE, "--json %s: the file cannot be written", s->json));
  fprintf(file,
          "{\"device\": \"%s\", \"layers\": %lld, \"batch\": %lld, \"length\": %lld, \"activations\": \"%s\",\n"
          " \"start_seconds\": %.3f, \"step_seconds\": %.6f, \"tokens_per_second\": %.1f, \"tflops\": %.2f, \"mfu\": "
          "%.4f, \"loss\": %.5f,\n \"planned_bytes\": %.0f, \"counted_bytes\": %.0f, \"taken_bytes\": %.0f,\n"
          " \"timed_step_seconds\": %.6f, \"operations\": {",
          device->description, (long long)s->layers, (long long)s->model.batch, (long long)s->model.length,
          s->activations, r->start, r->step, r->tokens_per_second, r->tflops, r->mfu, r->loss, r->planned, r->counted,
          r->taken, r->timed);
  const char *comma = "";
  for (int kind = 0; kind < TITAN_OP_COUNT; kind++)
    if (r->rows[kind].calls > 0) {
      fprintf(file, "%s\n  \"%s\": {\"seconds\": %.6f, \"calls\": %lld}", comma, titan_op_name((titan_op_kind)kind),
              r->rows[kind].seconds / TIMED_STEPS, (long long)(r->rows[kind].calls / TIMED_STEPS));
      comma = ",";
    }
  fprintf(file, "}}\n");
  fclose(file);
}

static void print(const settings *s, const titan_device *device, const results *r) {
  double counted = 0;
  printf("%s\n%lld layers of 8B, batch %lld x %lld, activations: %s\n", device->description, (long long)s->layers,
         (long long)s->model.batch, (long long)s->model.length, s->activations);
  printf("step: %.1f ms, %.0f tokens/s, %.1f TFLOP/s, MFU %.1f %%; loss %.4f; start %.1f s\n", 1e3 * r->step,
         r->tokens_per_second, r->tflops, 100 * r->mfu, r->loss, r->start);
  printf("memory of the GPU: plan %.3f GiB, counted %.3f GiB, taken %.3f GiB\n", r->planned / (1 << 30),
         r->counted / (1 << 30), r->taken / (1 << 30));
  for (int kind = 0; kind < TITAN_OP_COUNT; kind++) {
    double seconds = r->rows[kind].seconds / TIMED_STEPS;
    if (r->rows[kind].calls > 0)
      printf("%-24s %6lld calls %10.2f ms %5.1f %%\n", titan_op_name((titan_op_kind)kind),
             (long long)(r->rows[kind].calls / TIMED_STEPS), 1e3 * seconds, 100 * seconds / r->timed);
    counted += seconds;
  }
  printf("%-24s %12s %10.2f ms %5.1f %%\n", "optimizer, norm, waits", "", 1e3 * (r->timed - counted),
         100 * (r->timed - counted) / r->timed);
}

int main(int argc, char **argv) {
  titan_mpi mpi;
  titan_mesh *mesh;
  titan_device *device;
  titan_text remark = {0};
  results r = {0};
  bench_end(titan_mpi_initialize(&argc, &argv, &mpi));
  settings s = parse(argc, argv);
  titan_device_request request = {.threads = omp_get_max_threads(), .node_size = 1};
  bench_end(titan_cpu_isa_choose(&request.level));
  bench_end(titan_device_create(TITAN_DEVICE_CUDA, &request, &remark, &device));
  bench_end(titan_mesh_create(MPI_COMM_WORLD, (titan_mesh_degrees){1, 1, 1, 1, 1}, &mesh));
  double available = free_bytes(device), begin = titan_clock_seconds();
  titan_runtime_options options = options_of(&s);
  titan_runtime *runtime = bench_runtime_create(&options, mesh, device);
  r.start = titan_clock_seconds() - begin;
  measure(&s, runtime, &r);
  r.planned = (double)titan_runtime_memory_of(runtime).total;
  r.counted = device_bytes();
  r.taken = available - free_bytes(device);
  print(&s, device, &r);
  if (s.json != NULL)
    write_json(&s, device, &r);
  titan_runtime_destroy(&runtime);
  titan_mesh_destroy(&mesh);
  titan_device_destroy(&device);
  titan_text_destroy(&remark);
  titan_mpi_finalize();
  return 0;
}
