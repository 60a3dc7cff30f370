#ifndef TITAN_PARALLEL_RUNTIME_PRIVATE_H
#define TITAN_PARALLEL_RUNTIME_PRIVATE_H

#include "parallel/activation_budget.h"
#include "parallel/activation_checkpoint.h"
#include "parallel/compile.h"
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
  titan_comm *groups[TITAN_PLACEMENT_DIMENSIONS]; // of the mesh: what collectives of a graph go over
  runtime_part parts[TITAN_PARTS];
  runtime_part other_block; // blocks with other recomputation than parts[TITAN_PART_BLOCK]; no graph: there are none
  bool *is_other;           // by unit
  titan_compile_report compiled[TITAN_PARTS];
  int unit_count;
  titan_unit *units;
  titan_gather *gather;
  titan_reduce *reduce;
  bool staged; // the tp group's collectives go through shared memory, taken by this runtime
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
// The part of a unit.
static inline runtime_part *titan_runtime_part_of(const titan_runtime *runtime, int unit) {
  const runtime_part *part = runtime->is_other[unit]
                                 ? &runtime->other_block
                                 : &runtime->parts[titan_model_unit_part(&runtime->options.arguments, unit)];
  return (runtime_part *)part;
}

// Not collective. Has the mesh's groups keep what a step's communication needs at most; and the bytes that this, and
// the windows of shared memory, add to the tag COMMUNICATION.
titan_status titan_runtime_reserve(titan_runtime *runtime);
size_t titan_runtime_communication_bytes(const titan_runtime *runtime);
// Collective over the tp group. Lets its collectives go through shared memory where comm.intra_node and the mesh want
// it.
titan_status titan_runtime_stage(titan_runtime *runtime);
void titan_runtime_unstage(titan_runtime *runtime);

// A part's graph with the passes that come before activation checkpointing.
titan_status titan_runtime_graph_create(titan_runtime *runtime, titan_part part, titan_graph **out);
// Sets the units' places, once all parts are there.
void titan_runtime_lay_out(titan_runtime *runtime);
// Makes a part from its graph, of which it takes possession. `keep`: see titan_activation_checkpoint_apply; NULL: all
// is kept.
titan_status titan_runtime_part_create(titan_runtime *runtime, titan_part part, titan_graph *graph, const bool *keep,
                                       runtime_part *out);
// A block of a choice, or where `choices` is NULL of a policy.
titan_status titan_runtime_block_create(titan_runtime *runtime, const titan_activation_choices *choices, int choice,
                                        titan_keep policy, runtime_part *out);
// The blocks for TITAN_ACTIVATIONS_BUDGET; the other parts are there.
titan_status titan_runtime_budget_create(titan_runtime *runtime);
// Decides which blocks recompute what, makes them, and lays out the units.
titan_status titan_runtime_blocks_create(titan_runtime *runtime);
void titan_runtime_part_destroy(runtime_part *part);

#endif
