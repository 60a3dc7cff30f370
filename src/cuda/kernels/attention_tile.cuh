// SPDX-License-Identifier: Apache-2.0
// What the attention kernels share: tiles of 64 rows and 64 columns in shared memory, and the one product that all of
// them are made of. A block has 128 threads: thread t owns rows 8 (t / 16) to + 7 and columns 4 (t % 16) to + 3 of a
// product, so that the 16 threads that share rows are half of a warp.
#ifndef TITAN_CUDA_KERNELS_ATTENTION_TILE_CUH
#define TITAN_CUDA_KERNELS_ATTENTION_TILE_CUH

#include "cuda/kernels/attention.h"
#include "cuda/kernels/launch.cuh"

static constexpr int TILE = 64, THREADS = 128;
static constexpr int ROWS = 8, COLUMNS = 4; // of a product, a thread
static constexpr int PITCH = TILE + 4;      // of a tile in shared memory, floats: rows stay aligned to 16 bytes
static constexpr int TILE_FLOATS = TILE * PITCH;
static constexpr float LOG2_E = 1.44269504f, LN_2 = 0.693147181f;
// Below every score, and finite: differences of two such are numbers.
static constexpr float LEAST_SCORE = -1e30f;

// One head of a tensor [B,L,heads,H].
template <typename T> struct head_view {
  const T *data;  // of position 0
  int64_t stride; // between positions
  int rows, columns;
};

template <typename T>
static __device__ __forceinline__ head_view<T> head_of(const titan_attention_sizes &sizes, const T *tensor, int batch,
                                                       int heads, int head) {
  const int64_t stride = static_cast<int64_t>(heads) * sizes.head_size;
  return head_view<T>{tensor + static_cast<int64_t>(batch) * sizes.length * stride +
                          static_cast<int64_t>(head) * sizes.head_size,
                      stride, sizes.length, sizes.head_size};
}

static __device__ __forceinline__ float widen(float x) {
  return x;
}
static __device__ __forceinline__ float widen(__nv_bfloat16 x) {
  return __bfloat162float(x);
}
static __device__ __forceinline__ void narrow(float x, float *to) {
  *to = x;
}
static __device__ __forceinline__ void narrow(float x, __nv_bfloat16 *to) {
  *to = __float2bfloat16_rn(x);
}

static __device__ __forceinline__ float4 four_at(const float *from) {
  return *reinterpret_cast<const float4 *>(from);
}
static __device__ __forceinline__ float4 four_at(const __nv_bfloat16 *from) {
  const uint2 bits = *reinterpret_cast<const uint2 *>(from);
  return make_float4(__uint_as_float(bits.x << 16), __uint_as_float(bits.x & 0xffff0000u),
                     __uint_as_float(bits.y << 16), __uint_as_float(bits.y & 0xffff0000u));
}

// Four columns of a row; zeros outside of the head.
template <typename T>
static __device__ __forceinline__ float4 load_four(const head_view<T> &head, int row, int column) {
  float4 x = make_float4(0, 0, 0, 0);
  if (row >= head.rows || column >= head.columns)
    return x;
  const T *from = head.data + row * head.stride + column;
  if (head.columns % 4 == 0)
    return four_at(from);
  x.x = widen(from[0]);
  if (column + 1 < head.columns)
    x.y = widen(from[1]);
  if (column + 2 < head.columns)
    x.z = widen(from[2]);
  if (column + 3 < head.columns)
    x.w = widen(from[3]);
  return x;
}

// to[row][PITCH] = 64 rows and columns of the head from (row, column) on.
template <typename T>
static __device__ __forceinline__ void load_tile(const head_view<T> &head, int row, int column, float *to) {
  const int r = static_cast<int>(threadIdx.x) / 16, c = static_cast<int>(threadIdx.x) % 16 * 4;
#pragma unroll
  for (int i = 0; i < TILE; i += THREADS / 16)
    *reinterpret_cast<float4 *>(to + (r + i) * PITCH + c) = load_four(head, row + r + i, column + c);
}

// to[column][PITCH] = the same, transposed.
template <typename T>
static __device__ __forceinline__ void load_tile_transposed(const head_view<T> &head, int row, int column, float *to) {
  const int r = static_cast<int>(threadIdx.x) / 4, c = static_cast<int>(threadIdx.x) % 4 * 4;
#pragma unroll
  for (int i = 0; i < TILE; i += THREADS / 4)
#pragma unroll
    for (int j = 0; j < TILE; j += 16) {
      const float4 x = load_four(head, row + r + i, column + c + j);
      float *at = to + (c + j) * PITCH + r + i;
      at[0] = x.x;
      at[PITCH] = x.y;
      at[2 * PITCH] = x.z;
      at[3 * PITCH] = x.w;
    }
}

static __device__ __forceinline__ int first_row() {
  return static_cast<int>(threadIdx.x) / 16 * ROWS;
}
static __device__ __forceinline__ int first_column() {
  return static_cast<int>(threadIdx.x) % 16 * COLUMNS;
}

