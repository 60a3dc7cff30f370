// SPDX-License-Identifier: Apache-2.0
// What a plan tells about itself: where it needs most, and all of it as text.
#ifndef TITAN_GRAPH_PLAN_REPORT_H
#define TITAN_GRAPH_PLAN_REPORT_H

#include "graph/plan.h"

// The instruction of a phase at which most scratch bytes are alive (the first of several); -1 in a phase without any.
typedef struct titan_plan_peak {
  int instruction;
  size_t bytes;
} titan_plan_peak;
titan_plan_peak titan_plan_peak_of(const titan_plan *plan, titan_phase phase);

// "%12 matmul[8192,4096]", into text (size bytes); named values by their names and shapes alone.
void titan_plan_value_text(const titan_plan *plan, titan_value value, char *text, size_t size);

// What lies in a scratch block of the phase at an instruction, into text (size bytes): the value last written there,
// what made it, and its shape, or "workspace".
void titan_plan_block_text(const titan_plan *plan, titan_phase phase, const titan_plan_block *block, int instruction,
                           char *text, size_t size);

// Arena bytes over the lower bound, of the larger of the phases that have scratch; 1 where none has.
double titan_plan_packing(const titan_plan *plan);

// Adds the plan as text: each phase's instructions with operands, shapes, cost and places, its blocks with their lives,
// and totals. docs/memory.md shows how to read it.
titan_status titan_plan_print(const titan_plan *plan, titan_text *text);

#endif
