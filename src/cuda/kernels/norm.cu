// SPDX-License-Identifier: Apache-2.0
// Zhang and Sennrich, "Root Mean Square Layer Normalization", NeurIPS 2019; Ba, Kiros and Hinton, "Layer
// Normalization", arXiv:1607.06450.
//
// A block takes a row, a thread packs THREADS apart. Rows of up to 16,384 elements stay in registers; longer ones, and
// those that are not aligned, are read again for each pass. Both add up in the same order.
#include "cuda/kernels/norm.h"
#include "cuda/kernels/pack.cuh"
#include "cuda/kernels/reduce.cuh"

namespace {

enum { THREADS = 256 };

enum statistics { ROOT_MEAN_SQUARE, ROOT_MEAN_SQUARE_OF_SUM, LAYER };

template <typename T> struct row {
  const T *x, *residual, *weight;
  T *y, *sum;
  int64_t width;
};

} // namespace

// One pack of what is normalised; `first`: it has not been read before.
template <typename T, statistics KIND, bool VECTOR>
static __device__ __forceinline__ void load_pack(const row<T> &r, int64_t at, bool first,
                                                 float (&x)[titan_pack_width<T>]) {
  constexpr int W = titan_pack_width<T>;
  if (KIND == ROOT_MEAN_SQUARE_OF_SUM && !first) {
    titan_load<VECTOR>(static_cast<const T *>(r.sum) + at, r.width - at, x);
    return;
  }
  titan_load<VECTOR>(r.x + at, r.width - at, x);
  if constexpr (KIND == ROOT_MEAN_SQUARE_OF_SUM) {
    float residual[W];
    titan_load<VECTOR>(r.residual + at, r.width - at, residual);
#pragma unroll
    for (int i = 0; i < W; i++)
      x[i] = titan_rounded<T>(x[i] + residual[i]);
    titan_store<VECTOR>(r.sum + at, r.width - at, x);
  }
}

template <int W> static __device__ __forceinline__ void add_values(const float (&x)[W], float &sum) {
#pragma unroll
  for (int i = 0; i < W; i++)
    sum += x[i];
}

// `count` of the elements are there.
template <int W>
static __device__ __forceinline__ void add_squares(const float (&x)[W], float mean, int64_t count, float &sum) {
#pragma unroll
  for (int i = 0; i < W; i++) {
    const float distance = i < count ? x[i] - mean : 0.0f;
    sum = fmaf(distance, distance, sum);
  }
}

template <typename T, statistics KIND, bool VECTOR>
static __device__ __forceinline__ void store_pack(const row<T> &r, int64_t at, float mean, float rstd, bool round_twice,
                                                  const float (&x)[titan_pack_width<T>]) {
  constexpr int W = titan_pack_width<T>;
  float y[W], weight[W];
  if (KIND != LAYER || r.weight != nullptr)
    titan_load<VECTOR>(r.weight + at, r.width - at, weight);
#pragma unroll
  for (int i = 0; i < W; i++) {
    y[i] = (KIND == LAYER ? x[i] - mean : x[i]) * rstd;
    if (KIND != LAYER && round_twice)
      y[i] = titan_rounded<T>(y[i]);
    if (KIND != LAYER || r.weight != nullptr)
      y[i] *= weight[i];
  }
  titan_store<VECTOR>(r.y + at, r.width - at, y);
}

static __device__ __forceinline__ float block_mean(float value, int64_t width, float (&parts)[1][THREADS / 32]) {
  float sums[1] = {value};
  titan_block_sums<THREADS>(sums, parts);
  return sums[0] / static_cast<float>(width);
}

// So many blocks a multiprocessor holds at least: what a thread keeps decides how many registers it gets.
constexpr int resident_blocks(int kept_elements) {
  return kept_elements > 32 ? 2 : kept_elements > 16 ? 3 : 4;
}

