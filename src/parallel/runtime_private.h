#ifndef TITAN_PARALLEL_RUNTIME_PRIVATE_H
#define TITAN_PARALLEL_RUNTIME_PRIVATE_H

#include "parallel/gather.h"
#include "parallel/reduce.h"
#include "parallel/runtime.h"

// A part's graph, its executable and the places of its external values (-1: it has none of that name).
typedef struct runtime_part {
  titan_graph *graph;
  titan_executable *executable;
  const titan_plan *plan;
  void **externals; // by external index; filled anew for each unit
  struct {
    int tokens, labels, x, y, loss, logits, rope_table, d_y, d_x, d_loss;
  } at;
} runtime_part;

struct titan_runtime {
  titan_runtime_options options;
  titan_mesh *mesh;
  titan_device *device;
  runtime_part parts[TITAN_PARTS];
  int unit_count;
  titan_unit *units;
  titan_gather *gather;
  titan_reduce *reduce;
  void *scratch;
  void **saved;       // by unit
  void **boundaries;  // by unit: its input x; NULL for the embedding
  void *gradients[2]; // of boundaries, in turn
  float *masters;     // shards of all units when the compute type is not float32
  float *exp_avg, *exp_avg_sq;
  float *rope_table;
  int32_t *tokens, *labels;
  float *loss, *d_loss;
};

size_t titan_runtime_scratch_bytes(const titan_runtime *runtime);
// Bytes of x[B,L,D], or of this rank's rows of it.
size_t titan_runtime_boundary_bytes(const titan_runtime *runtime);
runtime_part *titan_runtime_part_of(titan_runtime *runtime, int unit);

// Makes a part's graph, differentiates it where it is trained, and its executable.
titan_status titan_runtime_part_create(titan_runtime *runtime, titan_part part);
void titan_runtime_part_destroy(runtime_part *part);

#endif
