// SPDX-License-Identifier: Apache-2.0
// Kernels on the CPU: what cuda/kernels/launch.cuh includes where TITAN_CUDA_EMULATED is defined. The .cu files
// are compiled as C++17. The threads of a block are fibers that take turns; the blocks of a grid run one after another.
//
// What kernels may use is what this file has (docs/cuda-kernels.md). All else fails to compile here.
//
// Each of these is a fault (control.h): threads of a block at different barriers, or a warp function whose lanes have
// different masks, functions or lines, or that some never reach; a launch that a GPU would refuse; and, where the file
// is compiled with -fsanitize=thread (whose hooks shadow.cpp has): a read of shared memory that was never written, an
// access outside of it, and two accesses by different threads, one of them a write, with no barrier between them.
#ifndef TITAN_TESTS_CUDA_EMULATOR_EMULATOR_H
#define TITAN_TESTS_CUDA_EMULATOR_EMULATOR_H

#include "runtime.h"

#include <cuda_bf16.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <tuple>
#include <type_traits>

// --- where a thread is ---

struct titan_emulated_place {
  uint3 thread, block;
  dim3 block_size, grid_size;
};
extern titan_emulated_place titan_emulated_now;
#define threadIdx titan_emulated_now.thread
#define blockIdx titan_emulated_now.block
#define blockDim titan_emulated_now.block_size
#define gridDim titan_emulated_now.grid_size
static constexpr int warpSize = 32;
#undef __launch_bounds__
#define __launch_bounds__(...)

// --- launches ---

struct titan_emulated_launch {
  const char *name;
  const void *kernel;
  dim3 grid, block;
  size_t shared_bytes; // dynamic
};
// Runs a grid: `body` once for each thread.
void titan_emulated_run(const titan_emulated_launch &launch, const std::function<void()> &body);
// The kernel may have so much dynamic shared memory; without a call, 48 KiB with what is static.
void titan_emulated_allow_shared(const void *kernel, size_t bytes);

template <typename... Parameters, typename... Arguments>
void titan_emulated_put(const char *name, void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes,
                        cudaStream_t stream, Arguments &&...arguments) {
  titan_emulated_launch launch = {name, reinterpret_cast<const void *>(kernel), grid, block, shared_bytes};
  std::tuple<std::decay_t<Parameters>...> values(static_cast<std::decay_t<Parameters>>(arguments)...);
  titan_emulated_enqueue(stream, [=] { titan_emulated_run(launch, [&] { std::apply(kernel, values); }); });
}

