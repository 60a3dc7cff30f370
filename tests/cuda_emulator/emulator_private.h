// SPDX-License-Identifier: Apache-2.0
// What the files of the emulator share.
#ifndef TITAN_TESTS_CUDA_EMULATOR_EMULATOR_PRIVATE_H
#define TITAN_TESTS_CUDA_EMULATOR_EMULATOR_PRIVATE_H

#include "control.h"
#include "emulator.h"

#include <vector>

enum {
  WARP = 32,
  MOST_THREADS = 1024,
  STATIC_BYTES = 48 << 10,
  MOST_DYNAMIC_BYTES = 227 << 10,
  SHARED_BYTES = STATIC_BYTES + MOST_DYNAMIC_BYTES + 1024,
};

// A function's stack of its own. switch_to returns when something switches back.
struct fiber;
fiber *fiber_create(void (*entry)(void));
void fiber_reset(fiber *f); // its next turn begins at `entry` again
void fiber_resume(fiber *f);
void fiber_pause(void); // of the fiber that runs: goes back to who resumed it

// --- faults ---

void fault(const char *format, ...) __attribute__((format(printf, 1, 2)));
// The same; the grid that runs ends. Does not return to a fiber.
void fault_and_end(const char *format, ...) __attribute__((format(printf, 1, 2)));
const char *running_kernel(void);
int running_thread(void); // of its block, -1: none

// --- shared memory and its shadow ---

extern unsigned char *shared_memory; // SHARED_BYTES; what is dynamic begins at STATIC_BYTES
void shared_begin_grid(size_t dynamic_bytes);
void shared_begin_block(void);
void shadow_barrier(void);
void shadow_warp_barrier(int warp, unsigned lanes);
// The array is there from now on; `name` NULL: the dynamic one.
void shadow_add(size_t offset, size_t bytes, const char *name);
void shadow_access(int thread, const void *address, size_t bytes, bool writes);

// --- warp functions ---

struct lane_request {
  titan_emulated_warp_kind kind;
  unsigned mask;
  uint64_t bits, result;
  int argument, width;
  const char *file;
  int line;
};
// What each lane of the mask gets; lanes: those of the warp.
void warp_resolve(lane_request *const lanes[WARP], unsigned mask);

#endif
