// SPDX-License-Identifier: Apache-2.0
// The runtime: a model's kinds of units as programs, its units as flat shards, and a step as a list of actions
// (step/list.h), which one loop runs. A second list of forwards alone, for validation, shares parameters and memory.
//
// Creation has stages, so that the memory is known before any of it is taken: titan_runtime_plan makes graphs,
// programs, lists and layouts; titan_runtime_allocate takes what titan_runtime_memory_of says, to the byte.
#ifndef TITAN_PARALLEL_RUNTIME_H
#define TITAN_PARALLEL_RUNTIME_H

#include "device/executor.h"
#include "mesh/mesh.h"
#include "model/model.h"
#include "parallel/unit.h"
#include "step/memory.h"
#include "step/predict.h"
#include "step/schedule.h"

typedef struct titan_runtime titan_runtime;

// What becomes of the activations that the backward wants: see passes/activation_checkpoint.h.
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

// How the units are dealt out over the pipeline ranks (the mesh's dimension pp), and the order of their forwards and
// backwards. All members 0: one stage a rank, "plain". Texts are borrowed.
typedef struct titan_pipeline_options {
  const titan_schedule_row *schedule; // NULL: "plain", for one rank
  bool automatic;                     // to be chosen (parallel/pipeline_choice.h), before a runtime is made
  const char *file;                   // name of a file with an order, in place of a schedule; NULL: none
  const titan_text *file_text;        // its contents (step/schedule_csv.h), borrowed
  bool single_stage;                  // the file has one stage a rank
  int stages;                         // over all ranks, without points; 0: what the schedule has where users do not say
  const char *points;                 // names of units that begin a stage, apart by commas; NULL or "": none are given
  bool even;     // without points: TorchTitan's rule; else the costliest stage costs least (step/split.h)
  int64_t parts; // microbatches that a batch of training.batch_size sequences is cut into; 0 is 1
} titan_pipeline_options;

typedef struct titan_runtime_options {
  const titan_model_definition *model;
  titan_model_arguments arguments;
  titan_model_shape shape; // of one microbatch of this rank
  int64_t microbatches;    // of a step; 0 is 1
  titan_pipeline_options pipeline;
  int64_t
      global_tokens; // counted tokens of the whole step, over all microbatches and ranks: what the loss is divided by
  titan_reduce_when reduce;
  bool keep_gathered;      // a unit's parameters stay whole from its first use in a step to its last
  int prefetch;            // units whose parameters are gathered ahead of the one that computes; 0 is 1
  bool prefetch_is_chosen; // when a runtime is created: as many of these as serve (step/gather_ahead.h)
  bool early_update;       // a unit is updated as soon as its gradients are complete, whose memory is used again
  bool offload; // masters, states and gradients are in host memory, and the host updates them; no effect on a device
                // whose memory is the host's
  // float32 states that the optimizer keeps for each parameter, by name; static texts.
  int slot_count;
  const char *slots[TITAN_MOST_SLOTS];
  titan_model_shape validation;    // of one microbatch of a rank; batch 0: there is no validation
  int64_t validation_microbatches; // of a rank's batch; 0 is 1
  titan_intra_node intra_node;
  bool loss_parallel; // with tensor parallelism: logits stay cut over the vocabulary
  titan_activation_options activations;
  bool compile;      // fuse operations
  bool async_tensor; // with tensor parallelism: transfers go on during products (passes/async_tensor.h)
} titan_runtime_options;