#define TITAN_LAUNCH(kernel, grid, block, shared_bytes, stream, ...)                                                   \
  titan_emulated_put(#kernel, kernel, grid, block, shared_bytes, stream, __VA_ARGS__)
#define TITAN_ALLOW_SHARED(kernel, bytes)                                                                              \
  (titan_emulated_allow_shared(reinterpret_cast<const void *>(kernel), bytes), cudaSuccess)

// --- shared memory ---

// The block's memory for the array that `key` stands for, full of NaN when a block begins.
void *titan_emulated_shared(const void *key, const char *name, size_t bytes, size_t alignment);
void *titan_emulated_dynamic_shared(void);

#define TITAN_SHARED(type, name, dimensions)                                                                           \
  static const char titan_shared_key_##name = 0;                                                                       \
  typedef type titan_shared_type_##name dimensions;                                                                    \
  titan_shared_type_##name &name = *static_cast<titan_shared_type_##name *>(                                           \
      titan_emulated_shared(&titan_shared_key_##name, #name, sizeof(titan_shared_type_##name),                         \
                            alignof(titan_shared_type_##name) > 16 ? alignof(titan_shared_type_##name) : 16))
#define TITAN_DYNAMIC_SHARED(type, name) type *name = static_cast<type *>(titan_emulated_dynamic_shared())

void titan_emulated_vector_access(const void *address, size_t bytes);
#define TITAN_VECTOR_ACCESS(address, bytes) titan_emulated_vector_access(address, bytes)

// --- barriers and warp functions ---

#define TITAN_EMULATED_LINE const char *file = __builtin_FILE(), int line = __builtin_LINE()

enum titan_emulated_warp_kind {
  TITAN_EMULATED_SYNC,
  TITAN_EMULATED_BALLOT,
  TITAN_EMULATED_SHFL,
  TITAN_EMULATED_SHFL_XOR,
  TITAN_EMULATED_SHFL_DOWN,
  TITAN_EMULATED_SHFL_UP,
  TITAN_EMULATED_MMA,         // bits: a titan_emulated_fragments
  TITAN_EMULATED_LOAD_MATRIX, // bits: a titan_emulated_matrix_rows
};
void titan_emulated_barrier(const char *file, int line);
// Waits for the lanes of the mask; returns what the lane gets.
uint64_t titan_emulated_warp(titan_emulated_warp_kind kind, unsigned mask, uint64_t bits, int argument, int width,
                             const char *file, int line);

static inline void __syncthreads(TITAN_EMULATED_LINE) {
  titan_emulated_barrier(file, line);
}
static inline void __syncwarp(unsigned mask = 0xffffffffu, TITAN_EMULATED_LINE) {
  titan_emulated_warp(TITAN_EMULATED_SYNC, mask, 0, 0, 32, file, line);
}
static inline unsigned __ballot_sync(unsigned mask, int predicate, TITAN_EMULATED_LINE) {
  return (unsigned)titan_emulated_warp(TITAN_EMULATED_BALLOT, mask, predicate != 0, 0, 32, file, line);
}
static inline int __any_sync(unsigned mask, int predicate, TITAN_EMULATED_LINE) {
  return __ballot_sync(mask, predicate, file, line) != 0;
}
static inline int __all_sync(unsigned mask, int predicate, TITAN_EMULATED_LINE) {
  return __ballot_sync(mask, predicate, file, line) == mask;
}

template <typename T>
static inline T titan_emulated_exchange(titan_emulated_warp_kind kind, unsigned mask, T value, int argument, int width,
                                        const char *file, int line) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8, "warp functions take 4 or 8 bytes");
  uint64_t bits = 0;
  memcpy(&bits, &value, sizeof value);
  bits = titan_emulated_warp(kind, mask, bits, argument, width, file, line);
  memcpy(&value, &bits, sizeof value);
  return value;
}
template <typename T>
static inline T __shfl_sync(unsigned mask, T value, int lane, int width = 32, TITAN_EMULATED_LINE) {
  return titan_emulated_exchange(TITAN_EMULATED_SHFL, mask, value, lane, width, file, line);
}
template <typename T>
static inline T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32, TITAN_EMULATED_LINE) {
  return titan_emulated_exchange(TITAN_EMULATED_SHFL_XOR, mask, value, lanes, width, file, line);
}
template <typename T>
static inline T __shfl_down_sync(unsigned mask, T value, unsigned lanes, int width = 32, TITAN_EMULATED_LINE) {
  return titan_emulated_exchange(TITAN_EMULATED_SHFL_DOWN, mask, value, (int)lanes, width, file, line);
}
template <typename T>
static inline T __shfl_up_sync(unsigned mask, T value, unsigned lanes, int width = 32, TITAN_EMULATED_LINE) {
  return titan_emulated_exchange(TITAN_EMULATED_SHFL_UP, mask, value, (int)lanes, width, file, line);
}

// --- matrix fragments (kernels/mma.cuh) ---

struct titan_emulated_fragments {
  float *d;
  const unsigned *a, *b;
  const float *c;
};
struct titan_emulated_matrix_rows {
  unsigned *to;
  const void *row;
  bool transposed;
};
static inline void titan_emulated_mma(float *d, const unsigned *a, const unsigned *b, const float *c,
                                      TITAN_EMULATED_LINE) {
  titan_emulated_fragments fragments = {d, a, b, c};
  titan_emulated_warp(TITAN_EMULATED_MMA, 0xffffffffu, (uint64_t)(uintptr_t)&fragments, 0, 32, file, line);
}
static inline void titan_emulated_load_matrix(unsigned *to, const void *row, bool transposed, TITAN_EMULATED_LINE) {
  titan_emulated_matrix_rows rows = {to, row, transposed};
  titan_emulated_warp(TITAN_EMULATED_LOAD_MATRIX, 0xffffffffu, (uint64_t)(uintptr_t)&rows, 0, 32, file, line);
}

// --- copies to shared memory that go on beside the thread (kernels/async.cuh) ---

void titan_emulated_copy_async(void *to, const void *from, bool zero);
void titan_emulated_copy_commit(void);
// All but the last `groups` groups have been copied.
void titan_emulated_copy_wait(int groups);

// --- arithmetic ---

using std::isfinite;
using std::max;
using std::min;

template <typename T> static inline T __ldg(const T *from) {
  return *from;
}
static inline unsigned __float_as_uint(float value) {
  unsigned bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}
static inline float __uint_as_float(unsigned bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}
static inline float rsqrtf(float x) {
  return 1.0f / sqrtf(x);
}
#define __expf(x) expf(x) // the C library has functions of these names
#define __logf(x) logf(x)
static inline int __popc(unsigned bits) {
  return __builtin_popcount(bits);
}
static inline int __ffs(int bits) {
  return __builtin_ffs(bits);
}

#endif
