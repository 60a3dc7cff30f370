// SPDX-License-Identifier: Apache-2.0
// Units for tests: plans that have parameters of uneven sizes and nothing else.
#ifndef TITAN_TESTS_FAKE_UNITS_H
#define TITAN_TESTS_FAKE_UNITS_H

#include "parallel/unit.h"

#include <stdio.h>

enum { FAKE_UNITS = 7, FAKE_PARAMETERS = 3 };

typedef struct fake_units {
  titan_plan plans[FAKE_UNITS];
  titan_plan_parameter parameters[FAKE_UNITS][FAKE_PARAMETERS];
  titan_unit units[FAKE_UNITS];
} fake_units;

static inline void fake_plan_add(titan_plan *plan, int64_t elements) {
  titan_plan_parameter *parameter = &plan->parameters[plan->parameter_count];
  snprintf(parameter->name, sizeof parameter->name, "p%d", plan->parameter_count++);
  parameter->type = (titan_tensor_type){TITAN_FLOAT32, 1, {elements}};
  parameter->first = plan->flat_elements;
  parameter->elements = elements;
  plan->flat_elements +=
      (elements + TITAN_PARAMETER_ALIGNMENT - 1) / TITAN_PARAMETER_ALIGNMENT * TITAN_PARAMETER_ALIGNMENT;
}

// Elements `scale` times those of a few odd sizes: one element, less than an alignment, and more.
static inline void fake_units_create(fake_units *fake, int64_t scale, int rank, int ranks) {
  static const int64_t sizes[FAKE_UNITS][FAKE_PARAMETERS] = {{1000, 0, 0},  {1, 33, 500}, {64, 64, 64}, {31, 1, 0},
                                                             {257, 300, 5}, {1, 0, 0},    {900, 31, 2}};
  for (int u = 0; u < FAKE_UNITS; u++) {
    char prefix[TITAN_PREFIX_BYTES];
    fake->plans[u] = (titan_plan){.parameters = fake->parameters[u]};
    for (int p = 0; p < FAKE_PARAMETERS && sizes[u][p] > 0; p++)
      fake_plan_add(&fake->plans[u], sizes[u][p] * scale);
    snprintf(prefix, sizeof prefix, "unit%d.", u);
    titan_unit_lay_out(&fake->units[u], prefix, &fake->plans[u], rank, ranks);
  }
}

// Whether an element of the flat vector belongs to a parameter.
static inline bool fake_unit_has(const titan_unit *unit, int64_t element) {
  for (int p = 0; p < unit->plan->parameter_count; p++)
    if (element >= unit->plan->parameters[p].first &&
        element < unit->plan->parameters[p].first + unit->plan->parameters[p].elements)
      return true;
  return false;
}

#endif
