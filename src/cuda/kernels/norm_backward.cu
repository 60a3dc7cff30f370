// SPDX-License-Identifier: Apache-2.0
// A block takes a group of rows, one after another; a thread packs THREADS apart. Rows of up to 8,192 elements (16,384
// of bfloat16) stay in registers, with the thread's part of dweight; where there is room the next row is on its way
// meanwhile. Longer rows, and those that are not aligned, are read twice, and dweight's sums lie in `partials`.
#include "cuda/kernels/norm.h"
#include "cuda/kernels/pack.cuh"
#include "cuda/kernels/reduce.cuh"

namespace {

// What is the same for a row.
struct row_statistics {
  float mean, rstd, mean_g, mean_gn;
};

template <typename T, bool LAYER> struct gradient {
  static constexpr int W = titan_pack_width<T>;
  const titan_cuda_norm_backward &a;

  __device__ __forceinline__ float normalised(float x, const row_statistics &s) const {
    return (LAYER ? x - s.mean : x) * s.rstd;
  }

  __device__ __forceinline__ bool is_weighted() const {
    return !LAYER || a.weight != nullptr;
  }

  // g = dy weight
  template <bool VECTOR>
  __device__ __forceinline__ void weigh(int64_t column, const float (&dy)[W], float (&g)[W]) const {
    float weight[W];
    if (is_weighted())
      titan_load<VECTOR>(static_cast<const T *>(a.weight) + column, a.width - column, weight);
#pragma unroll
    for (int i = 0; i < W; i++)
      g[i] = is_weighted() ? dy[i] * weight[i] : dy[i];
  }

  // Adds a pack's g n and g to the sums. (x is 0 beyond a row's end, and so is dy.)
  __device__ __forceinline__ void add_to_sums(const float (&g)[W], const float (&x)[W], const row_statistics &s,
                                              float (&sums)[LAYER ? 2 : 1]) const {
#pragma unroll
    for (int i = 0; i < W; i++) {
      sums[0] = fmaf(g[i], normalised(x[i], s), sums[0]);
      if constexpr (LAYER)
        sums[1] += g[i];
    }
  }

  __device__ __forceinline__ void add_to_dweight(const float (&dy)[W], const float (&x)[W], const row_statistics &s,
                                                 float (&dweight)[W]) const {
#pragma unroll
    for (int i = 0; i < W; i++) {
      float n = normalised(x[i], s);
      if (!LAYER && a.round_twice)
        n = titan_rounded<T>(n);
      dweight[i] = fmaf(dy[i], n, dweight[i]);
    }
  }

  // dx of a pack in place of g.
  __device__ __forceinline__ void differentiate(float (&g)[W], const float (&x)[W], const float (&carried)[W],
                                                const row_statistics &s) const {
#pragma unroll
    for (int i = 0; i < W; i++) {
      const float centred = LAYER ? g[i] - s.mean_g : g[i];
      g[i] = fmaf(s.rstd, fmaf(normalised(x[i], s), -s.mean_gn, centred), carried[i]);
    }
  }
};

} // namespace

static __device__ __forceinline__ int64_t group_begin(int64_t rows, unsigned group) {
  return rows * group / gridDim.x;
}

template <bool LAYER>
static __device__ __forceinline__ row_statistics statistics_of(const titan_cuda_norm_backward &a, int64_t row) {
  return {LAYER ? a.mean[row] : 0.0f, a.rstd[row], 0.0f, 0.0f};
}

template <int THREADS, bool LAYER>
static __device__ __forceinline__ void finish_statistics(float (&sums)[LAYER ? 2 : 1], int64_t width,
                                                         float (&parts)[LAYER ? 2 : 1][THREADS / 32],
                                                         row_statistics *s) {
  titan_block_sums<THREADS>(sums, parts);
  s->mean_gn = sums[0] / static_cast<float>(width);
  if constexpr (LAYER)
    s->mean_g = sums[1] / static_cast<float>(width);
}

namespace {

// A thread's packs of one row.
template <typename T, int KEPT> struct kept_row {
  titan_raw_pack<T> dy[KEPT], x[KEPT];

  template <int64_t STEP>
  __device__ __forceinline__ void load(const titan_cuda_norm_backward &a, int64_t row, int64_t first) {
#pragma unroll
    for (int k = 0; k < KEPT; k++)
      if (first + k * STEP < a.width) {
        dy[k] = titan_load_raw(static_cast<const T *>(a.dy) + row * a.width + first + k * STEP);
        x[k] = titan_load_raw(static_cast<const T *>(a.x) + row * a.width + first + k * STEP);
      }
  }
};

} // namespace

