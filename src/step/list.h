// SPDX-License-Identifier: Apache-2.0
// A step as a list of actions over units and microbatches: made once, before memory is taken, checked, packed, printed,
// and run by one loop.
#ifndef TITAN_STEP_LIST_H
#define TITAN_STEP_LIST_H

#include "base/text.h"
#include "step/order.h"

typedef enum titan_action_kind {
  TITAN_ACTION_LOAD,    // tokens and labels of a microbatch
  TITAN_ACTION_GATHER,  // begins to make a unit's parameters whole; the RUN that needs them waits
  TITAN_ACTION_RELEASE, // a unit's whole parameters are not used any longer
  TITAN_ACTION_RUN,     // one phase of a unit's program for a microbatch
  // An activation, or its gradient, on its way to another pipeline rank. Its block is alive in between.
  TITAN_ACTION_SEND,     // begins to send one
  TITAN_ACTION_SENT,     // waits until it has left: it stands where the peer has certainly begun to receive
  TITAN_ACTION_RECV,     // begins to receive one: that of this unit, microbatch and direction, whatever comes before it
  TITAN_ACTION_RECEIVED, // waits until it is here
  TITAN_ACTION_REDUCE,   // begins to add a unit's gradients over the data-parallel ranks
  TITAN_ACTION_TIE,      // adds up the gradients of the parameter that two units share, in the shards of both
  TITAN_ACTION_OFFLOAD,  // begins to copy a unit's complete gradients to host memory; ends the OFFLOAD before it
  TITAN_ACTION_UPDATE,   // the optimizer on a unit; ends the OFFLOAD before it
  TITAN_ACTIONS
} titan_action_kind;

typedef struct titan_action {
  titan_action_kind kind;
  titan_compute compute; // of RUN. Transfers: FORWARD for an activation, BACKWARD for its gradient
  // Transfers: the unit whose input it is, or the gradient of whose input; TIE: the first of the two; LOAD: -1.
  int unit;
  int microbatch; // GATHER, RELEASE, TIE, OFFLOAD, UPDATE: -1
  int peer;       // pipeline rank, of transfers; else -1
  int message;    // of transfers: its number, in the order of the sends, among those between these two ranks; else -1
  // RUN with gradients of weights: whether they are added to what earlier microbatches gave, and whether no later one
  // gives more. REDUCE: whether the sum is added to the shard, and whether it completes the step (replicas too).
  bool add, last;
  int after; // an earlier REDUCE of this list that is complete before this action begins; -1: none
} titan_action;

typedef struct titan_step_list {
  titan_action *actions; // owned
  int count, capacity;
} titan_step_list;

void titan_step_list_destroy(titan_step_list *list);
titan_status titan_step_list_add(titan_step_list *list, titan_action action);

// When the gradients of several microbatches are added over the ranks.
typedef enum titan_reduce_when {
  TITAN_REDUCE_EACH, // every microbatch's, into the shard: the least memory
  TITAN_REDUCE_LAST, // once a step, after they were added up on each rank: the least traffic
} titan_reduce_when;

typedef struct titan_step_unit {
  const char *name;                       // "embedding", "layers.3"
  bool merged;                            // its forward computes its backward too (the loss head)
  bool reads_batch;                       // tokens or labels
  bool leaves_parameters[TITAN_COMPUTES]; // a RUN of this kind reads none of its parameters, so that it needs no GATHER
} titan_step_unit;

// What the lowering goes by, alike on all ranks.
typedef struct titan_step_shape {
  int unit_count;
  const titan_step_unit *units;
  const int *first_unit; // [stages + 1]: stage s has the units first_unit[s] .. first_unit[s + 1] - 1
  bool backward;         // false: forwards alone
  bool gathers;          // parameters are whole only between GATHER and RELEASE
  bool keeps_gathered;   // a unit stays whole from its first RUN to its last; else it is gathered for each
  int look_ahead;        // RUNs before the one that needs it at which a unit's GATHER stands; at least 1
  titan_reduce_when reduce;
  int reduces_in_flight; // at least 1
  bool early_update;     // UPDATE as soon as a unit's gradients are complete, else at the list's end
  bool offloads;         // OFFLOAD as soon as they are: the UPDATE works in host memory
  int tied[2];           // units that share a parameter, the lower first: both have it, and a TIE comes between their
                         // REDUCEs and their OFFLOADs or UPDATEs; the same unit twice: there are none
} titan_step_shape;

// The lists of all pipeline ranks, lists: [order->ranks]; of one of them. TITAN_ERROR_MEMORY; TITAN_ERROR_USAGE where
// tied units lie on different ranks.
titan_status titan_step_lower_all(const titan_order *order, const titan_step_shape *shape, titan_step_list *lists);
titan_status titan_step_lower(const titan_order *order, const titan_step_shape *shape, int rank, titan_step_list *out);

// Walks the lists of all pipeline ranks together: every input is there, every send is received, nothing waits for ever
// (also where a send ends only once the peer has begun to receive),
// every unit runs once a microbatch and direction, every gradient is reduced exactly once, the gradients of tied units
// are added up after that and before either is offloaded or updated, every unit is updated once and not used
// afterwards. TITAN_ERROR_INTERNAL names rank, place, action, stage and microbatch of the first fault. lists:
// [order->ranks].
titan_status titan_step_check(const titan_order *order, const titan_step_shape *shape, const titan_step_list *lists);

// Adds an action as text, "RUN layers.3 backward m1"; the list with one a line.
titan_status titan_action_print(const titan_action *action, const titan_step_shape *shape, titan_text *text);
titan_status titan_step_print(const titan_step_list *list, const titan_step_shape *shape, titan_text *text);

bool titan_action_is_transfer(const titan_action *action);
// Whether a RUN reads parameters of its unit, which must then be whole.
bool titan_action_reads_parameters(const titan_action *action, const titan_step_shape *shape);
// Whether a RUN gives gradients of weights, in this shape.
bool titan_action_has_gradients(const titan_action *action, const titan_step_shape *shape);
// The unit that is tied to this one; -1: none.
int titan_step_tied_unit(const titan_step_shape *shape, int unit);
// The stage of a unit.
int titan_step_stage_of(const titan_step_shape *shape, int unit);

#endif
