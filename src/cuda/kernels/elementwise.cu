// SPDX-License-Identifier: Apache-2.0
#include "cuda/kernels/elementwise.h"
#include "cuda/kernels/pack.cuh"
#include "cuda/kernels/sigmoid.cuh"

enum { THREADS = 256, EACH = 2 }; // packs that a thread takes

namespace {

struct sum {
  static __device__ __forceinline__ float of(float a, float b) {
    return a + b;
  }
};
struct product {
  static __device__ __forceinline__ float of(float a, float b) {
    return a * b;
  }
};
struct silu {
  static __device__ __forceinline__ float of(float x, float) {
    return titan_silu(x);
  }
};
struct silu_gradient {
  static __device__ __forceinline__ float of(float dy, float x) {
    const float s = titan_sigmoid(x);
    return dy * s * fmaf(x, 1.0f - s, 1.0f);
  }
};

} // namespace

template <typename T, typename OF, int INPUTS, bool VECTOR>
static __global__ void __launch_bounds__(THREADS) elementwise(int64_t n, const T *a, const T *b, T *y) {
  constexpr int W = titan_pack_width<T>;
  const int64_t first = (static_cast<int64_t>(blockIdx.x) * THREADS * EACH + threadIdx.x) * W;
  float left[EACH][W], right[EACH][W];
#pragma unroll
  for (int k = 0; k < EACH; k++) {
    const int64_t at = first + static_cast<int64_t>(k) * THREADS * W;
    if (at < n) {
      titan_load<VECTOR>(a + at, n - at, left[k]);
      if (INPUTS > 1)
        titan_load<VECTOR>(b + at, n - at, right[k]);
    }
  }
#pragma unroll
  for (int k = 0; k < EACH; k++) {
    const int64_t at = first + static_cast<int64_t>(k) * THREADS * W;
    if (at >= n)
      break;
#pragma unroll
    for (int i = 0; i < W; i++)
      left[k][i] = OF::of(left[k][i], INPUTS > 1 ? right[k][i] : 0.0f);
    titan_store<VECTOR>(y + at, n - at, left[k]);
  }
}

template <typename T, typename OF, int INPUTS>
static void put(cudaStream_t stream, int64_t n, const void *a, const void *b, void *y) {
  const unsigned blocks =
      static_cast<unsigned>(titan_parts(n, static_cast<int64_t>(THREADS) * EACH * titan_pack_width<T>));
  const T *left = static_cast<const T *>(a), *right = static_cast<const T *>(b);
  if (titan_aligned(a, b, y))
    TITAN_LAUNCH((elementwise<T, OF, INPUTS, true>), blocks, THREADS, 0, stream, n, left, right, static_cast<T *>(y));
  else
    TITAN_LAUNCH((elementwise<T, OF, INPUTS, false>), blocks, THREADS, 0, stream, n, left, right, static_cast<T *>(y));
}

template <typename OF, int INPUTS>
static void put_of(cudaStream_t stream, bool narrow, int64_t n, const void *a, const void *b, void *y) {
  if (narrow)
    put<__nv_bfloat16, OF, INPUTS>(stream, n, a, b, y);
  else
    put<float, OF, INPUTS>(stream, n, a, b, y);
}

void titan_cuda_put_elementwise(cudaStream_t stream, titan_cuda_elementwise what, bool narrow, int64_t n, const void *a,
                                const void *b, void *y) {
  switch (what) {
  case TITAN_CUDA_ADD:
    put_of<sum, 2>(stream, narrow, n, a, b, y);
    break;
  case TITAN_CUDA_MUL:
    put_of<product, 2>(stream, narrow, n, a, b, y);
    break;
  case TITAN_CUDA_SILU_BACKWARD:
    put_of<silu_gradient, 2>(stream, narrow, n, a, b, y);
    break;
  }
}

void titan_cuda_put_silu(cudaStream_t stream, bool narrow, int64_t n, const void *x, void *y) {
  put_of<silu, 1>(stream, narrow, n, x, nullptr, y);
}

// The bytes after the last 16 are copied by the grid's first threads.
template <typename UNIT>
static __global__ void __launch_bounds__(THREADS) copy_units(size_t bytes, const void *from, void *to) {
  const size_t units = bytes / sizeof(UNIT), first = static_cast<size_t>(blockIdx.x) * THREADS * EACH + threadIdx.x;
#pragma unroll
  for (int k = 0; k < EACH; k++) {
    const size_t i = first + static_cast<size_t>(k) * THREADS;
    if (i < units) {
      TITAN_VECTOR_ACCESS(static_cast<UNIT *>(to), sizeof(UNIT));
      TITAN_VECTOR_ACCESS(static_cast<const UNIT *>(from), sizeof(UNIT));
      static_cast<UNIT *>(to)[i] = static_cast<const UNIT *>(from)[i];
    }
  }
  const size_t last = units * sizeof(UNIT) + first;
  if (first < sizeof(UNIT) && last < bytes)
    static_cast<unsigned char *>(to)[last] = static_cast<const unsigned char *>(from)[last];
}

void titan_cuda_put_copy(cudaStream_t stream, size_t bytes, const void *from, void *to) {
  const bool aligned = titan_aligned(from, to);
  const unsigned blocks =
      static_cast<unsigned>(titan_parts(static_cast<int64_t>(bytes), THREADS * EACH * (aligned ? 16 : 1)));
  if (aligned)
    TITAN_LAUNCH(copy_units<uint4>, blocks, THREADS, 0, stream, bytes, from, to);
  else
    TITAN_LAUNCH(copy_units<unsigned char>, blocks, THREADS, 0, stream, bytes, from, to);
}
