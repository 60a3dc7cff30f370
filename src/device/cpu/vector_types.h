// SPDX-License-Identifier: Apache-2.0
// The types of vector.h, and what the compiler does alike for all of them. Private to vector*.h.
#ifndef TITAN_DEVICE_CPU_VECTOR_TYPES_H
#define TITAN_DEVICE_CPU_VECTOR_TYPES_H

#include "base/cpu_isa.h"
#include "base/dtype.h"

#include <string.h>

#define VECTOR_INLINE static inline __attribute__((always_inline, unused))

#if defined(TITAN_CPU_GENERIC_LEVEL) || !defined(TITAN_CPU_X86)
#define VECTOR_WIDTH 4
#define VECTOR_GENERIC 1
#elif defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#define VECTOR_WIDTH 16
#elif defined(__AVX2__) && defined(__FMA__)
#define VECTOR_WIDTH 8
#else
#define VECTOR_WIDTH 4
#endif

typedef float vfloat __attribute__((vector_size(VECTOR_WIDTH * 4)));
typedef int32_t vint __attribute__((vector_size(VECTOR_WIDTH * 4)));
typedef uint32_t vuint __attribute__((vector_size(VECTOR_WIDTH * 4)));
typedef double vdouble __attribute__((vector_size(VECTOR_WIDTH * 4))); // VECTOR_WIDTH / 2 lanes
typedef float vfloat_unaligned __attribute__((vector_size(VECTOR_WIDTH * 4), aligned(4), may_alias));
typedef uint16_t vbf16 __attribute__((vector_size(VECTOR_WIDTH * 2)));
typedef uint16_t vbf16_unaligned __attribute__((vector_size(VECTOR_WIDTH * 2), aligned(2), may_alias));

VECTOR_INLINE vint vector_set_int(int32_t x) {
  return (vint){0} + x;
}

// 0, 1, 2, ... VECTOR_WIDTH - 1
VECTOR_INLINE vint vector_iota(void) {
#if VECTOR_WIDTH == 16
  return (vint){0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
#elif VECTOR_WIDTH == 8
  return (vint){0, 1, 2, 3, 4, 5, 6, 7};
#else
  return (vint){0, 1, 2, 3};
#endif
}

VECTOR_INLINE vfloat vector_load(const float *from) {
  return *(const vfloat_unaligned *)from;
}
VECTOR_INLINE void vector_store(float *to, vfloat x) {
  *(vfloat_unaligned *)to = x;
}

#endif
