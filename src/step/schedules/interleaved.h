// SPDX-License-Identifier: Apache-2.0
// What the two interleaved schedules share: which cell comes at which place of a rank's forwards and backwards.
#ifndef TITAN_STEP_SCHEDULES_INTERLEAVED_H
#define TITAN_STEP_SCHEDULES_INTERLEAVED_H

#include "step/schedule.h"

// Why these numbers are refused, or NULL: microbatches run in rounds of equal size.
const char *titan_interleaved_refuses(int ranks, int microbatches);

// Forward number `place` of a rank: for each round of microbatches, its stages in ascending order, each for all
// microbatches of the round.
titan_cell titan_interleaved_forward(const titan_order *order, int rank, int place);
// The same of the backwards, with the stages in descending order; what it computes is BACKWARD.
titan_cell titan_interleaved_backward(const titan_order *order, int rank, int place);

// Forwards of a rank before its backwards and forwards alternate, where each rank has `ahead` more than the next.
int titan_interleaved_warm_up(const titan_order *order, int rank, int ahead);

#endif
