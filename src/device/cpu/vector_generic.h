// SPDX-License-Identifier: Apache-2.0
// The functions of vector_x86.h, which says what each does, in plain C, four lanes wide: for processors that have no
// level of their own. On x86-64 they give the bits of the level "baseline". Private to vector.h.
#ifndef TITAN_DEVICE_CPU_VECTOR_GENERIC_H
#define TITAN_DEVICE_CPU_VECTOR_GENERIC_H

#include "device/cpu/vector_types.h"

VECTOR_INLINE vfloat vector_set(float x) {
  return (vfloat){x, x, x, x};
}

VECTOR_INLINE vfloat vector_load_partial(const float *from, int64_t n) {
  vfloat x = {0};
  memcpy(&x, from, (size_t)n * sizeof(float));
  return x;
}
VECTOR_INLINE void vector_store_partial(float *to, vfloat x, int64_t n) {
  memcpy(to, &x, (size_t)n * sizeof(float));
}

VECTOR_INLINE vfloat vector_fma(vfloat a, vfloat b, vfloat c) {
  return a * b + c;
}

VECTOR_INLINE vfloat vector_select(vint mask, vfloat yes, vfloat no) {
  return (vfloat)((mask & (vint)yes) | (~mask & (vint)no));
}
VECTOR_INLINE vfloat vector_max(vfloat a, vfloat b) {
  return vector_select(a > b, a, b);
}
VECTOR_INLINE vfloat vector_min(vfloat a, vfloat b) {
  return vector_select(a < b, a, b);
}

VECTOR_INLINE vfloat vector_sqrt(vfloat a) {
  return (vfloat){__builtin_sqrtf(a[0]), __builtin_sqrtf(a[1]), __builtin_sqrtf(a[2]), __builtin_sqrtf(a[3])};
}

VECTOR_INLINE vfloat vector_round(vfloat x) {
  const vfloat magic = vector_set(12582912.0f); // 1.5 * 2^23: adding it leaves no fraction bits
  return (x + magic) - magic;
}

VECTOR_INLINE vint vector_to_int(vfloat x) {
  return (vint){(int32_t)__builtin_lrintf(x[0]), (int32_t)__builtin_lrintf(x[1]), (int32_t)__builtin_lrintf(x[2]),
                (int32_t)__builtin_lrintf(x[3])};
}

VECTOR_INLINE vfloat vector_scale_by_power(vfloat p, vfloat n) {
  return p * (vfloat)(((vuint)vector_to_int(n) + 127u) << 23);
}

VECTOR_INLINE float vector_sum(vfloat x) {
  return (x[0] + x[2]) + (x[1] + x[3]);
}
VECTOR_INLINE float vector_max_of(vfloat x) {
  const float even = x[0] > x[2] ? x[0] : x[2], odd = x[1] > x[3] ? x[1] : x[3];
  return even > odd ? even : odd;
}

VECTOR_INLINE vdouble vector_double_low(vfloat x) {
  return (vdouble){(double)x[0], (double)x[1]};
}
VECTOR_INLINE vdouble vector_double_high(vfloat x) {
  return (vdouble){(double)x[2], (double)x[3]};
}

VECTOR_INLINE vfloat vector_interleave_low(vfloat a, vfloat b) {
  return (vfloat){a[0], b[0], a[1], b[1]};
}
VECTOR_INLINE vfloat vector_interleave_high(vfloat a, vfloat b) {
  return (vfloat){a[2], b[2], a[3], b[3]};
}

VECTOR_INLINE vfloat vector_from_bf16(vbf16 x) {
  return (vfloat)(__builtin_convertvector(x, vuint) << 16);
}
VECTOR_INLINE vbf16 vector_to_bf16(vfloat x) {
  const vuint bits = (vuint)x, rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
  return __builtin_convertvector((vuint)vector_select(x == x, (vfloat)rounded, (vfloat)(bits | 0x400000u)) >> 16,
                                 vbf16);
}
VECTOR_INLINE vfloat vector_load_bf16_partial(const titan_bf16 *from, int64_t n) {
  vbf16 x = {0};
  memcpy(&x, from, (size_t)n * sizeof(titan_bf16));
  return vector_from_bf16(x);
}
VECTOR_INLINE void vector_store_bf16_partial(titan_bf16 *to, vfloat x, int64_t n) {
  const vbf16 y = vector_to_bf16(x);
  memcpy(to, &y, (size_t)n * sizeof(titan_bf16));
}

VECTOR_INLINE vfloat vector_even_lanes(vfloat x) {
  return (vfloat){x[0], x[0], x[2], x[2]};
}
VECTOR_INLINE vfloat vector_odd_lanes(vfloat x) {
  return (vfloat){x[1], x[1], x[3], x[3]};
}
VECTOR_INLINE vfloat vector_swap_lanes(vfloat x) {
  return (vfloat){x[1], x[0], x[3], x[2]};
}

#endif