// sum[row][column] += over k below depth (a multiple of 4) of a[k][row] b[k][column]: both tiles have k as their rows.
static __device__ __forceinline__ void add_product(float (&sum)[ROWS][COLUMNS], const float *a, const float *b,
                                                   int depth) {
  a += first_row();
  b += first_column();
#pragma unroll 4
  for (int k = 0; k < depth; k++) {
    const float4 low = *reinterpret_cast<const float4 *>(a + k * PITCH);
    const float4 high = *reinterpret_cast<const float4 *>(a + k * PITCH + 4);
    const float4 right = *reinterpret_cast<const float4 *>(b + k * PITCH);
    const float left[ROWS] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
#pragma unroll
    for (int i = 0; i < ROWS; i++) {
      sum[i][0] += left[i] * right.x;
      sum[i][1] += left[i] * right.y;
      sum[i][2] += left[i] * right.z;
      sum[i][3] += left[i] * right.w;
    }
  }
}

static __device__ __forceinline__ void clear(float (&x)[ROWS][COLUMNS]) {
#pragma unroll
  for (int i = 0; i < ROWS; i++)
#pragma unroll
    for (int j = 0; j < COLUMNS; j++)
      x[i][j] = 0;
}

// to[column][PITCH] = what the threads own of a product, transposed.
static __device__ __forceinline__ void store_transposed(const float (&x)[ROWS][COLUMNS], float *to) {
#pragma unroll
  for (int j = 0; j < COLUMNS; j++) {
    float4 *at = reinterpret_cast<float4 *>(to + (first_column() + j) * PITCH + first_row());
    at[0] = make_float4(x[0][j], x[1][j], x[2][j], x[3][j]);
    at[1] = make_float4(x[4][j], x[5][j], x[6][j], x[7][j]);
  }
}

// Columns of chunk `chunk` (64 columns of a head) that there are, as the depth of a product.
static __device__ __forceinline__ int depth_of(const titan_attention_sizes &sizes, int chunk) {
  const int left = sizes.head_size - chunk * TILE;
  return left >= TILE ? TILE : (left + 3) / 4 * 4;
}

static __device__ __forceinline__ void store_four(float4 x, float *to) {
  *reinterpret_cast<float4 *>(to) = x;
}
static __device__ __forceinline__ void store_four(float4 x, __nv_bfloat16 *to) {
  __nv_bfloat162 pairs[2] = {__floats2bfloat162_rn(x.x, x.y), __floats2bfloat162_rn(x.z, x.w)};
  uint2 bits;
  memcpy(&bits, pairs, sizeof bits);
  *reinterpret_cast<uint2 *>(to) = bits;
}

// What the threads own of a product, times factors[row], as rows of a head in device memory from (row, column) on.
template <typename T>
static __device__ __forceinline__ void store_rows(const head_view<T> &like, T *data, int row, int column,
                                                  const float (&x)[ROWS][COLUMNS], const float (&factors)[ROWS]) {
  const int first = column + first_column();
#pragma unroll
  for (int i = 0; i < ROWS; i++) {
    const int at = row + first_row() + i;
    if (at >= like.rows || first >= like.columns)
      continue;
    T *to = data + at * like.stride + first;
    const float4 y =
        make_float4(factors[i] * x[i][0], factors[i] * x[i][1], factors[i] * x[i][2], factors[i] * x[i][3]);
    if (like.columns % 4 == 0) {
      store_four(y, to);
      continue;
    }
    narrow(y.x, to);
    if (first + 1 < like.columns)
      narrow(y.y, to + 1);
    if (first + 2 < like.columns)
      narrow(y.z, to + 2);
    if (first + 3 < like.columns)
      narrow(y.w, to + 3);
  }
}

// One of a kernel's instances: its element type, and the chunks of 64 columns that a row of a head has room for.
template <typename Element, int CHUNKS> struct attention_variant {
  using element = Element;
  static constexpr int chunks = CHUNKS;
};

// body(an attention_variant) for what the sizes need; returns what it returns. In bfloat16 there are only heads that
// the kernels of attention_mma.h do not do.
template <typename Body> static int with_variant(const titan_attention_sizes &sizes, const Body &body) {
  if (sizes.bfloat16)
    return body(attention_variant<__nv_bfloat16, 4>());
  if (sizes.head_size <= TILE)
    return body(attention_variant<float, 1>());
  if (sizes.head_size <= 2 * TILE)
    return body(attention_variant<float, 2>());
  return body(attention_variant<float, 4>());
}

// body(an attention_variant) for all of them, until one returns an error.
template <typename Body> static int with_each_variant(const Body &body) {
  titan_attention_sizes sizes = {};
  sizes.bfloat16 = true;
  int error = with_variant(sizes, body);
  sizes.bfloat16 = false;
  for (sizes.head_size = TILE; sizes.head_size <= TITAN_ATTENTION_MOST_HEAD && error == cudaSuccess;
       sizes.head_size *= 2)
    error = with_variant(sizes, body);
  return error;
}

#endif
