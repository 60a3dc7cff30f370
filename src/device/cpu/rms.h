// SPDX-License-Identifier: Apache-2.0
// One row of rms_norm, and of add_rms_norm, which gives the same bits for the same sums. Zhang and Sennrich, "Root Mean
// Square Layer Normalization", NeurIPS 2019. Call with constant types and flags: the branches on them vanish.
#ifndef TITAN_DEVICE_CPU_RMS_H
#define TITAN_DEVICE_CPU_RMS_H

#include "device/cpu/pair.h"

#include <math.h>
#include <stdbool.h>

// float32 sums are taken over this many elements, sums of these in float64.
enum { RMS_BLOCK = 1024 };

typedef struct rms_row {
  const void *x, *residual, *weight;
  void *sum, *y; // sum: x + residual is put there, and normalised
  int64_t at, width;
} rms_row;

VECTOR_INLINE vpair rms_pair(titan_dtype dtype, bool adds, const rms_row *row, int64_t i) {
  vpair x = pair_load_as(row->x, dtype, row->at + i);
  if (!adds)
    return x;
  x = pair_rounded_as(dtype, pair_add(x, pair_load_as(row->residual, dtype, row->at + i)));
  pair_store_exact(row->sum, dtype, row->at + i, x);
  return x;
}

VECTOR_INLINE vfloat rms_value_partial(titan_dtype dtype, bool adds, const rms_row *row, int64_t i, int64_t n) {
  vfloat x = vector_load_as_partial(row->x, dtype, row->at + i, n);
  if (!adds)
    return x;
  x = vector_rounded_as(dtype, x + vector_load_as_partial(row->residual, dtype, row->at + i, n));
  vector_store_as_partial(row->sum, dtype, row->at + i, x, n);
  return x;
}

// 1 / the root of the mean square, and the sum where there is one.
VECTOR_INLINE float rms_row_rstd(titan_dtype dtype, bool adds, const rms_row *row, float epsilon) {
  double squares = 0;
  for (int64_t i = 0; i < row->width;) {
    int64_t end = row->width - i < RMS_BLOCK ? row->width : i + RMS_BLOCK;
    vpair sums[2] = {{{0}, {0}}, {{0}, {0}}};
    for (; i + 2 * PAIR_WIDTH <= end; i += 2 * PAIR_WIDTH) {
#pragma GCC unroll 2
      for (int k = 0; k < 2; k++) {
        const vpair x = rms_pair(dtype, adds, row, i + k * PAIR_WIDTH);
        sums[k] = pair_fma(x, x, sums[k]);
      }
    }
    for (; i < end; i += VECTOR_WIDTH) {
      const vfloat x = rms_value_partial(dtype, adds, row, i, end - i < VECTOR_WIDTH ? end - i : VECTOR_WIDTH);
      sums[0].a = vector_fma(x, x, sums[0].a);
    }
    i = end;
    squares += (double)vector_sum((sums[0].a + sums[1].a) + (sums[0].b + sums[1].b));
  }
  return 1.0f / sqrtf((float)(squares / (double)row->width) + epsilon);
}

// y = x * rstd * weight. y may be the memory of x: each vector is read before it is written.
VECTOR_INLINE void rms_row_normalize(titan_dtype dtype, bool round_twice, const rms_row *row, const void *x,
                                     float rstd) {
  const titan_dtype between = round_twice ? dtype : TITAN_FLOAT32;
  const vpair factor = pair_set(rstd);
  int64_t i = 0;
  for (; i + PAIR_WIDTH <= row->width; i += PAIR_WIDTH) {
    const vpair n = pair_rounded_as(between, pair_mul(pair_load_as(x, dtype, row->at + i), factor));
    pair_store_as(row->y, dtype, row->at + i, pair_mul(n, pair_load_as(row->weight, dtype, i)));
  }
  for (; i < row->width; i += VECTOR_WIDTH) {
    int64_t rest = row->width - i < VECTOR_WIDTH ? row->width - i : VECTOR_WIDTH;
    const vfloat n = vector_rounded_as(between, vector_load_as_partial(x, dtype, row->at + i, rest) * factor.a);
    vector_store_as_partial(row->y, dtype, row->at + i, n * vector_load_as_partial(row->weight, dtype, i, rest), rest);
  }
}

// Both; returns rstd.
VECTOR_INLINE float rms_row_run(titan_dtype dtype, bool adds, bool round_twice, const rms_row *row, float epsilon) {
  float rstd = rms_row_rstd(dtype, adds, row, epsilon);
  rms_row_normalize(dtype, round_twice, row, adds ? row->sum : row->x, rstd);
  return rstd;
}

#endif
