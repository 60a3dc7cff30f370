// The compute order of a step: what a schedule decides, for all pipeline ranks at once. The first of the three steps
// that make a step's list (order, lowering, check: see docs/architecture.md).
#ifndef TITAN_STEP_ORDER_H
#define TITAN_STEP_ORDER_H

#include "base/status.h"

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
} titan_cell;

typedef struct titan_order {
  int ranks, stages, microbatches;
  int *rank_of_stage; // owned: [stages]
  titan_cell **cells; // owned: [ranks][counts[rank]]
  int *counts;        // owned: [ranks]
  int *capacities;    // owned: [ranks]
} titan_order;

// An order without cells; stage s lies on rank s mod ranks. TITAN_ERROR_MEMORY.
titan_status titan_order_create(int ranks, int stages, int microbatches, titan_order *out);
void titan_order_destroy(titan_order *order);
titan_status titan_order_add(titan_order *order, int rank, titan_compute compute, int stage, int microbatch);

#endif
