// SPDX-License-Identifier: Apache-2.0
// What tests say to the emulated CUDA runtime, from C and C++.
#ifndef TITAN_TESTS_CUDA_EMULATOR_EMULATED_H
#define TITAN_TESTS_CUDA_EMULATOR_EMULATED_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// The machine. Each is what the environment variable says when it is first asked for, and tests may write it before a
// device is made.
typedef struct titan_emulated_machine {
  int driver;     // TITAN_EMULATED_DRIVER: CUDA version of the driver, 13000 is 13.0; 0: there is none
  int gpus;       // TITAN_EMULATED_GPUS
  int capability; // TITAN_EMULATED_CAPABILITY: compute capability times ten
  int no_code;    // TITAN_EMULATED_NO_CODE: 1: kernels have no code for the GPU
  size_t bytes;   // TITAN_EMULATED_MEMORY, in MiB: memory of a GPU
  uint64_t seed;  // TITAN_EMULATED_SEED: of the order of work
} titan_emulated_machine;

titan_emulated_machine *titan_emulated(void);
// The next work that is put into a stream fails on the GPU: the error comes out of a wait, and of every call after it,
// until titan_emulated_repair. error: a cudaError_t.
void titan_emulated_fail(int error);
void titan_emulated_repair(void);
// Blocks of device memory and of pinned memory that have not been freed.
size_t titan_emulated_live_blocks(void);

#ifdef __cplusplus
}
#endif

#endif
