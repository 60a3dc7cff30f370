// SPDX-License-Identifier: Apache-2.0
// The compute order of a step: what a schedule decides, for all pipeline ranks at once. The first of the three steps
// that make a step's list (order, lowering, check: see docs/architecture.md).
#ifndef TITAN_STEP_ORDER_H
#define TITAN_STEP_ORDER_H

#include "base/text.h"

// What a stage computes for a microbatch. A whole backward is B; schedules that want them apart give the gradient of
// the stage's input first (I) and the gradients of its weights later (W).
typedef enum titan_compute {
  TITAN_COMPUTE_FORWARD,         // F
  TITAN_COMPUTE_BACKWARD,        // B
  TITAN_COMPUTE_INPUT_GRADIENT,  // I
  TITAN_COMPUTE_WEIGHT_GRADIENT, // W
  TITAN_COMPUTES
} titan_compute;

typedef struct titan_cell {
  int stage, microbatch;
  titan_compute compute;
  bool paired; // a forward and a backward that do not need each other: the next cell may run beside this one
} titan_cell;

typedef struct titan_order {
  int ranks, stages, microbatches;
  int *rank_of_stage; // owned: [stages]
  titan_cell **cells; // owned: [ranks][counts[rank]]
  int *counts;        // owned: [ranks]
  int *capacities;    // owned: [ranks]
} titan_order;

// Which stages a rank holds.
typedef enum titan_stage_placement {
  TITAN_STAGES_LOOP, // stage s lies on rank s mod ranks
  TITAN_STAGES_V,    // two a rank: rank r has stages r and 2 * ranks - 1 - r, so the last one lies on rank 0
} titan_stage_placement;

// An order without cells, with the stages in a loop. TITAN_ERROR_MEMORY.
titan_status titan_order_create(int ranks, int stages, int microbatches, titan_order *out);
void titan_order_destroy(titan_order *order);
// Before cells are added. V wants 2 * ranks stages.
void titan_order_place(titan_order *order, titan_stage_placement placement);
titan_status titan_order_add(titan_order *order, int rank, titan_compute compute, int stage, int microbatch);
// The last two cells of a rank are a pair.
void titan_order_pair(titan_order *order, int rank);

// The cell as schedules are written: "3F5", stage, what is computed, microbatch.
titan_status titan_cell_print(const titan_cell *cell, titan_text *text);
// A line a rank, cells apart by a blank.
titan_status titan_order_print(const titan_order *order, titan_text *text);

// Whether every stage runs its forwards, and makes its gradients of weights, in ascending order of the microbatches.
// Orders of which this is true add the same numbers in the same order: with the same stages and microbatches their
// results are bitwise equal.
bool titan_order_ascends(const titan_order *order);

// What must have been computed before a cell can be, on whatever rank: at most two, as cells of `needs`; a whole
// backward stands for B or I. Returns how many.
int titan_order_needs(const titan_order *order, const titan_cell *cell, titan_cell needs[2]);

// The first thing that is wrong with an order.
typedef struct titan_order_fault {
  int rank, cell;   // cell: place in the rank's cells; their number: something is missing at the end
  char reason[200]; // "": nothing is wrong
} titan_order_fault;

// Walks all ranks together: every cell is on the rank of its stage, once, after what it needs; every stage has a
// forward of every microbatch and, with `backward`, B or I and W; nothing waits for ever (a dry run). A fault is no
// failure. TITAN_ERROR_MEMORY.
titan_status titan_order_check(const titan_order *order, bool backward, titan_order_fault *fault);

#endif
