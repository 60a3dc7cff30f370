// SPDX-License-Identifier: Apache-2.0
// A runtime on a mesh with tensor parallelism beside one of this rank alone with the whole batch, for comparing them.
#ifndef TITAN_TESTS_TENSOR_PAIR_H
#define TITAN_TESTS_TENSOR_PAIR_H

#include "host_copy.h"
#include "mpi_test.h"

#include "parallel/runtime.h"

#include <math.h>
#include <string.h>

typedef struct runtime_pair {
  titan_mesh *mesh, *self;
  titan_device *device;
  titan_runtime *many, *alone;
} runtime_pair;

// options->shape.batch: of all data-parallel ranks together. Planned, not allocated.
static inline void pair_create(const titan_runtime_options *options, titan_mesh_degrees degrees, runtime_pair *pair) {
  titan_runtime_options part = *options;
  *pair = (runtime_pair){0};
  part.shape.batch /= degrees.dp_replicate * degrees.dp_shard;
  expect_on_all(titan_mesh_create(MPI_COMM_WORLD, degrees, &pair->mesh) == TITAN_OK);
  expect_on_all(titan_mesh_create(MPI_COMM_SELF, (titan_mesh_degrees){1, 1, 1, 1, 1}, &pair->self) == TITAN_OK);
  expect_on_all(test_device_create(1, &pair->device) == TITAN_OK);
  expect_on_all(titan_runtime_plan(&part, pair->mesh, pair->device, &pair->many) == TITAN_OK);
  expect_on_all(titan_runtime_plan(options, pair->self, pair->device, &pair->alone) == TITAN_OK);
}

static inline void pair_allocate(runtime_pair *pair, uint64_t seed) {
  titan_runtime *runtimes[2] = {pair->many, pair->alone};
  for (int i = 0; i < 2; i++) {
    expect_on_all(titan_runtime_allocate(runtimes[i]) == TITAN_OK);
    expect_on_all(titan_runtime_initialize(runtimes[i], seed) == TITAN_OK);
  }
}

static inline void pair_destroy(runtime_pair *pair) {
  titan_runtime_destroy(&pair->many);
  titan_runtime_destroy(&pair->alone);
  host_copies_keep(NULL);
  titan_device_destroy(&pair->device);
  titan_mesh_destroy(&pair->mesh);
  titan_mesh_destroy(&pair->self);
}

// What a rank holds of one parameter against the whole.
typedef struct pair_comparison {
  const float *whole, *shard;
  double worst, largest;
  int64_t compared, nonzero;
} pair_comparison;

static inline void pair_compare_run(void *context, const titan_unit_run *run) {
  pair_comparison *c = context;
  for (int64_t i = 0; i < run->count; i++) {
    float value = c->shard[run->first_in_shard + i];
    double error = fabs((double)value - (double)c->whole[run->first_in_whole + i]);
    c->worst = error > c->worst || isnan(error) ? error : c->worst;
    c->nonzero += value != 0;
  }
  c->compared += run->count;
}

static inline int pair_parameter_find(const titan_plan *plan, const char *name) {
  for (int p = 0; p < plan->parameter_count; p++)
    if (strcmp(plan->parameters[p].name, name) == 0)
      return p;
  return -1;
}

// Collective. Whether every element of the whole parameter is held, once by each rank or tp group that should hold it,
// within `tolerance` of the whole's largest element, and whatever is held beside the whole is zero.
static inline bool pair_parameter_agrees(const runtime_pair *pair, const titan_unit *part, int p, const float *shard,
                                         const float *whole, int64_t elements, double tolerance) {
  const titan_plan_parameter *parameter = &part->plan->parameters[p];
  pair_comparison c = {.whole = whole, .shard = shard};
  titan_unit_slice slice;
  int64_t held = 0, all = 0;
  for (int64_t i = 0; i < elements; i++)
    c.largest = fmax(c.largest, fabsf(whole[i]));
  if (titan_unit_slice_of(part, p, &slice)) {
    titan_unit_slice_runs(&slice, pair_compare_run, &c);
    for (int64_t i = 0; i < slice.count; i++)
      held += shard[slice.first_in_shard + i] != 0;
  }
  int world = 0, copies = titan_comm_size(titan_mesh_comm(pair->mesh, TITAN_MESH_DP_REPLICATE));
  MPI_Comm_size(MPI_COMM_WORLD, &world);
  if (!parameter->sharded)
    copies *= titan_comm_size(titan_mesh_comm(pair->mesh, TITAN_MESH_TP));
  MPI_Allreduce(&c.compared, &all, 1, MPI_INT64_T, MPI_SUM, MPI_COMM_WORLD);
  bool good = c.worst <= tolerance * c.largest && held == c.nonzero && all == elements * copies;
  if (!good)
    fprintf(stderr, "%s%s: off by %g of %g, %lld nonzero elements of %lld in the whole, %lld held, expected %lld\n",
            part->prefix, parameter->name, c.worst, c.largest, (long long)c.nonzero, (long long)held, (long long)all,
            (long long)(elements * copies));
  return good;
}

// Collective. All parameters' gradients, or master weights.
static inline bool pair_agrees(const runtime_pair *pair, bool gradients, double tolerance) {
  bool good = true;
  for (int u = 0; u < titan_runtime_unit_count(pair->many); u++) {
    const titan_unit *part = titan_runtime_unit(pair->many, u), *whole = titan_runtime_unit(pair->alone, u);
    if (part->plan->parameter_count != whole->plan->parameter_count)
      return false;
    const float *given = host_floats(pair->device, gradients ? part->gradient : part->master, part->shard_elements),
                *expected =
                    host_floats(pair->device, gradients ? whole->gradient : whole->master, whole->shard_elements);
    for (int p = 0; p < part->plan->parameter_count; p++) {
      int q = pair_parameter_find(whole->plan, part->plan->parameters[p].name);
      if (q < 0)
        return false;
      const titan_plan_parameter *parameter = &whole->plan->parameters[q];
      good = pair_parameter_agrees(pair, part, p, given, expected + parameter->first, parameter->elements, tolerance) &&
             good;
    }
  }
  return good;
}

#endif
