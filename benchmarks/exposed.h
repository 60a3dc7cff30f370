// SPDX-License-Identifier: Apache-2.0
// Where the exposed time of a group goes: by operation and size, what is waiting for a rank that comes later, and what
// is the transfer itself.
#ifndef TITAN_BENCHMARKS_EXPOSED_H
#define TITAN_BENCHMARKS_EXPOSED_H

#include "comm/comm.h"

enum { BENCH_EXPOSED_ROWS = 24, BENCH_EXPOSED_STRETCHES = 1 << 16 };

typedef struct bench_exposed_row {
  const char *operation;
  size_t bytes; // that a rank contributes
  int64_t calls;
  // Of this rank, later the mean over ranks. waiting: before the last of the other ranks contributed, which no overlap
  // with a product hides, as that rank is no further. transfer: all else, copies and sums.
  double waiting, transfer;
} bench_exposed_row;

typedef struct bench_exposed {
  bench_exposed_row rows[BENCH_EXPOSED_ROWS]; // row 0: what looks after all operations in flight
  int row_count;
  titan_comm_stretch *stretches; // since the start
  int stretch_count;
} bench_exposed;

// Not collective. From now on the group's stretches are kept. All ranks of one node, as their clock has to be one.
void bench_exposed_start(bench_exposed *exposed, titan_comm *comm);
// Collective. No longer; what was kept is added to the rows.
void bench_exposed_stop(bench_exposed *exposed, titan_comm *comm);
// Collective. The rows' means over ranks.
void bench_exposed_average(bench_exposed *exposed, titan_comm *comm);
// One line for each row, per step; `indent` in front.
void bench_exposed_print(const bench_exposed *exposed, int64_t steps, const char *indent);
// Waiting and transfer of all rows.
bench_exposed_row bench_exposed_sum(const bench_exposed *exposed);
void bench_exposed_free(bench_exposed *exposed);

#endif