// Bytes that the runtime takes on this rank, by tag: those from TITAN_MEMORY_PARAMETERS on, and COMMUNICATION beyond
// what the mesh's groups have by themselves.
typedef struct titan_runtime_memory {
  size_t by_tag[TITAN_MEMORY_TAG_COUNT];
  size_t total;
  size_t chosen; // of total: the arena of activations, which modes of activation checkpointing decide
  // Host memory (TITAN_SPACE_HOST) besides, where the device's memory is apart.
  size_t pinned_by_tag[TITAN_MEMORY_TAG_COUNT], pinned;
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
// Units that are gathered ahead, at most all; alike on all ranks.
int titan_runtime_prefetch(const titan_runtime *runtime);

// The stages of titan_runtime_plan, for those who share a budget over ranks: where the activations have one,
// titan_runtime_create leaves them as small as can be, and titan_runtime_choose takes the least recomputation that
// fits, with fixed as in titan_activation_options. Without a budget there is nothing to choose. Not collective.
titan_status titan_runtime_create(const titan_runtime_options *options, titan_mesh *mesh, titan_device *device,
                                  titan_runtime **out);
titan_status titan_runtime_choose(titan_runtime *runtime, size_t fixed);
// Collective over the mesh. Parameters and states are zero.
titan_status titan_runtime_allocate(titan_runtime *runtime);
// Collective over the mesh when allocated.
void titan_runtime_destroy(titan_runtime **runtime);

// Collective. Initial values of all parameters, a function of seed, name and global index only.
titan_status titan_runtime_initialize(titan_runtime *runtime, uint64_t seed);
// Collective. Makes the shards that the optimizer (or a load) wrote visible to all.
titan_status titan_runtime_publish(titan_runtime *runtime);
// The same, of compute copies that follow from the masters: for who has set masters by hand.
titan_status titan_runtime_publish_masters(titan_runtime *runtime);

// The rank's buffers for the next step's batch, in host memory: [M,B,L] int32 each, M the microbatches; for validation
// of its own shape and number of microbatches, in the same memory.
int32_t *titan_runtime_tokens(const titan_runtime *runtime);
int32_t *titan_runtime_labels(const titan_runtime *runtime);
// Not collective. The buffers may be written again: waits for the device where it still reads them. To be called before
// a batch is written while an earlier step may still go on; what an earlier batch left in them is not there any longer.
titan_status titan_runtime_next_batch(titan_runtime *runtime);

// Not collective. TITAN_ERROR_DATA when a token or label of the batch is outside the vocabulary (a label may be
// TITAN_LABEL_IGNORED). To be agreed on before the step, which the ranks of a tp group could not refuse: each knows a
// part of the vocabulary.
titan_status titan_runtime_check_batch(const titan_runtime *runtime);
titan_status titan_runtime_check_validation_batch(const titan_runtime *runtime);

// What an optimizer does with one unit: called by the list's UPDATEs, in their order, alike on all ranks.
typedef struct titan_updater {
  titan_status (*update)(void *context, titan_runtime *runtime, int unit);
  // After the last of titan_runtime_update, before the new parameters are visible; may be NULL.
  titan_status (*finish)(void *context, titan_runtime *runtime);
  void *context;
} titan_updater;
// To be set before the first UPDATE, and to hold until the last.
void titan_runtime_set_updater(titan_runtime *runtime, titan_updater updater);

// Collective. The list up to its last gradient: forward, backward and the reduction of gradients; with early_update the
// updates too. *loss: the sum over this rank's tokens divided by global_tokens (the sum over the data-parallel ranks is
// the mean loss); NULL: it is not waited for. Afterwards every unit's gradient shard holds the gradient of the mean
// loss (not with early_update, where its memory has been used again).
titan_status titan_runtime_step(titan_runtime *runtime, double *loss);
// Collective. The rest of the list: the updates; then makes the new parameters visible to all.
titan_status titan_runtime_update(titan_runtime *runtime);

// --- recorded steps (device/device.h: titan_queue_functions.record) ---

// Why steps of a runtime cannot be recorded; the larger one counts where ranks differ.
typedef enum titan_recording_obstacle {
  TITAN_RECORDING_POSSIBLE,
  TITAN_RECORDING_SYNCHRONOUS, // debug.device_synchronous
  TITAN_RECORDING_HOST_GROUPS, // groups that go through host memory
  TITAN_RECORDING_OFFLOAD,
  TITAN_RECORDING_PIPELINE,
  TITAN_RECORDING_DEVICE,   // a device that cannot record
  TITAN_RECORDING_NO_QUEUE, // a device without queues
} titan_recording_obstacle;
// Not collective; of an allocated runtime. For people: "the groups of GPUs go through host memory"; static.
titan_recording_obstacle titan_runtime_recording_obstacle(const titan_runtime *runtime);
const char *titan_recording_obstacle_text(titan_recording_obstacle obstacle);

// Alike on all ranks, where there is no obstacle: from now on steps are recorded.
void titan_runtime_record_steps(titan_runtime *runtime);
// Not collective, alike on all ranks. Whether the next step is to be replayed: one has run otherwise before, in which
// libraries prepare what cannot be recorded, and nobody looks at this one's actions or operations.
bool titan_runtime_replays(const titan_runtime *runtime);
// Collective. A step from a recording. `ask` has the device asked for all of it; it is called for the first such step
// alone, and again where the list of training has changed. The batch of this rank is copied first. Before it the
// step's constants and flags are set. An error of `ask`, or of what cannot be recorded, is every rank's.
titan_status titan_runtime_replay(titan_runtime *runtime, titan_status (*ask)(void *context), void *context);

// --- the step's numbers (device/numbers.h) ---

// In DEVICE space: what updates go by.
titan_step_state *titan_runtime_state(titan_runtime *runtime);
// Whose memory has the masters, the states of the optimizer and, after titan_runtime_step, the gradients: the runtime's
// device, or with offloading the CPU device beside it. What updates go by there, and room for a sum of squares for each
// parameter of each unit that the rank holds.
titan_device *titan_runtime_optimizer_device(titan_runtime *runtime);
titan_step_state *titan_runtime_optimizer_state(titan_runtime *runtime);
double *titan_runtime_squares(titan_runtime *runtime);
// Before a step's first update. step: counted from 1; what the host waits for is of the step two before.
titan_status titan_runtime_set_constants(titan_runtime *runtime, int64_t step, const titan_step_constants *constants);
// What this rank contributes to the numbers of a step (titan_numbers_request.flags), after titan_runtime_set_constants.
titan_status titan_runtime_set_flags(titan_runtime *runtime, int64_t step, const double *flags);
// Collective, after titan_runtime_step, the flags and the sums of squares. Sums the numbers over the ranks and judges
// them, without waiting. Of the request: square_count, replicas, max_norm, token_ranks; the rest is filled in.
titan_status titan_runtime_sum_numbers(titan_runtime *runtime, titan_numbers_request *request);
// Has the numbers of a step sent to the host; waits for them. Those of two steps can be on their way.
titan_status titan_runtime_send_numbers(titan_runtime *runtime, int64_t step);
titan_status titan_runtime_numbers(titan_runtime *runtime, int64_t step, titan_step_numbers *out);

// Collective. Runs the list of forwards for the validation batch. *loss_sum: the sum over this rank's counted tokens.
titan_status titan_runtime_validate(titan_runtime *runtime, double *loss_sum);

// Not collective; needs the parameters whole on this rank (one rank). logits: [B*L,V] float32 for the present tokens of
// the first microbatch.
titan_status titan_runtime_logits(titan_runtime *runtime, float *logits);

// Two parameters that are one (titan_model_tie), as unit and index of the unit's plan. Each is a parameter of its unit,
// with shards, states and gradients of its own, that have the same bits as the other's after each step; they lie at the
// same elements of the same ranks' shards.
typedef struct titan_runtime_tie {
  bool exists;
  int units[2], parameters[2];
} titan_runtime_tie;
titan_runtime_tie titan_runtime_tie_of(const titan_runtime *runtime);
// Whether a parameter is the second of these: what is counted over all parameters leaves it out.
bool titan_runtime_is_copy(const titan_runtime *runtime, int unit, int parameter);

// Whether this pipeline rank holds a unit: has memory for it and runs it. Of others it knows the plan, and the shard
// has no elements.
bool titan_runtime_holds(const titan_runtime *runtime, int unit);
// The stages of the pipeline and the order in which all its ranks compute, for training; borrowed.
typedef struct titan_runtime_pipeline {
  int stages;
  const int *first_unit; // [stages + 1]
  const titan_order *order;
} titan_runtime_pipeline;
titan_runtime_pipeline titan_runtime_pipeline_of(const titan_runtime *runtime);
// The training's order in a simulation (parallel/pipeline_costs.h). scale: seconds a FLOP; 1: times are in FLOPs. To be
// destroyed by titan_prediction_destroy.
titan_status titan_runtime_predict(const titan_runtime *runtime, double scale, titan_prediction *out);
// One action of a step's list as it ran: a unit's forward or backward, the begin or end of a transfer, an update.
typedef struct titan_runtime_span {
  const char *what;  // static: "forward", "gather", ...
  const char *unit;  // valid during the call; "" where it is of none
  int microbatch;    // -1: of none
  double begin, end; // as titan_clock_seconds
} titan_runtime_span;
// Not collective. From now on `watcher` is called after each action of training and validation; NULL: no more. Off, it
// costs nothing.
void titan_runtime_watch(titan_runtime *runtime, void (*watcher)(void *context, const titan_runtime_span *span),
                         void *context);
// From now on steps note when what was computed; before the first of them. Not collective.
titan_status titan_runtime_measure(titan_runtime *runtime);
// Collective over a pipeline's ranks, after a step: the latest step as a simulation gives it, in seconds. *clock: as it
// was; ranks' busy time is that of their operations. The clocks are those of the nodes, so that only ranks of one node
// are told together rightly. *processor: the order simulated with the processor time that each of its cells took, which
// other processes on the same cores do not change. Both to be destroyed by titan_prediction_destroy.
titan_status titan_runtime_measured(titan_runtime *runtime, titan_prediction *clock, titan_prediction *processor);
// Of the schedule, or the path of its file.
const char *titan_runtime_schedule_name(const titan_runtime *runtime);
// In a line: schedule, stages, microbatches, and what is predicted. Nothing where there is one pipeline rank.
titan_status titan_runtime_describe_pipeline(const titan_runtime *runtime, titan_text *text);

int titan_runtime_unit_count(const titan_runtime *runtime);
titan_unit *titan_runtime_unit(titan_runtime *runtime, int unit);
titan_mesh *titan_runtime_mesh(titan_runtime *runtime);
titan_device *titan_runtime_device(titan_runtime *runtime);
const titan_runtime_options *titan_runtime_options_of(const titan_runtime *runtime);
// How parameters reach the kernels: "one rank", "shared memory", "MPI".
const char *titan_runtime_gathering(const titan_runtime *runtime);

// The programs of training: kinds of units with their choice of passes.
int titan_runtime_program_count(const titan_runtime *runtime);
const titan_graph *titan_runtime_program_graph(const titan_runtime *runtime, int program);
const titan_plan *titan_runtime_program_plan(const titan_runtime *runtime, int program);
// "block", or, for another program of the same kind, with the name of its first unit, "block.layers.1"; into text (size
// bytes).
void titan_runtime_program_name(const titan_runtime *runtime, int program, char *text, size_t size);
int titan_runtime_program_of_unit(const titan_runtime *runtime, int unit);
// The program that computes the model's constants; NULL where it has none.
const titan_graph *titan_runtime_constants(const titan_runtime *runtime);

// The list of a step, what it was lowered by, and its memory; of validation where `validation`, NULL where there is
// none.
typedef struct titan_runtime_list {
  const titan_step_list *list;
  const titan_step_shape *shape;
  const titan_step_memory *memory;
} titan_runtime_list;
titan_runtime_list titan_runtime_list_of(const titan_runtime *runtime, bool validation);

#endif
