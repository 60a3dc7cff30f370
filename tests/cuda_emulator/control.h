// SPDX-License-Identifier: Apache-2.0
// How tests steer the emulator of kernels.
#ifndef TITAN_TESTS_CUDA_EMULATOR_CONTROL_H
#define TITAN_TESTS_CUDA_EMULATOR_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// In which order the blocks of a grid run, and the threads of a block between two barriers. At first what the
// environment variable TITAN_EMULATOR_ORDER says: forward (which holds without it), backward, or random:SEED.
typedef enum titan_emulator_order {
  TITAN_EMULATOR_FORWARD,
  TITAN_EMULATOR_BACKWARD,
  TITAN_EMULATOR_RANDOM,
} titan_emulator_order;
void titan_emulator_set_order(titan_emulator_order order, uint64_t seed);

// A fault prints a line to stderr and aborts, or, where faults are collected, is counted; a grid that cannot go on
// ends.
void titan_emulator_collect_faults(bool collect);
// Faults since the last call. `first` (may be NULL): the first one's text, cut to `bytes`.
int titan_emulator_take_faults(char *first, size_t bytes);

// Whether kernels have been run whose accesses to shared memory are watched.
bool titan_emulator_watches(void);
// Grids that have been run.
uint64_t titan_emulator_grids(void);

#ifdef __cplusplus
}
#endif

#endif
