// SPDX-License-Identifier: Apache-2.0
// The group teardown of tests without one of their own: it fails where memory of the program was not given back.
#ifndef TITAN_TESTS_LEAKS_H
#define TITAN_TESTS_LEAKS_H

#include "base/memory.h"

static inline int expect_no_leaks(void **state) {
  (void)state;
  return titan_memory_report_leaks() == 0 ? 0 : -1;
}

#endif
