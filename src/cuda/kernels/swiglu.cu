// SPDX-License-Identifier: Apache-2.0
// Shazeer, "GLU Variants Improve Transformer", arXiv:2002.05202. The grid's first dimension goes over the packs of a
// row, its second over rows.
#include "cuda/kernels/elementwise.h"
#include "cuda/kernels/pack.cuh"
#include "cuda/kernels/sigmoid.cuh"

enum { THREADS = 256, MOST_ROWS_OF_BLOCKS = 65535 };

template <typename T, bool VECTOR>
static __global__ void __launch_bounds__(THREADS) swiglu(int64_t rows, int64_t width, const T *gate_up, T *hidden) {
  constexpr int W = titan_pack_width<T>;
  const int64_t column = (static_cast<int64_t>(blockIdx.x) * THREADS + threadIdx.x) * W, count = width - column;
  if (count <= 0)
    return;
  for (int64_t row = blockIdx.y; row < rows; row += gridDim.y) {
    float gate[W], up[W];
    titan_load<VECTOR>(gate_up + row * 2 * width + column, count, gate);
    titan_load<VECTOR>(gate_up + row * 2 * width + width + column, count, up);
#pragma unroll
    for (int i = 0; i < W; i++)
      up[i] *= titan_silu(gate[i]);
    titan_store<VECTOR>(hidden + row * width + column, count, up);
  }
}

// With s = sigmoid(gate):  dup = dy * gate * s,  dgate = dy * up * s * (1 + gate * (1 - s)). dgate_up may be gate_up: a
// pack of either half is read before it is written.
template <typename T, bool VECTOR>
static __global__ void __launch_bounds__(THREADS)
    swiglu_backward(int64_t rows, int64_t width, const T *dhidden, const T *gate_up, T *dgate_up) {
  constexpr int W = titan_pack_width<T>;
  const int64_t column = (static_cast<int64_t>(blockIdx.x) * THREADS + threadIdx.x) * W, count = width - column;
  if (count <= 0)
    return;
  for (int64_t row = blockIdx.y; row < rows; row += gridDim.y) {
    const int64_t gate_at = row * 2 * width + column, up_at = gate_at + width;
    float dy[W], gate[W], up[W];
    titan_load<VECTOR>(dhidden + row * width + column, count, dy);
    titan_load<VECTOR>(gate_up + gate_at, count, gate);
    titan_load<VECTOR>(gate_up + up_at, count, up);
#pragma unroll
    for (int i = 0; i < W; i++) {
      const float s = titan_sigmoid(gate[i]), through = dy[i] * s;
      const float dgate = through * up[i] * fmaf(gate[i], 1.0f - s, 1.0f);
      up[i] = through * gate[i];
      gate[i] = dgate;
    }
    titan_store<VECTOR>(dgate_up + gate_at, count, gate);
    titan_store<VECTOR>(dgate_up + up_at, count, up);
  }
}

template <typename T> static dim3 blocks_of(int64_t rows, int64_t width) {
  const int64_t columns = titan_parts(width, static_cast<int64_t>(THREADS) * titan_pack_width<T>);
  return dim3(static_cast<unsigned>(columns), static_cast<unsigned>(titan_least(rows, MOST_ROWS_OF_BLOCKS)));
}

template <typename T>
static void put_swiglu(cudaStream_t stream, int64_t rows, int64_t width, const void *gate_up, void *hidden) {
  const dim3 blocks = blocks_of<T>(rows, width);
  const T *from = static_cast<const T *>(gate_up);
  if (width % titan_pack_width<T> == 0 && titan_aligned(gate_up, hidden))
    TITAN_LAUNCH((swiglu<T, true>), blocks, THREADS, 0, stream, rows, width, from, static_cast<T *>(hidden));
  else
    TITAN_LAUNCH((swiglu<T, false>), blocks, THREADS, 0, stream, rows, width, from, static_cast<T *>(hidden));
}

template <typename T>
static void put_swiglu_backward(cudaStream_t stream, int64_t rows, int64_t width, const void *dhidden,
                                const void *gate_up, void *dgate_up) {
  const dim3 blocks = blocks_of<T>(rows, width);
  const T *dy = static_cast<const T *>(dhidden), *from = static_cast<const T *>(gate_up);
  if (width % titan_pack_width<T> == 0 && titan_aligned(dhidden, gate_up, dgate_up))
    TITAN_LAUNCH((swiglu_backward<T, true>), blocks, THREADS, 0, stream, rows, width, dy, from,
                 static_cast<T *>(dgate_up));
  else
    TITAN_LAUNCH((swiglu_backward<T, false>), blocks, THREADS, 0, stream, rows, width, dy, from,
                 static_cast<T *>(dgate_up));
}

void titan_cuda_put_swiglu(cudaStream_t stream, bool narrow, int64_t rows, int64_t width, const void *gate_up,
                           void *hidden) {
  if (narrow)
    put_swiglu<__nv_bfloat16>(stream, rows, width, gate_up, hidden);
  else
    put_swiglu<float>(stream, rows, width, gate_up, hidden);
}

void titan_cuda_put_swiglu_backward(cudaStream_t stream, bool narrow, int64_t rows, int64_t width, const void *dhidden,
                                    const void *gate_up, void *dgate_up) {
  if (narrow)
    put_swiglu_backward<__nv_bfloat16>(stream, rows, width, dhidden, gate_up, dgate_up);
  else
    put_swiglu_backward<float>(stream, rows, width, dhidden, gate_up, dgate_up);
}
