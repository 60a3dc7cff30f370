// SPDX-License-Identifier: Apache-2.0
// Which ranks share a node's memory.
#ifndef TITAN_COMM_NODES_H
#define TITAN_COMM_NODES_H

#include "comm/comm.h"

// Not collective. The simulated node of this process, from TITAN_SIMULATED_NODES: the ranks of each node, apart by
// commas, of which the last number holds for all further nodes ("4": four on each; "3,1": three on the first, one on
// each other). Ranks are those of the world. 0 where the variable is not set. TITAN_ERROR_USAGE where it has anything
// else.
titan_status titan_nodes_simulated(int *node);

typedef struct titan_node_place {
  int64_t node; // alike on ranks of one node, and only there
  int rank;     // in the group
} titan_node_place;

// Collective over `mpi`, of `size` ranks. All of them, [size], owned by the caller: node after node, in the order of
// the nodes' first ranks, and those of a node in the order of their ranks.
titan_status titan_nodes_places(MPI_Comm mpi, int size, titan_node_place **places);

// Not collective. What such places of `size` ranks come to, for one rank.
titan_comm_nodes titan_nodes_count(const titan_node_place *places, int size, int rank);

#endif
