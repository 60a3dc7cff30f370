// SPDX-License-Identifier: Apache-2.0
// A unit's parameters as one flat vector: one after another as its plan placed them, padded to the group's size and cut
// in equal shards. Masters, the optimizer's states and reduced gradients exist only as float32 shards.
#ifndef TITAN_PARALLEL_UNIT_H
#define TITAN_PARALLEL_UNIT_H

#include "comm/comm.h"
#include "device/device.h"
#include "graph/plan.h"

enum { TITAN_PREFIX_BYTES = 32, TITAN_MOST_SLOTS = 4 };

// What happens to gathered parameters and to gradients inside one node.
typedef enum titan_intra_node {
  TITAN_INTRA_NODE_AUTO,   // shared memory where the group lies within one node, else MPI
  TITAN_INTRA_NODE_SHARED, // shared memory, or an error
  TITAN_INTRA_NODE_MPI,
} titan_intra_node;

// How the ranks over which a unit is cut exchange its parts.
typedef enum titan_way { TITAN_WAY_LOCAL, TITAN_WAY_SHARED, TITAN_WAY_MPI } titan_way;

// LOCAL for a group of one rank; SHARED within a node unless `intra_node` is MPI. The same on all ranks of the group.
titan_way titan_way_choose(const titan_comm *comm, titan_intra_node intra_node);

typedef struct titan_unit {
  char prefix[TITAN_PREFIX_BYTES]; // of its parameters' names
  const titan_plan *plan;          // borrowed; the parameters and their places
  int64_t lead;                    // elements of the flat vector before the plan's; mostly 0
  int64_t shard_elements;          // of each rank; a multiple of TITAN_PARAMETER_ALIGNMENT
  int64_t flat_elements;           // shard_elements * ranks of the group
  int64_t first;                   // element of the flat vector at which this rank's shard begins
  float *master;                   // [shard_elements]
  // [shard_elements]. With offloading it is in the device's memory until it is complete, and then `offloaded`.
  float *gradient;
  float *offloaded;               // [shard_elements] in host memory; NULL: gradients stay where they are
  float *slots[TITAN_MOST_SLOTS]; // [shard_elements] each: the states that the optimizer asked for
  void *compute; // [shard_elements] of the compute type: what is gathered; mostly master itself when that is float32
  void *updated; // [shard_elements] of the compute type: where an update writes; compute itself without offloading
} titan_unit;

// Sets the sizes for rank `rank` of a group of `ranks`; the pointers become NULL.
void titan_unit_lay_out(titan_unit *unit, const char *prefix, const titan_plan *plan, int rank, int ranks);

// As above, with `lead` elements (a multiple of TITAN_PARAMETER_ALIGNMENT) before those of the plan, and `elements` at
// least (lead and the plan's included).
void titan_unit_lay_out_at(titan_unit *unit, const char *prefix, const titan_plan *plan, int64_t lead, int64_t elements,
                           int rank, int ranks);

// Elements of the longest flat vector, and of this rank's shards of all units together.
int64_t titan_units_longest(int unit_count, const titan_unit *units);
int64_t titan_units_shard_elements(int unit_count, const titan_unit *units);

// A range of a parameter that lies in this rank's shard.
typedef struct titan_unit_slice {
  const titan_plan_parameter *parameter;
  int64_t first_in_parameter, first_in_shard, count;
} titan_unit_slice;

// The part of parameter `index` of the unit that this rank holds; false when it holds none.
bool titan_unit_slice_of(const titan_unit *unit, int index, titan_unit_slice *out);

// A run of consecutive elements of a slice that are consecutive in the whole parameter too (of which this rank may hold
// a block).
typedef struct titan_unit_run {
  int64_t first_in_whole, first_in_shard, count;
} titan_unit_run;

// Calls `visit` for each run of the slice, in order; elements beyond the whole (padding) are in none. Parameters of one
// or two dimensions.
void titan_unit_slice_runs(const titan_unit_slice *slice, void (*visit)(void *context, const titan_unit_run *run),
                           void *context);

// Zeroes the elements of a flat float32 vector of the device that belong to no parameter.
titan_status titan_unit_clear_gaps(const titan_unit *unit, titan_device *device, float *flat);

#endif
