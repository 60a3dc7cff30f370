// SPDX-License-Identifier: Apache-2.0
// What tests know of the stand-in of cuDNN (stand_in.cpp), and tell it.
#ifndef TITAN_TESTS_CUDA_DNN_STAND_IN_H
#define TITAN_TESTS_CUDA_DNN_STAND_IN_H

#include <cudnn.h>
#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

// Bytes of workspace of the configuration that can be built; a run writes all of them.
enum { STAND_IN_WORKSPACE = 256 };

typedef struct stand_in_facts {
  size_t version;           // it says that it has; 0: 9.19.0
  bool no_engine;           // the heuristics find nothing
  int runs;                 // of plans, so far
  int handles, descriptors; // that are alive
  int failures;             // of runs, and the last one's text
  const char *last_failure;
} stand_in_facts;

stand_in_facts *stand_in(void);
void stand_in_fail(const char *what);

#ifdef __cplusplus
}
#endif

#endif
