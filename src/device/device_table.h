// SPDX-License-Identifier: Apache-2.0
// Devices by name, whether or not this machine has them: what an estimate needs to know of each.
#ifndef TITAN_DEVICE_DEVICE_TABLE_H
#define TITAN_DEVICE_DEVICE_TABLE_H

#include "base/text.h"
#include "device/device.h"

typedef struct titan_device_facts {
  const char *name, *text;
  int capability;           // CUDA compute capability times ten; 0: none
  size_t bytes;             // of its memory
  double bfloat16, float32; // peak FLOP/s of matrix products
  int ranks_per_node;       // usual
} titan_device_facts;

// NULL when no row has this name.
const titan_device_facts *titan_device_facts_find(const char *name);
// "a100-40g, a100-80g, ...": appended to text.
titan_status titan_device_facts_names(titan_text *text);

// A device that stands for one of the table: shapes only. Plans made for it have a GPU's alignment and its kernels'
// workspace, with `deterministic` that of kernels whose sums have one order; it has no memory and runs nothing
// (TITAN_ERROR_DEVICE).
titan_status titan_device_create_meta(const titan_device_facts *facts, bool deterministic, titan_device **out);

#endif
