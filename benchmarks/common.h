// SPDX-License-Identifier: Apache-2.0
// What the benchmarks of training steps share. Failures end all ranks, with the status's exit code.
#ifndef TITAN_BENCHMARKS_COMMON_H
#define TITAN_BENCHMARKS_COMMON_H

#include "parallel/runtime.h"

// A benchmark's command line: [flavor [batch [length [float32|bfloat16 [rounds [model [compile]]]]]]].
typedef struct bench_arguments {
  const char *flavor, *model;
  int64_t batch, length, rounds; // batch: sequences of the global batch
  titan_dtype dtype;
  bool compile;
} bench_arguments;

// `defaults` where the command line is shorter.
bench_arguments bench_parse(int argc, char **argv, bench_arguments defaults);

void bench_end(titan_status status);

// Best of `products` products of two size x size matrices of `dtype`, FLOP/s of this rank.
double bench_ceiling(titan_device *device, titan_dtype dtype, int64_t size, int products);

// The model with a vocabulary of 2,256, for a batch that `dp` data-parallel ranks share; nothing is recomputed.
titan_runtime_options bench_runtime_options(const bench_arguments *arguments, int dp);

// Plans, allocates and initialises. Collective over the mesh.
titan_runtime *bench_runtime_create(const titan_runtime_options *options, titan_mesh *mesh, titan_device *device);

// Random tokens and labels that depend on the step only.
void bench_fill_batch(titan_runtime *runtime, int64_t step);

// A whole training step, from 1 on: forward, backward, reduction, gradient norm, optimizer. Collective; seconds.
double bench_step(titan_runtime *runtime, int64_t step);

#endif
