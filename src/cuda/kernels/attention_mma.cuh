// SPDX-License-Identifier: Apache-2.0
// What the attention kernels in bfloat16 share, for heads of at most 128 elements: tiles of 64 rows in shared memory,
// products of matrix fragments, sums in float32. A block has four warps, each of which owns 16 rows of a product. Lane
// l of a warp owns of each 8 columns of it rows l / 4 and l / 4 + 8, columns 2 (l % 4) and the next.
#ifndef TITAN_CUDA_KERNELS_ATTENTION_MMA_CUH
#define TITAN_CUDA_KERNELS_ATTENTION_MMA_CUH

#include "cuda/kernels/async.cuh"
#include "cuda/kernels/attention_tile.cuh"
#include "cuda/kernels/mma.cuh"

using bfloat16 = __nv_bfloat16;

static constexpr int WARP_ROWS = 16, EIGHTS = TILE / 8, STEPS = TILE / 16; // of a product of 64 columns

// HEAD: the columns that a tile has room for, 64 or 128. Rows lie 16 bytes further apart, so that eight of them are in
// different banks.
template <int HEAD> static constexpr int TILE_PITCH = HEAD + 8;
template <int HEAD> static constexpr int TILE_ELEMENTS = TILE *TILE_PITCH<HEAD>;

static __device__ __forceinline__ int warp_row() {
  return static_cast<int>(threadIdx.x) / 32 * WARP_ROWS;
}
static __device__ __forceinline__ int lane_of() {
  return static_cast<int>(threadIdx.x) % 32;
}
// Row (of the block's 64) and column (of 64) of element `i` of the thread's four of columns 8 n to 8 n + 7.
static __device__ __forceinline__ int own_row(int i) {
  return warp_row() + lane_of() / 4 + i / 2 * 8;
}
static __device__ __forceinline__ int own_column(int n, int i) {
  return n * 8 + lane_of() % 4 * 2 + i % 2;
}

// to = 64 rows of the head from `row` on, zeros outside of it. Other threads see them after
// titan_copy_async_commit, the wait, and a barrier.
template <int HEAD>
static __device__ __forceinline__ void fetch_tile(const head_view<bfloat16> &head, int row, bfloat16 *to) {
#pragma unroll 4
  for (int i = static_cast<int>(threadIdx.x); i < TILE * HEAD / 8; i += THREADS) {
    const int r = i / (HEAD / 8), c = i % (HEAD / 8) * 8;
    const bool inside = row + r < head.rows && c < head.columns;
    const bfloat16 *from = inside ? head.data + (row + r) * head.stride + c : head.data;
    bfloat16 *at = to + r * TILE_PITCH<HEAD> + c;
    if (head.columns % 8 == 0) {
      titan_copy_async_16(at, from, !inside);
      continue;
    }
    for (int j = 0; j < 8; j++)
      at[j] = inside && c + j < head.columns ? from[j] : __float2bfloat16_rn(0.0f);
  }
}

static __device__ __forceinline__ void clear_fragments(float (&x)[4]) {
  x[0] = x[1] = x[2] = x[3] = 0;
}

// product = the warp's 16 rows of a, times the 64 rows of b: over `columns` columns.
template <int HEAD>
static __device__ __forceinline__ void multiply_rows(const bfloat16 *a, const bfloat16 *b, int columns,
                                                     float (&product)[EIGHTS][4]) {
  const int lane = lane_of(), matrix = lane / 8;
  const bfloat16 *row_a = a + (warp_row() + lane % 8 + matrix % 2 * 8) * TILE_PITCH<HEAD> + matrix / 2 * 8;
  const bfloat16 *row_b = b + (lane % 8 + matrix / 2 * 8) * TILE_PITCH<HEAD> + matrix % 2 * 8;
#pragma unroll
  for (int n = 0; n < EIGHTS; n++)
    clear_fragments(product[n]);
  for (int k = 0; k < columns; k += 16) {
    unsigned left[4];
    titan_load_matrices(left, row_a + k);
#pragma unroll
    for (int n = 0; n < EIGHTS; n += 2) {
      unsigned right[4];
      titan_load_matrices(right, row_b + n * 8 * TILE_PITCH<HEAD> + k);
      const unsigned low[2] = {right[0], right[1]}, high[2] = {right[2], right[3]};
      titan_mma_m16n8k16(product[n], left, low, product[n]);
      titan_mma_m16n8k16(product[n + 1], left, high, product[n + 1]);
    }
  }
}

static __device__ __forceinline__ unsigned pack(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  unsigned bits;
  memcpy(&bits, &pair, sizeof bits);
  return bits;
}

// sum (of HEAD / 8 times 8 columns) += x, what the warp owns of a product [16,64], times the 64 rows of b.
template <int HEAD>
static __device__ __forceinline__ void add_rows(const float (&x)[EIGHTS][4], const bfloat16 *b, int columns,
                                                float (&sum)[HEAD / 8][4]) {
  const int lane = lane_of(), matrix = lane / 8;
  const bfloat16 *row = b + (lane % 8 + matrix % 2 * 8) * TILE_PITCH<HEAD> + matrix / 2 * 8;
#pragma unroll
  for (int k = 0; k < STEPS; k++) {
    const unsigned left[4] = {pack(x[2 * k][0], x[2 * k][1]), pack(x[2 * k][2], x[2 * k][3]),
                              pack(x[2 * k + 1][0], x[2 * k + 1][1]), pack(x[2 * k + 1][2], x[2 * k + 1][3])};
#pragma unroll
    for (int n = 0; n < HEAD / 8; n += 2) {
      if (n * 8 >= columns)
        continue;
      unsigned right[4];
      titan_load_matrices_transposed(right, row + k * 16 * TILE_PITCH<HEAD> + n * 8);
      const unsigned low[2] = {right[0], right[1]}, high[2] = {right[2], right[3]};
      titan_mma_m16n8k16(sum[n], left, low, sum[n]);
      titan_mma_m16n8k16(sum[n + 1], left, high, sum[n + 1]);
    }
  }
}

// What the warp owns of 64 rows, times factors[own row / 8], as rows of a head in device memory from `row` on.
template <int HEAD>
static __device__ __forceinline__ void store_fragments(const head_view<bfloat16> &like, bfloat16 *data, int row,
                                                       const float (&x)[HEAD / 8][4], const float (&factors)[2]) {
#pragma unroll
  for (int n = 0; n < HEAD / 8; n++)
#pragma unroll
    for (int side = 0; side < 2; side++) {
      const int at = row + own_row(2 * side), column = own_column(n, 0);
      if (at >= like.rows || column >= like.columns)
        continue;
      bfloat16 *to = data + at * like.stride + column;
      const float low = factors[side] * x[n][2 * side], high = factors[side] * x[n][2 * side + 1];
      if (like.columns % 2 == 0) {
        *reinterpret_cast<unsigned *>(to) = pack(low, high);
        continue;
      }
      to[0] = __float2bfloat16_rn(low);
      if (column + 1 < like.columns)
        to[1] = __float2bfloat16_rn(high);
    }
}

#endif
