// SPDX-License-Identifier: Apache-2.0
// The energy that this node's processors have taken, as far as the system lets it be read.
#ifndef TITAN_OBSERVE_ENERGY_H
#define TITAN_OBSERVE_ENERGY_H

#include "base/status.h"

typedef struct titan_energy titan_energy;

// Not collective; one rank a node. Counters of whole packages (RAPL) below `folder`, usually
// TITAN_ENERGY_FOLDER, counted from now on. Where there are none, or they cannot be read, *out is NULL.
#define TITAN_ENERGY_FOLDER "/sys/class/powercap"
titan_status titan_energy_create(const char *folder, titan_energy **out);

// Joule so far. To be called more often than a counter wraps around, which takes minutes. NULL: 0.
double titan_energy_joule(titan_energy *energy);

void titan_energy_destroy(titan_energy **energy);

#endif
