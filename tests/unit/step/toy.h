// SPDX-License-Identifier: Apache-2.0
// A toy model of a step: units whose values are 64-bit numbers, run by the lists of all pipeline ranks, each in the
// packed memory of its list, with what they send in queues between them. Every block is filled whole when it is written
// and compared whole when it is read, and a reduction and an offload read their input only when they end: what is used
// before it is there, after its life, or beside another block, gives a wrong result.
#ifndef TITAN_TESTS_STEP_TOY_H
#define TITAN_TESTS_STEP_TOY_H

#include "step/memory.h"
#include "step/schedule.h"

#include <stdint.h>

enum { TOY_UNITS = 40, TOY_MICROBATCHES = 64 };

typedef struct toy {
  titan_step_unit units[TOY_UNITS];
  titan_step_unit_sizes unit_sizes[TOY_UNITS];
  char names[TOY_UNITS][16];
  int first_unit[TOY_UNITS + 1];
  titan_step_shape shape;
  titan_step_sizes sizes;
  titan_order order;
} toy;

// embedding, blocks, head: `units` of them, on one rank.
void toy_create(toy *t, int units, int microbatches, bool backward);
// The same with the stages of an order, which the toy owns from then on. sizes: units of each stage.
void toy_create_pipeline(toy *t, const titan_order *order, const int *sizes);
// The embedding and the head share a parameter, here all that they have.
void toy_tie(toy *t);
void toy_destroy(toy *t);

// Runs the lists of all ranks; false where a result is not what the step asks for.
bool toy_run(const toy *t, const titan_step_list *lists);

#endif
