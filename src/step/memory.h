// SPDX-License-Identifier: Apache-2.0
// What a step's list holds: blocks with lives, by kind, and their places in arenas. Memory of a run is read off this.
#ifndef TITAN_STEP_MEMORY_H
#define TITAN_STEP_MEMORY_H

#include "step/list.h"

typedef enum titan_block_kind {
  TITAN_BLOCK_INPUT,          // of a unit and microbatch: x, the output of the unit before
  TITAN_BLOCK_INPUT_GRADIENT, // d(x)
  TITAN_BLOCK_SAVED,          // what the backward wants of the forward, and nothing later
  TITAN_BLOCK_KEPT,           // what the gradients of weights want of the forward, where they come apart
  TITAN_BLOCK_PASSED,         // what they want of the gradient of the input
  TITAN_BLOCK_SCRATCH,        // of one RUN
  TITAN_BLOCK_GATHERED,       // a unit's whole parameters, from GATHER to RELEASE
  TITAN_BLOCK_FLAT,           // a unit's whole gradients of a microbatch, from RUN until the REDUCE is complete
  TITAN_BLOCK_SUM,            // a unit's whole gradients, added up over microbatches
  TITAN_BLOCK_PART,           // a shard's gradients of one microbatch, on their way into the shard
  TITAN_BLOCK_SHARD,          // a unit's gradient shard, from the first sum to the UPDATE or the OFFLOAD's end
  TITAN_BLOCK_KINDS
} titan_block_kind;

// Arenas, apart because different memory suits them: groups may register or share what is gathered and reduced.
typedef enum titan_arena {
  TITAN_ARENA_ACTIVATIONS, // inputs, their gradients, saved activations, scratch
  TITAN_ARENA_PARAMETERS,  // gathered
  TITAN_ARENA_EXCHANGE,    // flat gradients that are reduced; laid out alike on all ranks of the group
  TITAN_ARENA_GRADIENTS,   // sums, parts and shards
  TITAN_ARENAS
} titan_arena;

typedef struct titan_step_block {
  titan_block_kind kind;
  titan_arena arena;
  int unit, microbatch;
  size_t bytes, offset; // in the arena
  int first, last;      // actions between which it is alive, both included
} titan_step_block;

// Blocks that an action uses; -1: none.
typedef struct titan_step_places {
  int input, output;                   // x of the unit, and of the next
  int input_gradient, output_gradient; // d(x) of the unit, and of the next
  int saved, kept, passed, scratch, gathered;
  int flat, sum, part, shard;
  int tied_shard; // of TIE: that of the other unit
} titan_step_places;

// Bytes of a unit's blocks.
typedef struct titan_step_unit_sizes {
  size_t input; // of x; nothing for the first unit
  size_t saved, kept, passed;
  size_t scratch[TITAN_COMPUTES];
  size_t gathered; // 0: parameters are not gathered into the arena
  size_t flat;     // whole gradients, float32
  size_t shard;    // of them, this rank's shard
  // By what a RUN computes: whether it reads x, and d(y). (A forward reads x in any case.)
  bool reads_input[TITAN_COMPUTES], reads_output_gradient[TITAN_COMPUTES];
} titan_step_unit_sizes;

typedef struct titan_step_sizes {
  const titan_step_unit_sizes *units; // [unit_count]
  bool whole_shards;                  // a shard is the whole (one rank): gradients are written where they stay
  bool own_shards;                    // shards lie outside, from step to step
  size_t alignment;                   // of blocks, bytes
} titan_step_sizes;

typedef struct titan_step_memory {
  titan_step_block *blocks; // owned
  int block_count;
  titan_step_places *places;   // owned: by action
  size_t bytes[TITAN_ARENAS];  // of each arena
  size_t bounds[TITAN_ARENAS]; // the most that is alive in it at once
  int peaks[TITAN_ARENAS];     // the first action at which it is; -1: nothing ever is
} titan_step_memory;

// Lists the blocks of a list and packs them. TITAN_ERROR_MEMORY.
titan_status titan_step_memory_create(const titan_step_list *list, const titan_step_shape *shape,
                                      const titan_step_sizes *sizes, titan_step_memory *out);
void titan_step_memory_destroy(titan_step_memory *memory);

// Lists the blocks without packing them, to ask for titan_step_memory_most. TITAN_ERROR_MEMORY.
titan_status titan_step_memory_list(const titan_step_list *list, const titan_step_shape *shape,
                                    const titan_step_sizes *sizes, titan_step_memory *out);
// What is saved, kept and passed, and scratch, take other bytes, 0 included. What was listed with 0 bytes has no block,
// and gets none.
void titan_step_memory_resize(titan_step_memory *memory, const titan_step_list *list, const titan_step_sizes *sizes);
// The most that is alive in an arena at once, and the first action at which it is; -1: nothing ever is. actions: of the
// list. TITAN_ERROR_MEMORY.
titan_status titan_step_memory_most(const titan_step_memory *memory, titan_arena arena, int actions, size_t *bytes,
                                    int *peak);

const char *titan_block_kind_name(titan_block_kind kind);
const char *titan_arena_name(titan_arena arena);
// Adds each block as a line: kind, unit, microbatch, bytes, offset, life; and the arenas' totals.
titan_status titan_step_memory_print(const titan_step_memory *memory, const titan_step_shape *shape, titan_text *text);

#endif
