// SPDX-License-Identifier: Apache-2.0
#ifndef TITAN_PARALLEL_RUNTIME_PRIVATE_H
#define TITAN_PARALLEL_RUNTIME_PRIVATE_H

#include "device/nonfinite.h"
#include "device/numbers.h"
#include "parallel/gather.h"
#include "parallel/nonfinite.h"
#include "parallel/reduce.h"
#include "parallel/runtime.h"
#include "passes/activation_budget.h"
#include "passes/activation_checkpoint.h"
#include "passes/compile.h"
#include "step/memory.h"
#include "step/schedule.h"

// What an external value of a program is bound to.
typedef enum runtime_wire {
  WIRE_TOKENS,
  WIRE_LABELS,
  WIRE_INPUT,           // x
  WIRE_OUTPUT,          // y
  WIRE_INPUT_GRADIENT,  // d(x)
  WIRE_OUTPUT_GRADIENT, // d(y)
  WIRE_LOSS,
  WIRE_LOSS_GRADIENT, // d(loss)
  WIRE_LOGITS,
  WIRE_CONSTANT, // a result of the model's constants, by name: the first of the constants
} runtime_wire;

// A kind of unit with one choice of passes: its graph, the executable, and what its external values are.
typedef struct runtime_program {
  int kind; // of the model
  titan_graph *graph;
  titan_executable *executable;
  const titan_plan *plan;
  void **externals; // by external index; filled anew for each RUN
  int *wires;       // by external index: a runtime_wire, or WIRE_CONSTANT + the constant's index; -1: there is none
  titan_compile_report compiled;
} runtime_program;

// The lists that a runtime has: of training, and of forwards alone.
typedef enum runtime_step_kind { STEP_TRAINING, STEP_VALIDATION, STEPS } runtime_step_kind;

enum { UNIT_NAME_BYTES = 48, KINDS_MOST = 16 };

// Batches that the host fills in turn, and numbers of steps that it reads in turn.
enum { PAIRS = 2, SLOTS = 2 };

typedef struct runtime_batch {
  int32_t *tokens, *labels;
  titan_mark copied; // into the device's memory
} runtime_batch;

typedef struct runtime_slot runtime_slot; // runtime_numbers.c

// Groups of the device that the runtime itself uses; gathers and reductions have their own.
typedef enum runtime_group {
  GROUP_TENSOR, // collectives of programs
  GROUP_PIPELINE,
  GROUP_NUMBERS_DATA, // a step's numbers
  GROUP_NUMBERS_PIPELINE,
  GROUP_NUMBERS_TENSOR,
  RUNTIME_GROUPS
} runtime_group;

// One list with its programs and its memory.
typedef struct runtime_step {
  bool exists;
  titan_model_shape shape; // of a microbatch
  runtime_program *programs;
  int program_count;
  int *program_of_unit;
  titan_step_unit *units;
  char (*names)[UNIT_NAME_BYTES];
  titan_step_unit_sizes *unit_sizes;
  titan_step_sizes sizes;
  titan_order order; // of all pipeline ranks
  titan_step_shape lowering;
  titan_step_list list;
  titan_step_memory memory;
  int *reduce_numbers; // by action: how many REDUCEs stand before it
  int *begun_at;       // by action: of SENT and RECEIVED, the place of the SEND or RECV
  titan_work **works;  // by action: of SEND and RECV, the transfer in flight
  int first_update;    // action at which the updates of a step without early ones begin; the list's end else
} runtime_step;

// Of an action, in its latest step.
typedef struct runtime_measurement {
  titan_span span;  // when it ran
  double processor; // seconds of a processor that it took
} runtime_measurement;

// Findings of different ranks are ordered by these, one after another. Of an operation: when its cell of the pipeline's
// order begins, as predicted; the action; the instruction; the output.
enum { SEARCH_KEYS = 4 };

// A step that runs again, to find the first operation with a result that is not finite.
typedef struct runtime_search {
  titan_nonfinite_scanner scanner;
  titan_prediction prediction; // of a pipeline
  const runtime_step *step;
  int place;                // of the RUN under way
  double keys[SEARCH_KEYS]; // of what this rank has found first; INFINITY: nothing yet
  titan_text text;          // what it is
} runtime_search;

