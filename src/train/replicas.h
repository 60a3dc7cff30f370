// SPDX-License-Identifier: Apache-2.0
// Parameters that several ranks hold alike, compared by checksum.
#ifndef TITAN_TRAIN_REPLICAS_H
#define TITAN_TRAIN_REPLICAS_H

#include "parallel/runtime.h"

// Not collective. *sum: a hash of the index in the whole and the bits of each element that this rank holds of the
// master weights of the unit's parameter `index`, summed: any partition of the elements gives the same sum.
titan_status titan_replicas_checksum(titan_device *device, const titan_unit *unit, int index, uint64_t *sum);

// Collective over the mesh. Compares all parameters over dp_replicate, and over tp those that it does not cut.
// TITAN_ERROR_NUMBERS on all ranks, with the step and the first tensor that differs on the lowest rank that sees one.
titan_status titan_replicas_check(titan_runtime *runtime, int64_t step);

#endif