template <typename T, bool LAYER, int THREADS, int KEPT, bool AHEAD>
static __global__ void __launch_bounds__(THREADS) norm_backward_kept(const titan_cuda_norm_backward a) {
  constexpr int W = titan_pack_width<T>;
  constexpr int64_t STEP = static_cast<int64_t>(THREADS) * W;
  TITAN_SHARED(float, parts, [2][LAYER ? 2 : 1][THREADS / 32]);
  const gradient<T, LAYER> of = {a};
  const int64_t first = static_cast<int64_t>(threadIdx.x) * W, begin = group_begin(a.rows, blockIdx.x);
  const int64_t end = group_begin(a.rows, blockIdx.x + 1);
  float dweight[KEPT][W] = {};
  kept_row<T, KEPT> kept, next;
  if (AHEAD)
    next.template load<STEP>(a, begin, first);
  for (int64_t row = begin; row < end; row++) {
    row_statistics s = statistics_of<LAYER>(a, row);
    float sums[LAYER ? 2 : 1] = {};
    if (AHEAD)
      kept = next;
    else
      kept.template load<STEP>(a, row, first);
    if (AHEAD && row + 1 < end)
      next.template load<STEP>(a, row + 1, first);
#pragma unroll
    for (int k = 0; k < KEPT; k++)
      if (first + k * STEP < a.width) {
        float dy[W], x[W], g[W];
        titan_unpack(kept.dy[k], dy);
        titan_unpack(kept.x[k], x);
        of.template weigh<true>(first + k * STEP, dy, g);
        of.add_to_sums(g, x, s, sums);
        of.add_to_dweight(dy, x, s, dweight[k]);
      }
    finish_statistics<THREADS, LAYER>(sums, a.width, parts[row % 2], &s);
#pragma unroll
    for (int k = 0; k < KEPT; k++)
      if (first + k * STEP < a.width) {
        const int64_t at = row * a.width + first + k * STEP;
        float dy[W], x[W], g[W], carried[W] = {};
        titan_unpack(kept.dy[k], dy);
        titan_unpack(kept.x[k], x);
        of.template weigh<true>(first + k * STEP, dy, g);
        if (a.carried != nullptr)
          titan_load<true>(static_cast<const T *>(a.carried) + at, W, carried);
        of.differentiate(g, x, carried, s);
        titan_store<true>(static_cast<T *>(a.dx) + at, W, g);
      }
  }
  if (a.dweight == nullptr)
    return;
#pragma unroll
  for (int k = 0; k < KEPT; k++)
#pragma unroll
    for (int i = 0; i < W; i++)
      if (first + k * STEP < a.width)
        a.partials[blockIdx.x * a.width + first + k * STEP + i] = dweight[k][i];
}

template <typename T, bool LAYER, bool VECTOR>
static __global__ void __launch_bounds__(256) norm_backward_again(const titan_cuda_norm_backward a) {
  constexpr int W = titan_pack_width<T>, THREADS = 256;
  constexpr int64_t STEP = static_cast<int64_t>(THREADS) * W;
  TITAN_SHARED(float, parts, [2][LAYER ? 2 : 1][THREADS / 32]);
  const gradient<T, LAYER> of = {a};
  const int64_t begin = group_begin(a.rows, blockIdx.x), end = group_begin(a.rows, blockIdx.x + 1);
  for (int64_t row = begin; row < end; row++) {
    const T *row_dy = static_cast<const T *>(a.dy) + row * a.width;
    const T *row_x = static_cast<const T *>(a.x) + row * a.width;
    row_statistics s = statistics_of<LAYER>(a, row);
    float sums[LAYER ? 2 : 1] = {}, dy[W], x[W], g[W];
    for (int64_t column = static_cast<int64_t>(threadIdx.x) * W; column < a.width; column += STEP) {
      const int64_t count = a.width - column;
      titan_load<VECTOR>(row_dy + column, count, dy);
      titan_load<VECTOR>(row_x + column, count, x);
      of.template weigh<VECTOR>(column, dy, g);
      of.add_to_sums(g, x, s, sums);
    }
    finish_statistics<THREADS, LAYER>(sums, a.width, parts[row % 2], &s);
    for (int64_t column = static_cast<int64_t>(threadIdx.x) * W; column < a.width; column += STEP) {
      const int64_t count = a.width - column;
      float carried[W] = {}, dweight[W] = {};
      float *partial = a.partials + blockIdx.x * a.width + column;
      titan_load<VECTOR>(row_dy + column, count, dy);
      titan_load<VECTOR>(row_x + column, count, x);
      of.template weigh<VECTOR>(column, dy, g);
      if (a.carried != nullptr)
        titan_load<VECTOR>(static_cast<const T *>(a.carried) + row * a.width + column, count, carried);
#pragma unroll
      for (int i = 0; i < W; i++)
        if (a.dweight != nullptr && row > begin && i < count)
          dweight[i] = partial[i];
      of.add_to_dweight(dy, x, s, dweight);
#pragma unroll
      for (int i = 0; i < W; i++)
        if (a.dweight != nullptr && i < count)
          partial[i] = dweight[i];
      of.differentiate(g, x, carried, s);
      titan_store<VECTOR>(static_cast<T *>(a.dx) + row * a.width + column, count, g);
    }
  }
}

