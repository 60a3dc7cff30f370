// The runtime of one step: a model's kinds as executables, its units as flat shards, the activations between them, and
// the walk forward and back with gathering and reducing on the way.
//
// Creation has two stages, so that the memory is known before any of it is taken: titan_runtime_plan makes graphs,
// plans and layouts; titan_runtime_allocate takes what titan_runtime_memory_of says, to the byte.
#ifndef TITAN_PARALLEL_RUNTIME_H
#define TITAN_PARALLEL_RUNTIME_H

#include "device/executor.h"
#include "mesh/mesh.h"
#include "model/model.h"
#include "parallel/unit.h"

typedef struct titan_runtime titan_runtime;

// What becomes of the activations that the backward wants: see parallel/activation_checkpoint.h.
typedef enum titan_activation_mode {
  TITAN_ACTIVATIONS_KEPT,
  TITAN_ACTIVATIONS_FULL,       // each block keeps its input only
  TITAN_ACTIVATIONS_EVERY,      // every n-th block keeps its input only
  TITAN_ACTIVATIONS_OPERATIONS, // attention, reduce-scattered sums and every second product are kept
  TITAN_ACTIVATIONS_BUDGET,     // the least recomputation with which the rank's memory fits
} titan_activation_mode;

typedef struct titan_activation_options {
  titan_activation_mode mode;
  int64_t every; // TITAN_ACTIVATIONS_EVERY: n >= 1
  // TITAN_ACTIVATIONS_BUDGET. Ranks that share a plan (a tp group) must choose alike, so both are the same on every
  // rank.
  size_t budget; // bytes that a rank may take
  size_t fixed;  // the part of the budget that no choice changes: the largest, over the ranks, of total - chosen (see
                 // titan_runtime_memory) and what a rank takes beside the runtime; 0: this rank's own total - chosen
} titan_activation_options;

typedef struct titan_runtime_options {
  const titan_model_definition *model;
  titan_model_arguments arguments;
  titan_model_shape shape; // of this rank
  int64_t global_tokens;   // counted tokens of the whole step, over all ranks: what the loss is divided by; >= 1
  titan_intra_node intra_node;
  bool loss_parallel; // with tensor parallelism: logits stay cut over the vocabulary
  titan_activation_options activations;
  bool compile;      // fuse operations
  bool async_tensor; // with tensor parallelism: transfers go on during products (parallel/async_tensor.h)
} titan_runtime_options;

// Bytes that the runtime takes on this rank, by tag: those from TITAN_MEMORY_PARAMETERS on, and COMMUNICATION beyond
// what the mesh's groups have by themselves.
typedef struct titan_runtime_memory {
  size_t by_tag[TITAN_MEMORY_TAG_COUNT];
  size_t total;
  size_t chosen; // of total: the scratch arena and what blocks save, which modes of activation checkpointing decide
} titan_runtime_memory;

// FLOPs of a rank's step, and of these, what is computed again.
typedef struct titan_runtime_work {
  double flops, recomputed;
} titan_runtime_work;
titan_runtime_work titan_runtime_work_of(const titan_runtime *runtime);

// In a line, for people: what blocks keep, what is recomputed in how many of them, and what it costs.
titan_status titan_runtime_describe_activations(const titan_runtime *runtime, titan_text *text);
// In a line: how often each rewrite of the compile pass was made, over all units. Nothing where compile is off.
titan_status titan_runtime_describe_compile(const titan_runtime *runtime, titan_text *text);

// Not collective. TITAN_ERROR_USAGE when a budget cannot be met, with the least that can. mesh and device are borrowed
// and must outlive the runtime.
titan_status titan_runtime_plan(const titan_runtime_options *options, titan_mesh *mesh, titan_device *device,
                                titan_runtime **out);
titan_runtime_memory titan_runtime_memory_of(const titan_runtime *runtime);
// Collective over the mesh. Parameters and states are zero.
titan_status titan_runtime_allocate(titan_runtime *runtime);
// Collective over the mesh when allocated.
void titan_runtime_destroy(titan_runtime **runtime);

// Collective. Initial values of all parameters, a function of seed, name and global index only.
titan_status titan_runtime_initialize(titan_runtime *runtime, uint64_t seed);
// Collective. Makes the shards that the optimizer (or a load) wrote visible to all.
titan_status titan_runtime_publish(titan_runtime *runtime);

// The rank's buffers for the next step's batch: [B,L] int32 each.
int32_t *titan_runtime_tokens(titan_runtime *runtime);
int32_t *titan_runtime_labels(titan_runtime *runtime);

// Not collective. TITAN_ERROR_DATA when a token or label of the batch is outside the vocabulary, and the label is not
// TITAN_LABEL_IGNORED: a token that does not count. To be agreed on before
// the step, which the ranks of a tp group could not refuse: each knows a part of the vocabulary.
titan_status titan_runtime_check_batch(const titan_runtime *runtime);
// Collective. Forward, backward and the reduction of gradients. *loss: the sum over this rank's counted tokens divided
// by options.global_tokens (the sum over the data-parallel ranks is the mean loss). Afterwards every unit's gradient
// shard holds the gradient of the mean loss.
titan_status titan_runtime_step(titan_runtime *runtime, double *loss);

// Not collective; needs the parameters whole on this rank (one rank). logits: [B*L,V] float32 for the present tokens.
titan_status titan_runtime_logits(titan_runtime *runtime, float *logits);

int titan_runtime_unit_count(const titan_runtime *runtime);
titan_unit *titan_runtime_unit(titan_runtime *runtime, int unit);
titan_mesh *titan_runtime_mesh(titan_runtime *runtime);
titan_device *titan_runtime_device(titan_runtime *runtime);
const titan_runtime_options *titan_runtime_options_of(const titan_runtime *runtime);
// How parameters reach the kernels: "one rank", "shared memory", "MPI".
const char *titan_runtime_gathering(const titan_runtime *runtime);
// The graph of the model's constants after its passes, NULL where it has none.
const titan_graph *titan_runtime_constants(const titan_runtime *runtime);

#endif
