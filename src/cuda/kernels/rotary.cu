// SPDX-License-Identifier: Apache-2.0
// Su et al., "RoFormer", arXiv:2104.09864. The grid's first dimension goes over a row of heads, 16 bytes a thread, its
// second over rows; heads that are not whole packs, and operands that are not aligned, are moved pair by pair.
#include "cuda/kernels/pack.cuh"
#include "cuda/kernels/rotary.h"

enum { THREADS = 256, MOST_ROWS_OF_BLOCKS = 65535 };

// Where a row's element `column` lies apart, in elements from there on; which of q, k, v (0, 1, 2).
template <typename T>
static __device__ __forceinline__ T *apart(const titan_cuda_rotary &a, int64_t row, int column, int *which) {
  const int q_width = static_cast<int>(a.heads * a.size), kv_width = static_cast<int>(a.kv_heads * a.size);
  *which = column < q_width ? 0 : column < q_width + kv_width ? 1 : 2;
  if (*which == 0)
    return static_cast<T *>(a.q) + row * q_width + column;
  column -= q_width;
  if (*which == 1)
    return static_cast<T *>(a.k) + row * kv_width + column;
  return static_cast<T *>(a.v) + row * kv_width + (column - kv_width);
}

// (x, y) -> (x cos - y sin, x sin + y cos), each rounded alike in every kernel.
static __device__ __forceinline__ void rotate(float *x, float *y, float cosine, float sine) {
  const float first = fmaf(*x, cosine, -(*y * sine));
  *y = fmaf(*y, cosine, *x * sine);
  *x = first;
}

// N elements: a pack, or a pair.
template <typename T, int N> static __device__ __forceinline__ void load(const T *from, float (&to)[N]) {
  if constexpr (N == titan_pack_width<T>) {
    titan_load<true>(from, N, to);
  } else {
    to[0] = titan_value(from[0]);
    to[1] = titan_value(from[1]);
  }
}

template <typename T, int N> static __device__ __forceinline__ void store(T *to, const float (&from)[N]) {
  if constexpr (N == titan_pack_width<T>) {
    titan_store<true>(to, N, from);
  } else {
    to[0] = titan_narrowed<T>(from[0]);
    to[1] = titan_narrowed<T>(from[1]);
  }
}

template <typename T, int N> static __global__ void __launch_bounds__(THREADS) rotate_heads(const titan_cuda_rotary a) {
  const int width = static_cast<int>((a.heads + 2 * a.kv_heads) * a.size);
  const int column = (static_cast<int>(blockIdx.x) * THREADS + static_cast<int>(threadIdx.x)) * N;
  if (column >= width)
    return;
  const int of_head = column % static_cast<int>(a.size);
  for (int64_t row = blockIdx.y; row < a.rows; row += gridDim.y) {
    int which;
    T *part = apart<T>(a, row, column, &which), *packed = static_cast<T *>(a.packed) + row * width + column;
    float x[N];
    load<T, N>(a.join ? part : packed, x);
    if (which < 2) {
      const float *angles = a.table + row % a.length * a.size + of_head;
#pragma unroll
      for (int i = 0; i < N; i += 2)
        rotate(&x[i], &x[i + 1], __ldg(angles + i), a.back ? -__ldg(angles + i + 1) : __ldg(angles + i + 1));
    }
    store<T, N>(a.join ? packed : part, x);
  }
}

template <typename T, int N> static void put_packs(cudaStream_t stream, const titan_cuda_rotary &a) {
  const int64_t width = (a.heads + 2 * a.kv_heads) * a.size;
  const dim3 blocks(static_cast<unsigned>(titan_parts(width, static_cast<int64_t>(THREADS) * N)),
                    static_cast<unsigned>(titan_least(a.rows, MOST_ROWS_OF_BLOCKS)));
  TITAN_LAUNCH((rotate_heads<T, N>), blocks, THREADS, 0, stream, a);
}

template <typename T> static void put_rotary(cudaStream_t stream, const titan_cuda_rotary &a) {
  if (a.size % titan_pack_width<T> == 0 && titan_aligned(a.packed, a.q, a.k, a.v))
    put_packs<T, titan_pack_width<T>>(stream, a);
  else
    put_packs<T, 2>(stream, a);
}

void titan_cuda_put_rotary(cudaStream_t stream, const titan_cuda_rotary *rotary) {
  if (rotary->narrow)
    put_rotary<__nv_bfloat16>(stream, *rotary);
  else
    put_rotary<float>(stream, *rotary);
}
