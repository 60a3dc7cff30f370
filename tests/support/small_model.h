// SPDX-License-Identifier: Apache-2.0
// Small Llamas on meshes, for tests of the runtime.
#ifndef TITAN_TESTS_SMALL_MODEL_H
#define TITAN_TESTS_SMALL_MODEL_H

#include "mpi_test.h"

#include "graph/plan.h"
#include "parallel/runtime.h"

// Rows of every test's global batch: a multiple of 1, 2, 3, 4 and 8 ranks.
enum { SMALL_BATCH = 24, SMALL_LENGTH = 12, SMALL_VOCABULARY = 97 };

// The part of the global batch that one of `ranks` data-parallel ranks computes; `variant` picks norm, heads and
// widths.
static inline titan_runtime_options small_model_options(int variant, int ranks, titan_dtype dtype,
                                                        titan_intra_node intra_node) {
  return (titan_runtime_options){
      .model = titan_model_find(variant % 2 ? "llama2" : "llama3"),
      .arguments = {.dim = variant % 2 ? 48 : 64,
                    .layers = 1 + variant % 3,
                    .heads = variant % 2 ? 3 : 4,
                    .kv_heads = variant % 2 ? 1 : 2,
                    .multiple_of = 8,
                    .ffn_dim_multiplier = 1,
                    .norm_epsilon = 1e-5,
                    .rope_theta = 1e4,
                    .vocabulary = SMALL_VOCABULARY,
                    .norm_type = (titan_norm_type)(variant % 4)},
      .shape = {.batch = SMALL_BATCH / ranks, .length = SMALL_LENGTH, .dtype = dtype},
      .global_tokens = SMALL_BATCH * SMALL_LENGTH,
      .slot_count = 2,
      .slots = {"exp_avg", "exp_avg_sq"},
      .intra_node = intra_node,
  };
}

// The rows of a data-parallel rank of a step's batch.
static inline void small_model_batch(titan_runtime *runtime, int step, int rank) {
  const titan_runtime_options *options = titan_runtime_options_of(runtime);
  int64_t count = options->microbatches * options->shape.batch * options->shape.length;
  for (int64_t i = 0; i < count; i++) {
    int64_t token = i + rank * count;
    titan_runtime_tokens(runtime)[i] = (int32_t)((token * 31 + token / 7 + step * 17) % SMALL_VOCABULARY);
    titan_runtime_labels(runtime)[i] = (int32_t)(((token + 1) * 31 + step * 17) % SMALL_VOCABULARY);
  }
}

// Bytes that the units of a step keep from their forward to their backward.
static inline size_t small_model_saved(const titan_runtime *runtime) {
  size_t saved = 0;
  for (int unit = 0; unit < titan_runtime_unit_count(runtime); unit++)
    saved += titan_runtime_program_plan(runtime, titan_runtime_program_of_unit(runtime, unit))->saved_bytes;
  return saved;
}

// A mesh of the world: replicas x shards.
static inline titan_mesh *small_mesh(int replicate) {
  titan_mesh *mesh = NULL;
  titan_mesh_degrees degrees = {1, replicate, test_size() / replicate, 1, 1};
  expect_on_all(titan_mesh_create(MPI_COMM_WORLD, degrees, &mesh) == TITAN_OK);
  return mesh;
}

#endif
