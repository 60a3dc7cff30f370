// SPDX-License-Identifier: Apache-2.0
// What a run will need, from its options alone: the plan of every kind of rank of a mesh that need not be there.
#ifndef TITAN_ESTIMATE_ESTIMATE_H
#define TITAN_ESTIMATE_ESTIMATE_H

#include "comm/topology.h"
#include "device/device_table.h"
#include "setup/estimate_options.h"
#include "setup/setup.h"

// What is asked: borrowed, and outliving the estimate.
typedef struct titan_estimate_question {
  const titan_config *config;
  int world_size, ranks_per_node;
  int64_t vocabulary;
  const char *vocabulary_source;   // text: where it comes from
  const titan_device_facts *facts; // NULL: CPUs like this machine's
  int threads;                     // of a rank, on CPUs
  double available;                // bytes that a rank may take; 0: not known
  const titan_text *schedule;      // the contents of a schedule's file (titan_setup_read_schedule); NULL: there is none
  size_t auto_budget;              // what activation_checkpoint.selective_ac_option = auto goes by
} titan_estimate_question;

enum { TITAN_ESTIMATE_VALUES = 8 };

// A value that units keep for their backward, each `bytes`.
typedef struct titan_estimate_kept {
  char name[2 * TITAN_NAME_BYTES];
  size_t bytes;
  int units;
} titan_estimate_kept;

// The moment of a step at which the values alive take most: what they are.
typedef struct titan_estimate_peak {
  char unit[TITAN_NAME_BYTES]; // "layers.31", "head"
  titan_phase phase;
  int instruction, instructions; // of the phase
  titan_op_kind operation;
  int saved_units;                                 // whose saved activations are alive
  size_t saved_bytes;                              // of those, with the inputs of the units
  titan_estimate_kept kept[TITAN_ESTIMATE_VALUES]; // of those, what takes the most in all, first
  int kept_count;
  size_t kept_others;   // the rest of saved_bytes
  size_t scratch_bytes; // alive in the arena
  struct {
    char name[2 * TITAN_NAME_BYTES];
    size_t bytes;
  } values[TITAN_ESTIMATE_VALUES]; // the largest of scratch, largest first
  int value_count;
  size_t others;     // bytes of the rest of scratch
  size_t validation; // the arena of activations that a batch of validation needs; 0 where a step needs as much
} titan_estimate_peak;

// One kind of rank: all that have the same figures.
typedef struct titan_estimate_kind {
  int first_rank, last_rank, ranks;
  size_t
      by_tag[TITAN_MEMORY_TAG_COUNT]; // of the plan, communication, the loader's batches (DATA), staging (CHECKPOINT)
  size_t own;                         // of libraries, the program, its tables
  size_t total;
  size_t chosen;           // the part of total that modes of activation checkpointing decide
  size_t pinned;           // host memory besides, of a device that is not the host: what is offloaded
  int prefetch;            // units that are gathered ahead; alike on all ranks
  titan_runtime_work work; // of one step
  double packing;          // an arena over its lower bound: the worst of plans and lists
  char activations[1024];  // what is kept and recomputed, in words
  char compiled[256];      // what is fused; empty where nothing is
  char pipeline[4096];     // its schedule and what is predicted; empty where there is no pipeline
  double step_flops;       // predicted time of a step, as FLOPs of a rank; 0 without a pipeline
  titan_estimate_peak peak;
} titan_estimate_kind;

// A change of options that makes it need less, and what it then needs.
typedef struct titan_estimate_advice {
  char text[160];
  size_t total; // of the largest rank
} titan_estimate_advice;

enum { TITAN_ESTIMATE_ADVICE = 8 };

typedef struct titan_estimate {
  titan_estimate_question question;
  titan_mesh_degrees degrees;
  titan_runtime_options options; // of rank 0
  int64_t parameters;            // of the model
  titan_estimate_kind *kinds;    // owned; by first rank
  int kind_count;
  int *kind_of_rank; // owned: [world_size]
  int *samples;      // owned: [sample_count] ranks, of which every other rank has the figures of one
  int sample_count;
  int largest;           // kind with the largest total
  int choice;            // where the schedule of the pipeline was to be chosen: its place among the candidates
  int64_t largest_batch; // that fits; 0: none does, or it is not known what there is
  bool larger_may_fit;   // no larger one was tried
  size_t largest_batch_total;
  titan_estimate_advice advice[TITAN_ESTIMATE_ADVICE]; // where it does not fit
  int advice_count;
} titan_estimate;

// Not collective: one process answers for all ranks. The options were checked for world_size.
titan_status titan_estimate_create(const titan_estimate_question *question, titan_estimate **out);
void titan_estimate_destroy(titan_estimate **estimate);

// Fills largest_batch and advice. Not collective.
titan_status titan_estimate_fit(titan_estimate *estimate);

// The estimate as a table for people, and as JSON.
titan_status titan_estimate_print(const titan_estimate *estimate, titan_text *text);
titan_status titan_estimate_json(const titan_estimate *estimate, titan_text *text);

// The table to stdout, the JSON to <dump>/memory_estimation.json.
titan_status titan_estimate_write(const titan_estimate *estimate);

// debug.dump_plan, debug.dump_graph: of rank 0, into the dump folder.
titan_status titan_estimate_dump(const titan_estimate *estimate);

// --- the program's mode ---

// What the options ask, on a machine where `ranks` run. tokenizer_vocabulary: 0: memory_estimation.vocabulary instead.
titan_estimate_question titan_estimate_question_of(const titan_config *config, const titan_topology *topology,
                                                   int ranks, int64_t tokenizer_vocabulary);

// Collective over world. The whole mode: rank 0 answers on stdout and in <dump>/memory_estimation.json.
// tokenizer_vocabulary as above; schedule: see titan_estimate_question.
titan_status titan_estimate_run(const titan_config *config, const titan_topology *topology, titan_comm *world,
                                int64_t tokenizer_vocabulary, const titan_text *schedule);

// Makes the options those of two real steps that leave the user's files alone: they write to
// <dump>/memory_estimation, load nothing, and save at both steps where the run would save at all. Not collective; on
// every rank, and with `first` on one, which removes what an earlier trial may have left.
titan_status titan_estimate_trial_begin(titan_config *config, bool first);
// The user's dump folder again; with `first` set, what was saved is removed.
titan_status titan_estimate_trial_end(titan_config *config, bool first);

// Collective over world and node, after two real steps. Rank 0 writes the estimate, and beside it what the allocator
// counted on each rank and how its resident memory has grown since it was resident_before (titan_topology_resident).
// TITAN_ERROR_INTERNAL where a count is not what was estimated.
titan_status titan_estimate_compare(const titan_config *config, const titan_topology *topology, titan_device *device,
                                    titan_comm *world, titan_comm *node, int64_t tokenizer_vocabulary,
                                    const titan_text *schedule, uint64_t resident_before);

#endif