struct titan_runtime {
  titan_runtime_options options;
  titan_mesh *mesh;
  titan_device *device;
  titan_comm *device_groups[RUNTIME_GROUPS];      // of the device, or the mesh's
  titan_comm *groups[TITAN_PLACEMENT_DIMENSIONS]; // of these: what collectives of programs go over
  runtime_step steps[STEPS];
  runtime_program constants, logits;
  int unit_count;
  titan_unit *units;
  int stages;
  int *first_unit;      // [stages + 1]
  bool *holds;          // by unit
  bool splits_backward; // the order computes gradients of weights apart
  titan_runtime_tie tie;
  int *completion; // units in the order in which their gradients are complete
  titan_gather *gather;
  titan_reduce *reduce;
  bool staged;  // the tp group's collectives go through shared memory, taken by this runtime
  int levelled; // groups that were asked whether they go in two levels
  char *arenas[TITAN_ARENAS];
  float *masters;                 // shards of all units, unless what is gathered are the masters
  float *slots[TITAN_MOST_SLOTS]; // shards of all units
  // Offloading: in host memory, but for `offload` of all units.
  struct runtime_offload *offload; // runtime_offload.c
  float *gradients;
  void *stages_of_parameters[2]; // in turn, where the compute type is not float32
  int parameter_stage;
  titan_mark gradients_copied, parameters_copied[2];
  void *constant_values[TITAN_MAX_OUTPUTS + 1];
  int32_t *tokens, *labels; // what programs read
  runtime_batch pairs[PAIRS];
  int pair; // that the host fills now
  // Of a step's numbers, in one block of the device's memory.
  void *block;
  titan_step_state *state;
  titan_step_numbers *numbers;
  double *flags;   // [TITAN_NUMBERS]
  double *squares; // by counted slice of a parameter
  float *losses;   // by microbatch
  float *d_loss;
  runtime_slot *slots_of_numbers; // of the host
  float *host_losses;             // where the device's memory is apart
  titan_updater updater;
  void (*watch)(void *context, const titan_runtime_span *span); // NULL: nobody watches
  void *watch_context;
  runtime_measurement *measured; // by action of training; NULL: it is not asked for
  runtime_search *search;        // borrowed; NULL: a step is not looked at
  struct {
    bool wanted, is_on;      // is_on: the queues record
    int64_t eager;           // steps that were not replayed
    titan_recording *step;   // NULL: none yet
    uint64_t bytes;          // payload of its communication, as titan_comm_bytes_of_all
    int64_t lists, of_lists; // lists of training that were made so far; when it was recorded
  } recording;
};

static inline runtime_program *titan_runtime_program_of(const runtime_step *step, int unit) {
  return &step->programs[step->program_of_unit[unit]];
}
static inline titan_comm *titan_runtime_pipeline_group(const titan_runtime *runtime) {
  return titan_mesh_comm(runtime->mesh, TITAN_MESH_PP);
}
static inline titan_comm *titan_runtime_shard_group(const titan_runtime *runtime) {
  return titan_mesh_comm(runtime->mesh, TITAN_MESH_DP_SHARD_CP);
}
static inline titan_comm *titan_runtime_replicate_group(const titan_runtime *runtime) {
  return titan_mesh_comm(runtime->mesh, TITAN_MESH_DP_REPLICATE);
}
// Shards that the list does not place: they live from step to step.
static inline bool titan_runtime_owns_shards(const titan_runtime *runtime) {
  return !runtime->options.early_update && !runtime->options.offload;
}

// Makes the order of training for all pipeline ranks, and deals the units out over them: stages, holds.
titan_status titan_runtime_split(titan_runtime *runtime);
// The order of validation, with the stages of training.
titan_status titan_runtime_validation_order_create(titan_runtime *runtime);
// Whether this rank runs the program.
bool titan_runtime_uses(const titan_runtime *runtime, const runtime_step *step, int program);
// Microbatches of a step.
int titan_runtime_microbatches(const titan_runtime *runtime, runtime_step_kind kind);
// Begins or ends the transfer that the action at `place` is.
titan_status titan_runtime_transfer(titan_runtime *runtime, runtime_step *step, int place, void *block);
// Transfers that are in flight at once, at most.
int titan_runtime_transfers_in_flight(const titan_runtime *runtime);