enum { COLUMNS = 32, SLICES = 8 };

// dweight: a block takes 32 columns; each warp adds a slice of the groups in order, and the first warp the slices.
static __global__ void __launch_bounds__(COLUMNS *SLICES)
    norm_add_partials(const float *partials, int groups, int64_t width, float *dweight) {
  TITAN_SHARED(float, sums, [SLICES][COLUMNS]);
  const int lane = static_cast<int>(threadIdx.x) % COLUMNS, slice = static_cast<int>(threadIdx.x) / COLUMNS;
  const int64_t column = static_cast<int64_t>(blockIdx.x) * COLUMNS + lane;
  float sum = 0;
  for (int group = groups * slice / SLICES; group < groups * (slice + 1) / SLICES; group++)
    if (column < width)
      sum += partials[group * width + column];
  sums[slice][lane] = sum;
  __syncthreads();
  if (slice > 0 || column >= width)
    return;
  for (int i = 1; i < SLICES; i++)
    sum += sums[i][lane];
  dweight[column] = sum;
}

template <typename T, bool LAYER>
static void put_rows(cudaStream_t stream, const titan_cuda_norm_backward &a, unsigned groups) {
  constexpr int W = titan_pack_width<T>;
  const bool aligned = a.width % W == 0 && titan_aligned(a.dy, a.x, a.weight, a.carried, a.dx);
  if (!aligned)
    TITAN_LAUNCH((norm_backward_again<T, LAYER, false>), groups, 256, 0, stream, a);
  else if (a.width <= 2048)
    TITAN_LAUNCH((norm_backward_kept<T, LAYER, 256, 8 / W, true>), groups, 256, 0, stream, a);
  else if (a.width <= 4096)
    TITAN_LAUNCH((norm_backward_kept<T, LAYER, 256, 16 / W, true>), groups, 256, 0, stream, a);
  else if (a.width <= 8192)
    TITAN_LAUNCH((norm_backward_kept<T, LAYER, 512, 16 / W, sizeof(T) == 2>), groups, 512, 0, stream, a);
  else if (a.width <= 16384 && sizeof(T) == 2)
    TITAN_LAUNCH((norm_backward_kept<__nv_bfloat16, LAYER, 512, 4, false>), groups, 512, 0, stream, a);
  else
    TITAN_LAUNCH((norm_backward_again<T, LAYER, true>), groups, 256, 0, stream, a);
}

void titan_cuda_put_norm_backward(cudaStream_t stream, const titan_cuda_norm_backward *norm) {
  const titan_cuda_norm_backward &a = *norm;
  const int groups = static_cast<int>(titan_least(a.rows, TITAN_CUDA_NORM_GROUPS));
  const unsigned blocks = static_cast<unsigned>(groups);
  if (a.narrow && a.mean != nullptr)
    put_rows<__nv_bfloat16, true>(stream, a, blocks);
  else if (a.narrow)
    put_rows<__nv_bfloat16, false>(stream, a, blocks);
  else if (a.mean != nullptr)
    put_rows<float, true>(stream, a, blocks);
  else
    put_rows<float, false>(stream, a, blocks);
  if (a.dweight != nullptr)
    TITAN_LAUNCH(norm_add_partials, static_cast<unsigned>(titan_parts(a.width, COLUMNS)), COLUMNS * SLICES, 0, stream,
                 static_cast<const float *>(a.partials), groups, a.width, a.dweight);
}
