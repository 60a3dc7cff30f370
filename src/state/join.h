// SPDX-License-Identifier: Apache-2.0
// Whole rows out of columns. Where a parameter is cut by columns over the ranks of a tp group, each of them holds a
// part of every row, some kilobytes: in the file these lie apart. So the ranks exchange parts until each has whole
// rows, which lie one after another in the file, and writes those.
#ifndef TITAN_STATE_JOIN_H
#define TITAN_STATE_JOIN_H

#include "checkpoint/writer.h"
#include "state/layout.h"

typedef struct titan_checkpoint_join {
  MPI_Comm comm; // of the tp group; nothing else may use it meanwhile
  bool patient;  // wait asleep
  int rank, size;
  size_t bytes; // of `memory`
  float *memory;
  int *numbers; // [4][size]
} titan_checkpoint_join;

// Bytes of memory that joining takes: `piece`, or as much as a row of each rank takes; 0 where the layout has nothing
// to join.
size_t titan_checkpoint_join_bytes(const titan_checkpoint_layout *layout, size_t piece);

// Collective over join->comm: writes this rank's share of the rows of a joined rectangle, of which it has `data`, rows
// of rectangle->columns elements that begin `stride` elements apart; `whole` columns make a row of the tensor with
// number `tensor`. `status`: of this rank so far; a rank that has failed takes part, as the others wait for it (also
// without data: NULL), and writes nothing. Returns it, or what has failed here.
titan_status titan_checkpoint_join_write(titan_checkpoint_join *join, titan_checkpoint_writer *writer,
                                         const titan_checkpoint_rectangle *rectangle, int64_t tensor, int64_t whole,
                                         const float *data, int64_t stride, titan_status status);

#endif
