// SPDX-License-Identifier: Apache-2.0
// What a run needs to know before it takes memory: sizes from options, checks, and the node's memory against the plan.
#ifndef TITAN_SETUP_SETUP_H
#define TITAN_SETUP_SETUP_H

#include "comm/topology.h"
#include "config/config.h"
#include "optim/optimizer.h"
#include "parallel/runtime.h"
#include "state/save.h"

// What a rank takes beside the runtime: libraries, kernels, tokenizer and a loader's queues. Measured as the resident
// size of a rank of the debug model less its plan (docs/performance.md).
static const size_t titan_setup_process_bytes = (size_t)48 << 20;

titan_mesh_degrees titan_setup_degrees(const titan_config *config);

// Not collective. All checks that options and the model's sizes allow, in one message (TITAN_ERROR_USAGE), one problem
// a line. `ranks`: that there are; an estimate may be for more.
titan_status titan_setup_check(const titan_config *config, int ranks);

// What checkpoint.exclude_from_loading may name; by the first `length` characters of word; false when it is none of
// them.
typedef enum titan_checkpoint_part {
  TITAN_EXCLUDE_OPTIMIZER,
  TITAN_EXCLUDE_DATA,
  TITAN_EXCLUDE_SCHEDULE
} titan_checkpoint_part;
bool titan_setup_checkpoint_part(const char *word, int length, titan_checkpoint_part *out);

// Reports in a line what the options say and what has no effect, and only those who know optimizers can tell.
titan_status titan_setup_warnings(const titan_config *config, void (*report)(void *context, const char *line),
                                  void *context);
// The same of what has no effect on this device.
titan_status titan_setup_device_warnings(const titan_config *config, const titan_device *device,
                                         void (*report)(void *context, const char *line), void *context);
// TITAN_ERROR_USAGE where an option asks for what this device does not do.
titan_status titan_setup_check_device(const titan_config *config, const titan_device *device);
// Model, shape of this rank's part of the step, and the rest from the options. `vocabulary`: of the tokenizer. The
// degrees are resolved. auto_budget: bytes that a rank may take where activation_checkpoint.selective_ac_option is
// auto. schedule: what titan_setup_read_schedule read, borrowed. TITAN_ERROR_USAGE where the vocabulary is too small
// for the tensor-parallel degree.
titan_status titan_setup_runtime_options(const titan_config *config, int64_t vocabulary, titan_mesh_degrees degrees,
                                         size_t auto_budget, const titan_text *schedule, titan_runtime_options *out);
// Collective over node and world. Bytes that every rank of the run can take: of its device's memory where it has its
// own, else the least share of a node.
titan_status titan_setup_available_bytes(titan_device *device, titan_comm *world, titan_comm *node,
                                         const titan_topology *topology, size_t *bytes);
// Collective over node and world. Whether the runtime as it is planned fits every node.
titan_status titan_setup_memory_fits(const titan_config *config, titan_runtime *runtime, titan_comm *world,
                                     titan_comm *node, const titan_topology *topology, bool *fits);
// Where options leave a choice to what memory allows, they begin with what is quickest: changes the next of these to
// what takes less, for a runtime to be planned anew; false: there is none. Alike on all ranks. prefetch: of the runtime
// that was planned (titan_runtime_prefetch).
bool titan_setup_take_less(const titan_config *config, int prefetch, titan_runtime_options *options);
// Sets what training.fsdp_prefetch says, where the activations are set; `auto` is the most that is tried.
void titan_setup_set_prefetch(const titan_config *config, titan_runtime_options *options);
// In a line, what `auto` has come to; nothing where it is not asked for.
titan_status titan_setup_describe_prefetch(const titan_config *config, int prefetch, titan_text *text);
titan_save_mode titan_setup_save_mode(const titan_config *config);
titan_optimizer_options titan_setup_optimizer_options(const titan_config *config);

// Bytes that a rank takes beside its runtime.
typedef struct titan_setup_beside {
  size_t groups;  // the mesh's, and world and node
  size_t loader;  // its batches
  size_t reading; // a document of training.document_limit
  size_t staging; // of checkpoints
  size_t process; // titan_setup_process_bytes
} titan_setup_beside;
// Not collective; groups may be stand-ins.
titan_setup_beside titan_setup_beside_of(const titan_config *config, titan_runtime *runtime, const titan_comm *world,
                                         const titan_comm *node);
size_t titan_setup_beside_sum(const titan_setup_beside *beside);
// training.document_limit in bytes.
size_t titan_setup_document_limit(const titan_config *config);

// Collective over world. Where the activations have a budget: *fixed, alike on all ranks, is the most that a rank takes
// whatever is chosen (titan_runtime_choose); 0 where there is no budget.
titan_status titan_setup_share_budget(const titan_config *config, titan_runtime *runtime, titan_comm *world,
                                      titan_comm *node, size_t *fixed);
// Appends to *out the contents of experimental.pipeline_parallel_schedule_csv; nothing where no file is used. Not
// collective: rank 0 reads it for all. TITAN_ERROR_USAGE where it cannot be read.
titan_status titan_setup_read_schedule(const titan_config *config, titan_text *out);
// How a model's units are dealt out over `ranks` pipeline ranks; nothing where there is one. file: the contents of the
// file of a schedule, borrowed.
titan_pipeline_options titan_setup_pipeline_options(const titan_config *config, int ranks, const titan_text *file);
// Cuts the batches of training and validation into a pipeline's microbatches. The options were checked.
void titan_setup_cut_batches(int ranks, titan_runtime_options *options);
// Adds to problems, a line each, what of these options does not go together.
titan_status titan_setup_check_pipeline(const titan_config *config, titan_text *problems);
// The same failure of titan_runtime_create, told with the options of the pipeline and where they are set. Other
// statuses pass.
titan_status titan_setup_pipeline_error(const titan_config *config, titan_status status);
// The same failure of titan_runtime_choose, told with the option that set the budget. Other statuses pass.
titan_status titan_setup_budget_error(const titan_config *config, titan_status status);

// Collective over node and world. Compares what all ranks of this node will take, `beside` the runtime's memory, with
// what the node has; too much is TITAN_ERROR_USAGE on all ranks, with both figures, what takes the memory, and the
// largest batch that would fit, else the largest length of one sequence.
titan_status titan_setup_check_memory(const titan_runtime *runtime, const titan_setup_beside *beside, titan_mesh *mesh,
                                      titan_device *device, titan_comm *node, const titan_topology *topology);

// Collective over world and node. The rate of a rank in a matrix product of the compute type, FLOP/s, the mean over all
// ranks, from a few products of a moderate size: the peak that mfu refers to where metrics.peak_flops is not given.
// Ranks measure at the same time, as all compute at the same time. Where the ranks of a node take turns on its cores,
// as many measure as it has cores for, and all have an equal part of what these reach.
titan_status titan_setup_measure_peak(titan_device *device, titan_dtype dtype, titan_comm *world, titan_comm *node,
                                      const titan_topology *topology, double *flops);

#endif
