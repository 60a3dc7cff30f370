// SPDX-License-Identifier: Apache-2.0
// Element types of tensors, and bfloat16 in portable C.
#ifndef TITAN_BASE_DTYPE_H
#define TITAN_BASE_DTYPE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef enum titan_dtype {
  TITAN_FLOAT32,
  TITAN_BFLOAT16,
  TITAN_INT32,
  TITAN_FLOAT64,
  TITAN_INT64,
  TITAN_BYTE,
} titan_dtype;

typedef uint16_t titan_bf16; // the upper half of a float32

static inline size_t titan_dtype_bytes(titan_dtype dtype) {
  static const size_t bytes[] = {4, 2, 4, 8, 8, 1};
  return bytes[dtype];
}

static inline const char *titan_dtype_name(titan_dtype dtype) {
  static const char *const names[] = {"float32", "bfloat16", "int32", "float64", "int64", "byte"};
  return names[dtype];
}

static inline float titan_bf16_to_float(titan_bf16 value) {
  uint32_t bits = (uint32_t)value << 16;
  float result;
  memcpy(&result, &bits, sizeof result);
  return result;
}

// Rounds to nearest even; NaN stays NaN.
static inline titan_bf16 titan_bf16_from_float(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  if ((bits & 0x7fffffffu) > 0x7f800000u)
    return (titan_bf16)((bits >> 16) | 0x40u);
  return (titan_bf16)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

#endif