// KEPT: packs of a row that a thread keeps; 0: none, and the row is read again.
template <typename T, statistics KIND, int KEPT, bool VECTOR>
static __global__ void __launch_bounds__(THREADS, resident_blocks(KEPT *titan_pack_width<T>))
    norm_rows(const titan_cuda_norm a) {
  constexpr int W = titan_pack_width<T>;
  constexpr int64_t STEP = static_cast<int64_t>(THREADS) * W;
  TITAN_SHARED(float, parts, [2][1][THREADS / 32]);
  const int64_t begin = static_cast<int64_t>(blockIdx.x) * a.width, first = static_cast<int64_t>(threadIdx.x) * W;
  const row<T> r = {static_cast<const T *>(a.x) + begin,
                    KIND == ROOT_MEAN_SQUARE_OF_SUM ? static_cast<const T *>(a.residual) + begin : nullptr,
                    static_cast<const T *>(a.weight),
                    static_cast<T *>(a.y) + begin,
                    KIND == ROOT_MEAN_SQUARE_OF_SUM ? static_cast<T *>(a.sum) + begin : nullptr,
                    a.width};
  float kept[KEPT > 0 ? KEPT : 1][W];
  float sum = 0, mean = 0;
  if constexpr (KEPT > 0) {
#pragma unroll
    for (int k = 0; k < KEPT; k++)
      if (first + k * STEP < a.width)
        load_pack<T, KIND, VECTOR>(r, first + k * STEP, true, kept[k]);
  }
  // calls `visit` with each of the thread's packs
  auto each = [&](bool unread, auto visit) {
    if constexpr (KEPT > 0) {
#pragma unroll
      for (int k = 0; k < KEPT; k++)
        if (first + k * STEP < a.width)
          visit(first + k * STEP, kept[k]);
    } else {
      for (int64_t at = first; at < a.width; at += STEP) {
        load_pack<T, KIND, VECTOR>(r, at, unread, kept[0]);
        visit(at, kept[0]);
      }
    }
  };
  if constexpr (KIND == LAYER) {
    each(true, [&](int64_t, const float(&x)[W]) { add_values(x, sum); });
    mean = block_mean(sum, a.width, parts[0]);
    sum = 0;
  }
  each(KIND != LAYER, [&](int64_t at, const float(&x)[W]) { add_squares(x, mean, a.width - at, sum); });
  const float rstd = 1.0f / sqrtf(block_mean(sum, a.width, parts[1]) + a.epsilon);
  each(false,
       [&](int64_t at, const float(&x)[W]) { store_pack<T, KIND, VECTOR>(r, at, mean, rstd, a.round_twice, x); });
  if (threadIdx.x == 0) {
    a.rstd[blockIdx.x] = rstd;
    if (KIND == LAYER)
      a.mean[blockIdx.x] = mean;
  }
}

template <typename T, statistics KIND> static void put_norm(cudaStream_t stream, const titan_cuda_norm &a) {
  constexpr int W = titan_pack_width<T>, LEAST = 8 / W; // packs of 8 elements
  const int64_t packs = titan_parts(a.width, static_cast<int64_t>(THREADS) * W);
  const unsigned rows = static_cast<unsigned>(a.rows);
  if (a.width % W != 0 || !titan_aligned(a.x, a.residual, a.weight, a.y, a.sum))
    TITAN_LAUNCH((norm_rows<T, KIND, 0, false>), rows, THREADS, 0, stream, a);
  else if (packs <= LEAST)
    TITAN_LAUNCH((norm_rows<T, KIND, LEAST, true>), rows, THREADS, 0, stream, a);
  else if (packs <= 2 * LEAST)
    TITAN_LAUNCH((norm_rows<T, KIND, 2 * LEAST, true>), rows, THREADS, 0, stream, a);
  else if (packs <= 4 * LEAST)
    TITAN_LAUNCH((norm_rows<T, KIND, 4 * LEAST, true>), rows, THREADS, 0, stream, a);
  else if (packs <= 8 * LEAST)
    TITAN_LAUNCH((norm_rows<T, KIND, 8 * LEAST, true>), rows, THREADS, 0, stream, a);
  else
    TITAN_LAUNCH((norm_rows<T, KIND, 0, true>), rows, THREADS, 0, stream, a);
}

template <typename T> static void put_norm_of(cudaStream_t stream, const titan_cuda_norm &a) {
  if (a.mean != nullptr)
    put_norm<T, LAYER>(stream, a);
  else if (a.residual != nullptr)
    put_norm<T, ROOT_MEAN_SQUARE_OF_SUM>(stream, a);
  else
    put_norm<T, ROOT_MEAN_SQUARE>(stream, a);
}

void titan_cuda_put_norm(cudaStream_t stream, const titan_cuda_norm *norm) {
  if (norm->narrow)
    put_norm_of<__nv_bfloat16>(stream, *norm);
  else
    put_norm_of<float>(stream, *norm);
}
