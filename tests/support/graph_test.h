// SPDX-License-Identifier: Apache-2.0
// What the graph tests share: cmocka, a small repeatable random source, and failing with the library's own message.
#ifndef TITAN_TESTS_GRAPH_SUPPORT_H
#define TITAN_TESTS_GRAPH_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four above first
#include <cmocka.h>

#include "base/memory.h"

#define TRY(expression)                                                                                                \
  do {                                                                                                                 \
    if ((expression) != TITAN_OK)                                                                                      \
      fail_msg("%s: %s\n%s", #expression, titan_error_message(), titan_error_trace());                                 \
  } while (0)

// SplitMix64 (Steele, Lea and Flood, 2014).
typedef struct random_source {
  uint64_t state;
} random_source;

static inline uint64_t random_next(random_source *random) {
  uint64_t z = random->state += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

// 0 .. count-1
static inline int random_below(random_source *random, int count) {
  return (int)(random_next(random) % (uint64_t)count);
}

// In [-1, 1).
static inline double random_real(random_source *random) {
  return (double)(int64_t)random_next(random) / 9223372036854775808.0;
}

#endif