// Not collective. Has the mesh's groups keep what a step's communication needs at most; and the bytes that this, and
// the windows of shared memory, add to the tag COMMUNICATION.
titan_status titan_runtime_reserve(titan_runtime *runtime);
size_t titan_runtime_communication_bytes(const titan_runtime *runtime);
// Collective over all ranks; fails alike on all. Lets the tp group's collectives go through shared memory, and those of
// groups that span nodes in two levels, where comm.intra_node and the mesh want it.
titan_status titan_runtime_share(titan_runtime *runtime);
void titan_runtime_unshare(titan_runtime *runtime);

// A graph of a kind of unit, with the passes that come before activation checkpointing. `backward`: differentiated,
// where the kind has a backward. *compiled (may be NULL): what was fused.
titan_status titan_runtime_graph_create(titan_runtime *runtime, const titan_model_kind *kind,
                                        const titan_model_shape *shape, bool backward, titan_compile_report *compiled,
                                        titan_graph **out);
// Makes a program from its graph, of which it takes possession. `keep`: see titan_activation_checkpoint_apply; NULL:
// all is kept. The kind's number is `kind`; -1: it is none of a unit.
titan_status titan_runtime_program_create(titan_runtime *runtime, const titan_model_kind *row, int kind,
                                          titan_graph *graph, const bool *keep, bool backward, runtime_program *out);
void titan_runtime_program_destroy(runtime_program *program);
// Another program for a step; its index.
titan_status titan_runtime_program_add(runtime_step *step, int *index, runtime_program **out);
// A program of a kind that recomputes by a choice, or where `choices` is NULL by a policy.
titan_status titan_runtime_block_create(titan_runtime *runtime, int kind, const titan_activation_choices *choices,
                                        int choice, titan_keep policy, runtime_program *out);

// Programs of the units of a step, but for those of the kinds that activation checkpointing is for.
titan_status titan_runtime_programs_create(titan_runtime *runtime, runtime_step_kind kind);
// Decides which units recompute what, for training. With a budget this is provisional: as little as can be is kept.
titan_status titan_runtime_blocks_create(titan_runtime *runtime);
// With a budget: the programs with which the rank's memory fits. fixed: see titan_activation_options.
titan_status titan_runtime_budget_choose(titan_runtime *runtime, size_t fixed);
// Whether activation checkpointing is for this kind: its units are layers, with a backward that is no part of their
// forward.
bool titan_runtime_is_checkpointed(const titan_runtime *runtime, int kind);

// TITAN_ERROR_INTERNAL, with the unit and the input, where the units of a step do not fit together.
titan_status titan_runtime_wires_check(const titan_runtime *runtime, const runtime_step *step);
// Finds the parameters that are one. TITAN_ERROR_INTERNAL where the model has no such pair, or the passes cut it
// differently.
titan_status titan_runtime_tie_find(titan_runtime *runtime);
// Adds up the gradients of the two, in the shards of both.
titan_status titan_runtime_tie_gradients(titan_runtime *runtime);
// Sets the units' places, once programs are there and what is tied is known.
void titan_runtime_lay_out(titan_runtime *runtime);
// Makes the list of a step and packs its memory; anew where there was one.
titan_status titan_runtime_list_create(titan_runtime *runtime, runtime_step_kind kind);
// Where it is still to be chosen how many units are gathered ahead: chooses, by the lowering of training.
titan_status titan_runtime_prefetch_choose(titan_runtime *runtime, const runtime_step *step);
void titan_runtime_step_destroy(runtime_step *step);
// Scratch by what is computed.
void titan_runtime_set_scratch(const titan_plan *plan, size_t scratch[TITAN_COMPUTES]);
// Bytes of an arena: the most that a list needs.
size_t titan_runtime_arena_bytes(const titan_runtime *runtime, titan_arena arena);

titan_reduce_options titan_runtime_reduce_options(titan_runtime *runtime);
// Bytes of the constants together, each aligned.
size_t titan_runtime_constant_bytes(const titan_runtime *runtime);

