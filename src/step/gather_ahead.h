// SPDX-License-Identifier: Apache-2.0
// How many RUNs ahead parameters are best gathered, from times that are given for the parts of a list.
#ifndef TITAN_STEP_GATHER_AHEAD_H
#define TITAN_STEP_GATHER_AHEAD_H

#include "step/list.h"

typedef struct titan_gather_times {
  const double (*compute)[TITAN_COMPUTES]; // [unit_count], of a RUN for one microbatch
  const double *gather;                    // [unit_count], of a unit's parameters,
  double scale;                            // multiplied by this
} titan_gather_times;

// The time of a rank's list, of its RUNs and what they wait for alone. A gather begins when the RUNs before it have
// ended and the gather before it has; a RUN begins when the RUNs before it have ended and its unit is whole.
// TITAN_ERROR_MEMORY.
titan_status titan_step_gather_time(const titan_step_list *list, const titan_step_shape *shape,
                                    const titan_gather_times *times, double *out);

// The least look_ahead of 1 .. most with which the slowest rank takes at most 1 % longer than with the best of these,
// whether links are fast or slow: scales are those with which all gathers of a step, with a look_ahead of 1, take half
// as long as all that is computed, as long, and twice as long; the largest look_ahead of the three is taken. shape:
// with gathers; look_ahead is not read. times: scale is not read. TITAN_ERROR_MEMORY.
titan_status titan_step_choose_look_ahead(const titan_order *order, const titan_step_shape *shape,
                                          const titan_gather_times *times, int most, int *out);

#endif
