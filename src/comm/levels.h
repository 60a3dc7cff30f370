// SPDX-License-Identifier: Apache-2.0
// Collectives of a group that spans nodes, in two levels: through memory that the ranks of a node share, and over the
// wire once a node, each rank carrying a part of its own.
//
// An operation is a row of steps. In a step, two nodes exchange a range of elements: in step t of a range, node a meets
// node a ^ t (itself in step 0), so that all nodes exchange in pairs, and what a node gets comes in the order of a
// binary tree over the nodes (reduce.h). Of the other node's ranks, each rank of this node looks after those whose
// index in their node is its own index, modulo the ranks of this node.
// - Reducing: each rank puts what it has for the ranks of the other node into its slot; each one sums the parts that it
//   looks after over the slots of its node, and sends each sum to the rank that it is for.
// - Gathering: each rank sends its range, and receives those that it looks after into its slot, where the ranks of its
//   node take them from.
//
// The steps of all operations of a group, one operation's after another's, have tickets: the steps of a node are the
// same on all its ranks. Step `ticket` works in slot `ticket` modulo TITAN_LEVELS_SLOTS. Each rank takes its steps
// through four stages, each stage in the order of the tickets: placed (the slot was free, and what the rank has is in
// it), arrived (its slot is complete), used (the slots of all were complete, and it has taken what it needs), retired
// (its messages are done). A slot is free again once all ranks of the node have used, and this one has retired, what
// was in it.
#ifndef TITAN_COMM_LEVELS_H
#define TITAN_COMM_LEVELS_H

#include "comm/backend.h"
#include "comm/reduce_tree.h"

enum { TITAN_LEVELS_SLOTS = 4, TITAN_LEVELS_SLOT_BYTES = 1 << 20 };

typedef struct titan_levels_lane {
  int receive_count, send_count;
  MPI_Request *receives, *sends; // as many as fit
} titan_levels_lane;

typedef struct titan_levels {
  titan_comm *comm; // borrowed
  titan_comm *node; // its ranks on this node
  titan_shared *shared;
  void *memory;           // of the tables and buffers below
  int own;                // this rank's node
  int *firsts;            // [nodes + 1]: where in `ranks` those of a node begin
  int *ranks;             // [size]: node after node
  const void **sources;   // [ranks of this node]
  char *received;         // TITAN_LEVELS_SLOTS pieces: sums of other nodes
  titan_reduce_tree tree; // over nodes
  titan_levels_lane lanes[TITAN_LEVELS_SLOTS];
  uint64_t given;                          // tickets of all operations so far
  uint64_t placed, arrived, used, retired; // how far this rank is
  int users;                               // titan_comm_level less titan_comm_unlevel
} titan_levels;

// For titan_comm_begin, in a group with levels. They give the bits that reduce.h promises where nodes hold aligned
// blocks of a power of two of the ranks.
titan_status titan_levels_start(titan_work *work);

// A slot of a rank of the node, and where it says how far it is.
char *titan_levels_slot(const titan_levels *levels, int node_rank, uint64_t ticket);
void titan_levels_tell_arrived(const titan_levels *levels);
void titan_levels_tell_used(const titan_levels *levels);
// Whether all ranks of the node are so far.
bool titan_levels_all_arrived(const titan_levels *levels, uint64_t ticket);
bool titan_levels_all_used(const titan_levels *levels, uint64_t ticket);

#endif