// Buffers of the batch; bytes of one of them. LOAD, before the first of which a step has begun.
titan_status titan_runtime_batch_allocate(titan_runtime *runtime);
void titan_runtime_batch_free(titan_runtime *runtime);
size_t titan_runtime_batch_bytes(const titan_runtime *runtime);
titan_status titan_runtime_batch_begin(titan_runtime *runtime);
titan_status titan_runtime_batch_load(titan_runtime *runtime, const runtime_step *step, int microbatch);

// The batch into the device's memory and its mark, before a step that is replayed.
titan_status titan_runtime_batch_load_all(titan_runtime *runtime, const runtime_step *step);

void titan_runtime_forget_recording(titan_runtime *runtime);

// Where a step's numbers lie; bytes in DEVICE space, and in HOST space.
titan_status titan_runtime_numbers_allocate(titan_runtime *runtime);
void titan_runtime_numbers_free(titan_runtime *runtime);
size_t titan_runtime_numbers_bytes(const titan_runtime *runtime);
size_t titan_runtime_numbers_host_bytes(const titan_runtime *runtime);
// Waits. The sum of the losses of a list's microbatches; 0 on a rank without the last stage.
titan_status titan_runtime_read_losses(titan_runtime *runtime, runtime_step_kind kind, double *sum);

// Sums of squares that there is room for.
size_t titan_runtime_square_count(const titan_runtime *runtime);

// --- offloading (runtime_offload.c) ---

// Bytes in HOST space.
void titan_runtime_offload_add_bytes(const titan_runtime *runtime, size_t by_tag[TITAN_MEMORY_TAG_COUNT]);
// All but masters and states of the optimizer.
titan_status titan_runtime_offload_allocate(titan_runtime *runtime);
void titan_runtime_offload_free(titan_runtime *runtime);
// OFFLOAD of a unit, with its sums over replicas complete; the end of the latest one, for which the host waits.
titan_status titan_runtime_offload_begin(titan_runtime *runtime, int unit);
titan_status titan_runtime_offload_end(titan_runtime *runtime);
// UPDATE of a unit.
titan_status titan_runtime_offload_update(titan_runtime *runtime, int unit);
// The host's sums of squares go to the device; the device's state comes to the host, which waits for it.
titan_status titan_runtime_offload_squares(titan_runtime *runtime, int count);
titan_status titan_runtime_offload_read_state(titan_runtime *runtime);
// All parameters in the compute type anew, from the masters. The host waits.
titan_status titan_runtime_offload_masters(titan_runtime *runtime);

// Collective over the mesh: the groups of the device. Destroying them is collective too. Their bytes, those of gathers
// and reductions included.
titan_status titan_runtime_groups_create(titan_runtime *runtime);
void titan_runtime_groups_destroy(titan_runtime *runtime);
size_t titan_runtime_group_bytes(const titan_runtime *runtime);

// Where the RUN at `place` finds what is wired. The plan's parameters in a unit's whole flat vector; NULL of NULL.
void *titan_runtime_wire_address(const titan_runtime *runtime, const runtime_step *step, int place, int wire);
const void *titan_runtime_plan_parameters(const titan_runtime *runtime, int unit, const void *whole);

// Of a step that is looked at: what the RUN at `place` reads, before it begins; one phase of its program. Only the
// first finding is kept.
titan_status titan_runtime_search_inputs(titan_runtime *runtime, const runtime_step *step, int place);
titan_status titan_runtime_search_phase(titan_runtime *runtime, const runtime_program *program, titan_phase phase,
                                        const titan_bindings *bindings);
// Adds "3 of 128 values are not finite, the first is nan at [0,3]" for a tensor with these dimensions.
titan_status titan_runtime_search_describe(int64_t count, const titan_nonfinite *found, int rank, const int64_t *dims,
                                           titan_text *text);

// For people: "forward", "gather", ... Static.
const char *titan_runtime_action_name(const titan_action *action);
// Runs the actions first .. end - 1 of a step's list.
titan_status titan_runtime_run(titan_runtime *runtime, runtime_step *step, int first, int end);

#endif
