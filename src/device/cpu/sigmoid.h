// SPDX-License-Identifier: Apache-2.0
// The sigmoid of a vector, for silu and swiglu and their gradients.
#ifndef TITAN_DEVICE_CPU_SIGMOID_H
#define TITAN_DEVICE_CPU_SIGMOID_H

#include "device/cpu/vector.h"

// 1 + e^-x, the sigmoid's denominator: +inf below -88.4 (so that the sigmoid is 0 there), 1 above 17, NaN for NaN.
// -x = n ln 2 + r as in vector_exp. Adding 1.5 * 2^23 + 127 to -x / ln 2 leaves n + 127 in the low bits, from where a
// shift makes it the exponent of 2^n; n lies in -126 .. 128, and 2^128 is infinite.
VECTOR_INLINE vfloat vector_sigmoid_denominator(vfloat x) {
  const vfloat magic = vector_set(12582912.0f + 127.0f);
  const vfloat y = vector_max(vector_set(-88.8f), vector_min(vector_set(87.0f), x));
  const vfloat shifted = vector_fma(y, vector_set(-1.44269504088896341f), magic), n = shifted - magic;
  vfloat s = vector_fma(n, vector_set(0.693359375f), y); // -r
  s = vector_fma(n, vector_set(-2.12194440e-4f), s);
  vfloat p = vector_set(1.3836844055647682e-3f);
  p = vector_fma(p, s, vector_set(-8.374817330415547e-3f));
  p = vector_fma(p, s, vector_set(4.166822568482238e-2f));
  p = vector_fma(p, s, vector_set(-1.6666420151762676e-1f));
  p = vector_fma(p, s, vector_set(4.999999207893969e-1f));
  p = vector_fma(p, s, vector_set(-1.0f));
  p = vector_fma(p, s, vector_set(1.0f));
  return vector_fma(p, (vfloat)((vuint)shifted << 23), vector_set(1.0f));
}

VECTOR_INLINE vfloat vector_silu(vfloat x) {
  return x / vector_sigmoid_denominator(x);
}

#endif
