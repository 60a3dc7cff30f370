// SPDX-License-Identifier: Apache-2.0
// Sums over rows (the gradients of norm weights) in an order that does not depend on the number of threads: the rows
// are cut in a fixed number of groups, each group sums its rows into its own line of the workspace, and the lines are
// added in order.
#ifndef TITAN_DEVICE_CPU_ROW_GROUPS_H
#define TITAN_DEVICE_CPU_ROW_GROUPS_H

#include "device/cpu/block.h"

#include <stddef.h>

// Also the most threads that such a kernel keeps busy.
enum { TITAN_ROW_GROUPS = 64 };

static inline int64_t titan_row_groups(int64_t rows) {
  return rows < TITAN_ROW_GROUPS ? rows : TITAN_ROW_GROUPS;
}

// Floats from one line to the next: whole cache lines.
static inline int64_t titan_row_group_stride(int64_t width) {
  return (width + 15) / 16 * 16;
}

static inline size_t titan_row_group_bytes(int64_t rows, int64_t width) {
  return (size_t)titan_row_groups(rows) * (size_t)titan_row_group_stride(width) * sizeof(float);
}

// First row of a group; that of the group after the last is `rows`.
static inline int64_t titan_row_group_begin(int64_t rows, int64_t group) {
  return rows * group / titan_row_groups(rows);
}

// total[width] = sum of the lines.
static inline void titan_row_groups_sum(int64_t rows, int64_t width, const float *lines, float *total, int threads) {
  int64_t groups = titan_row_groups(rows), stride = titan_row_group_stride(width);
#pragma omp parallel for schedule(static) num_threads(threads) if (groups * width > 65536)
  for (int64_t first = 0; first < width; first += 256) {
    int64_t end = first + 256 < width ? first + 256 : width;
    for (int64_t i = first; i < end; i++)
      total[i] = lines[i];
    for (int64_t group = 1; group < groups; group++) {
#pragma omp simd
      for (int64_t i = first; i < end; i++)
        total[i] += lines[group * stride + i];
    }
  }
}

#endif
