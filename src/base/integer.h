// SPDX-License-Identifier: Apache-2.0
#ifndef TITAN_BASE_INTEGER_H
#define TITAN_BASE_INTEGER_H

#include <stdint.h>

static inline int64_t titan_lesser(int64_t a, int64_t b) {
  return a < b ? a : b;
}
static inline int64_t titan_greater(int64_t a, int64_t b) {
  return a > b ? a : b;
}

#endif
