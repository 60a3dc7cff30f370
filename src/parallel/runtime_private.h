#ifndef TITAN_PARALLEL_RUNTIME_PRIVATE_H
#define TITAN_PARALLEL_RUNTIME_PRIVATE_H

#include "parallel/activation_budget.h"
#include "parallel/activation_checkpoint.h"
#include "parallel/compile.h"
#include "parallel/gather.h"
#include "parallel/reduce.h"
#include "parallel/runtime.h"

// The names that the runtime gives values for; any other external is a constant.
typedef enum runtime_wire {
  WIRE_TOKENS,
  WIRE_LABELS,
  WIRE_X,
  WIRE_Y,
  WIRE_LOSS,
  WIRE_LOGITS,
  WIRE_D_Y,
  WIRE_D_X,
  WIRE_D_LOSS,
  WIRES
} runtime_wire;

// The graph of a kind of units, its executable and the places of its external values (-1: it has none of that name).
typedef struct runtime_part {
  titan_graph *graph;
  titan_executable *executable;
  const titan_plan *plan;
  void **externals; // by external index; wires are filled anew for each unit, constants once
  int at[WIRES];
} runtime_part;

struct titan_runtime {
  titan_runtime_options options;
  titan_mesh *mesh;
  titan_device *device;
  titan_comm *groups[TITAN_PLACEMENT_DIMENSIONS]; // of the mesh: what collectives of a graph go over
  runtime_part *parts;                            // by kind
  runtime_part *others; // by kind: layers with other recomputation than parts[kind]; no graph: there are none
  runtime_part constants, logits;
  bool *is_other;                 // by unit
  titan_compile_report *compiled; // by kind
  int unit_count;
  titan_unit *units;
  titan_gather *gather;
  titan_reduce *reduce;
  bool staged; // the tp group's collectives go through shared memory, taken by this runtime
  void *scratch;
  void **saved;       // by unit
  void **boundaries;  // by unit: its input x; NULL for the first
  void *gradients[2]; // of boundaries, in turn
  float *masters;     // shards of all units when the compute type is not float32
  float *exp_avg, *exp_avg_sq;
  int32_t *tokens, *labels;
  float *loss, *d_loss;
};

size_t titan_runtime_scratch_bytes(const titan_runtime *runtime);
// Bytes of a unit's input x, or of this rank's rows of it; 0 where it has none. And the most of any unit.
size_t titan_runtime_boundary_bytes(const titan_runtime *runtime, int unit);
size_t titan_runtime_largest_boundary(const titan_runtime *runtime);

// The kind of a unit (index into the model's table), whether it is a layer, and how many layers there are.
static inline int titan_runtime_kind_of(const titan_runtime *runtime, int unit) {
  return runtime->options.model->kind_of(&runtime->options.arguments, unit);
}
static inline bool titan_runtime_is_layer(const titan_runtime *runtime, int unit) {
  return titan_model_kind_is_numbered(&runtime->options.model->kinds[titan_runtime_kind_of(runtime, unit)]);
}
int64_t titan_runtime_layer_count(const titan_runtime *runtime);
// The part of a unit.
static inline runtime_part *titan_runtime_part_of(const titan_runtime *runtime, int unit) {
  return &(runtime->is_other[unit] ? runtime->others : runtime->parts)[titan_runtime_kind_of(runtime, unit)];
}

// Not collective. Has the mesh's groups keep what a step's communication needs at most; and the bytes that this, and
// the windows of shared memory, add to the tag COMMUNICATION.
titan_status titan_runtime_reserve(titan_runtime *runtime);
size_t titan_runtime_communication_bytes(const titan_runtime *runtime);
// Collective over the tp group. Lets its collectives go through shared memory where comm.intra_node and the mesh want
// it.
titan_status titan_runtime_stage(titan_runtime *runtime);
void titan_runtime_unstage(titan_runtime *runtime);

// A kind's graph with the passes that come before activation checkpointing. report may be NULL.
titan_status titan_runtime_graph_create(const titan_runtime *runtime, const titan_model_kind *kind,
                                        titan_compile_report *report, titan_graph **out);
// Sets the units' places, once all parts are there. TITAN_ERROR_INTERNAL where parts cannot be wired.
titan_status titan_runtime_lay_out(titan_runtime *runtime);
// Makes a part from its graph, of which it takes possession. `keep`: see titan_activation_checkpoint_apply; NULL: all
// is kept.
titan_status titan_runtime_part_create(titan_runtime *runtime, const titan_model_kind *kind, titan_graph *graph,
                                       const bool *keep, runtime_part *out);
// Checks that units give each other what they take, that the last one gives the loss, and that every other input is a
// constant. TITAN_ERROR_INTERNAL names the unit and the input.
titan_status titan_runtime_wires_check(const titan_runtime *runtime);
// Not collective. Allocates the constants, and lets all parts read them.
titan_status titan_runtime_constants_allocate(titan_runtime *runtime);
size_t titan_runtime_constants_bytes(const titan_runtime *runtime);
// Makes the logits' part where it is not there. TITAN_ERROR_USAGE when the model offers none.
titan_status titan_runtime_logits_create(titan_runtime *runtime);
// The layers' part of a choice, or where `choices` is NULL of a policy.
titan_status titan_runtime_layer_create(titan_runtime *runtime, int kind, const titan_activation_choices *choices,
                                        int choice, titan_keep policy, runtime_part *out);
// The layers for TITAN_ACTIVATIONS_BUDGET; the other parts are there.
titan_status titan_runtime_budget_create(titan_runtime *runtime);
// Decides which layers recompute what, makes them, and lays out the units.
titan_status titan_runtime_blocks_create(titan_runtime *runtime);
void titan_runtime_part_destroy(runtime_part *part);

#endif
