// SPDX-License-Identifier: Apache-2.0
// A plan: what runs. Flat lists of instructions with every operand's place decided; complete before anything is
// allocated, so that its memory and cost are read off it.
//
// An operand's address is base[operand.base] + operand.offset. Bases, in order: the arenas below, then one for each
// external value (the graph's inputs, then its results and input gradients).
#ifndef TITAN_GRAPH_PLAN_H
#define TITAN_GRAPH_PLAN_H

#include "graph/graph.h"

typedef enum titan_base {
  TITAN_BASE_SCRATCH,    // of this phase; nothing in it outlives the phase
  TITAN_BASE_SAVED,      // what the backward wants of the forward, and nothing later
  TITAN_BASE_KEPT,       // what the phase of weight gradients wants of the forward
  TITAN_BASE_PASSED,     // what it wants of the backward
  TITAN_BASE_PARAMETERS, // the unit's flat buffer, compute type
  TITAN_BASE_GRADIENTS,  // the unit's flat gradients, float32
  TITAN_BASE_EXTERNAL,   // the first external value
} titan_base;

// Parameters begin at multiples of so many elements in the flat buffer, so that each is aligned in every type.
enum { TITAN_PARAMETER_ALIGNMENT = 32, TITAN_PLAN_ALIGNMENT = 64 };

typedef struct titan_operand {
  int base;
  size_t offset; // bytes
} titan_operand;

typedef struct titan_instruction {
  const titan_node *node; // borrowed from the graph
  titan_operand inputs[TITAN_MAX_INPUTS];
  titan_operand outputs[TITAN_MAX_OUTPUTS];
  titan_operand workspace;
  size_t workspace_bytes;
} titan_instruction;

typedef struct titan_plan_parameter {
  char name[TITAN_NAME_BYTES];
  titan_tensor_type type;  // as computed with
  titan_block_place place; // in the tensor that the model names
  bool sharded;            // over a dimension that shards the graph: other ranks there hold other blocks
  int64_t first;           // element in the flat buffer
  int64_t elements;
} titan_plan_parameter;

typedef struct titan_plan_external {
  char name[TITAN_NAME_BYTES];
  titan_tensor_type type;
  bool written; // by the plan
} titan_plan_external;

// Memory in the scratch or saved arena: of a value, with the values that are parts of it or written over it, or an
// instruction's workspace.
typedef struct titan_plan_block {
  titan_value value; // TITAN_NO_VALUE: a workspace
  size_t bytes, offset;
  int first, last; // instructions of the phase between which a scratch block is alive, both included
} titan_plan_block;

typedef struct titan_plan_phase {
  titan_instruction *instructions;
  int count;
  titan_plan_block *blocks; // of scratch
  int block_count;
  size_t scratch_bytes;
  size_t scratch_bound;     // the largest set of scratch values alive at once: no packing can be smaller
  titan_op_cost cost;       // of all instructions
  titan_op_cost recomputed; // of those that compute something again
} titan_plan_phase;

typedef struct titan_plan {
  const titan_graph *graph; // borrowed: it must outlive the plan
  titan_plan_phase phases[TITAN_PHASES];
  size_t saved_bytes, kept_bytes, passed_bytes;
  titan_plan_block *saved; // of saved, then of kept, whose offsets go on; lives are not set
  int saved_count;
  titan_plan_parameter *parameters;
  int parameter_count;
  int64_t flat_elements; // of the flat buffer, with the gaps that alignment leaves
  titan_plan_external *externals;
  int external_count;
} titan_plan;

typedef struct titan_plan_options {
  // Put forward and backward into one phase (TITAN_FORWARD), each backward node as early as possible after what it
  // needs: the head's chunks of logits then live one at a time.
  bool merge_phases;
  // Of blocks in the scratch and saved arenas, bytes; 0: TITAN_PLAN_ALIGNMENT.
  size_t alignment;
  // Bytes of workspace a call needs on the device; NULL: none.
  size_t (*workspace)(void *context, const titan_op_call *call);
  void *context;
} titan_plan_options;

titan_status titan_plan_create(const titan_graph *graph, const titan_plan_options *options, titan_plan **out);
void titan_plan_destroy(titan_plan **plan);

// Payload bytes that one rank moves in one run of a phase over the groups of a placement dimension (TITAN_PLACEMENT_TP,
// say), by kind and counted as titan_comm_traffic counts them: (n-1) b for an all_gather (of columns too) that sends b
// bytes, or a reduce_scatter that receives b, in a group of n ranks; b for an all_reduce of b bytes; nothing in a
// group of one rank. operations: calls.
typedef struct titan_plan_traffic {
  uint64_t all_gather, reduce_scatter, all_reduce, operations;
} titan_plan_traffic;
titan_plan_traffic titan_plan_traffic_of(const titan_plan *plan, titan_phase phase, int dimension);
// Of one call, over the dimension of its attributes; no operation where it is no collective.
titan_plan_traffic titan_op_traffic_of(const titan_op_call *call);
// The most bytes that one rank gives to one of these operations, in either phase.
size_t titan_plan_largest_transfer(const titan_plan *plan, int dimension);

// Index of an external value by name, for base TITAN_BASE_EXTERNAL + index; -1 when there is none.
int titan_plan_external_find(const titan_plan *plan, const char *name);

#endif
