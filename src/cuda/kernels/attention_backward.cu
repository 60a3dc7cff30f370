// SPDX-License-Identifier: Apache-2.0
// Causal attention, backward: T. Dao, "FlashAttention-2" (2023). Probabilities are computed again from the scores and
// lse:
//
//   P = 2^(s q k' - lse)   dV = P' dO   dP = dO V'   dS = P * (dP - D), D_i = sum(dO_i * O_i)   dQ = dS K   dK = dS' Q
//
// Two kernels, each of whose blocks owns what it writes: 64 keys, whose gradients are summed over the query heads of
// their kv head and the tiles of queries in order; and 64 queries. No sum depends on which block comes first.
#include "cuda/kernels/attention_mma.h"
#include "cuda/kernels/attention_tile.cuh"

template <typename T> struct backward_operands {
  const T *q, *k, *v, *gradient;
  const float *lse, *sums;
  T *dq, *dk, *dv;
};

// Shared memory: the two factors of a product, P and dS. Chunks of a head that a block keeps sums of; blocks share the
// work where a head has more.
static constexpr size_t BACKWARD_BYTES = 4 * TILE_FLOATS * sizeof(float);
template <int CHUNKS> static constexpr int OWNED_CHUNKS = CHUNKS < 2 ? CHUNKS : 2;

struct tiles {
  float *left, *right, *probabilities, *gradients;
};

static __device__ __forceinline__ tiles tiles_of(float *shared) {
  return tiles{shared, shared + TILE_FLOATS, shared + 2 * TILE_FLOATS, shared + 3 * TILE_FLOATS};
}

// product = rows of a from row_a on, times rows of b from row_b on: over all columns of the head.
template <typename T, int CHUNKS>
static __device__ __forceinline__ void multiply_heads(const titan_attention_sizes &sizes, const head_view<T> &a,
                                                      int row_a, const head_view<T> &b, int row_b, const tiles &t,
                                                      float (&product)[ROWS][COLUMNS]) {
  clear(product);
  for (int chunk = 0; chunk < CHUNKS; chunk++) {
    if (chunk * TILE >= sizes.head_size)
      break;
    __syncthreads();
    load_tile_transposed(a, row_a, chunk * TILE, t.left);
    load_tile_transposed(b, row_b, chunk * TILE, t.right);
    __syncthreads();
    add_product(product, t.left, t.right, depth_of(sizes, chunk));
  }
}

// sum[chunk] += a' (rows of b from row_b on, of chunks from `first` on); a is a tile whose rows are those of b.
template <typename T, int OWNED>
static __device__ __forceinline__ void add_gradient(const titan_attention_sizes &sizes, const float *a,
                                                    const head_view<T> &b, int row_b, int first, const tiles &t,
                                                    float (&sum)[OWNED][ROWS][COLUMNS]) {
#pragma unroll
  for (int chunk = 0; chunk < OWNED; chunk++) {
    if ((first + chunk) * TILE >= sizes.head_size)
      break;
    __syncthreads();
    load_tile(b, row_b, (first + chunk) * TILE, t.right);
    __syncthreads();
    add_product(sum[chunk], a, t.right, TILE);
  }
}

// What a row of queries has beside its vectors; 0 behind the last.
static __device__ __forceinline__ float number_of(const float *numbers, int row, int rows) {
  return row < rows ? numbers[row] : 0.0f;
}

static __device__ __forceinline__ float scale_of(const titan_attention_sizes &sizes) {
  return 1.0f / sqrtf(static_cast<float>(sizes.head_size));
}

static __device__ __forceinline__ bool is_seen(const titan_attention_sizes &sizes, int query, int key) {
  return key <= query && query < sizes.length;
}

// --- dK and dV ---

// Rows of scores and products are keys here, columns queries. score becomes P.
static __device__ __forceinline__ void soften_keys(const titan_attention_sizes &sizes, const float *lse, int key,
                                                   int query, float (&score)[ROWS][COLUMNS]) {
  const float scale = scale_of(sizes) * LOG2_E;
#pragma unroll
  for (int j = 0; j < COLUMNS; j++) {
    const int row = query + first_column() + j;
    const float lse_2 = LOG2_E * number_of(lse, row, sizes.length);
#pragma unroll
    for (int i = 0; i < ROWS; i++)
      score[i][j] = is_seen(sizes, row, key + first_row() + i) ? exp2f(score[i][j] * scale - lse_2) : 0.0f;
  }
}

// product becomes dS. The thread's own P are read again from where store_transposed has put them, so that they take no
// registers during the product.
static __device__ __forceinline__ void differentiate_keys(const titan_attention_sizes &sizes,
                                                          const float *probabilities, const float *sums, int key,
                                                          int query, float (&product)[ROWS][COLUMNS]) {
#pragma unroll
  for (int j = 0; j < COLUMNS; j++) {
    const int row = query + first_column() + j;
    const float sum = number_of(sums, row, sizes.length);
    const float *p = probabilities + (first_column() + j) * PITCH + first_row();
#pragma unroll
    for (int i = 0; i < ROWS; i++)
      product[i][j] = is_seen(sizes, row, key + first_row() + i) ? p[i] * (product[i][j] - sum) : 0.0f;
  }
}

template <typename T, int CHUNKS>
__global__ void __launch_bounds__(THREADS, 2)
    attention_backward_keys(titan_attention_sizes sizes, backward_operands<T> operands) {
  constexpr int OWNED = OWNED_CHUNKS<CHUNKS>, PARTS = CHUNKS / OWNED;
  TITAN_DYNAMIC_SHARED(float, shared);
  const tiles t = tiles_of(shared);
  const int batch = static_cast<int>(blockIdx.z), kv_head = static_cast<int>(blockIdx.y) / PARTS;
  const int first = static_cast<int>(blockIdx.y) % PARTS * OWNED, group = sizes.heads / sizes.kv_heads;
  const int key = static_cast<int>(blockIdx.x) * TILE;
  const head_view<T> k = head_of(sizes, operands.k, batch, sizes.kv_heads, kv_head);
  const head_view<T> v = head_of(sizes, operands.v, batch, sizes.kv_heads, kv_head);
  float dk[OWNED][ROWS][COLUMNS], dv[OWNED][ROWS][COLUMNS];
#pragma unroll
  for (int chunk = 0; chunk < OWNED; chunk++) {
    clear(dk[chunk]);
    clear(dv[chunk]);
  }
  for (int member = 0; member < group; member++) {
    const int head = kv_head * group + member;
    const head_view<T> q = head_of(sizes, operands.q, batch, sizes.heads, head);
    const head_view<T> gradient = head_of(sizes, operands.gradient, batch, sizes.heads, head);
    const int64_t numbers = (static_cast<int64_t>(batch) * sizes.heads + head) * sizes.length;
    for (int query = key; query < sizes.length; query += TILE) {
      float product[ROWS][COLUMNS];
      multiply_heads<T, CHUNKS>(sizes, k, key, q, query, t, product);
      soften_keys(sizes, operands.lse + numbers, key, query, product);
      store_transposed(product, t.probabilities);
      multiply_heads<T, CHUNKS>(sizes, v, key, gradient, query, t, product);
      differentiate_keys(sizes, t.probabilities, operands.sums + numbers, key, query, product);
      store_transposed(product, t.gradients);
      add_gradient<T, OWNED>(sizes, t.probabilities, gradient, query, first, t, dv);
      add_gradient<T, OWNED>(sizes, t.gradients, q, query, first, t, dk);
    }
  }
  float scales[ROWS], ones[ROWS];
#pragma unroll
  for (int i = 0; i < ROWS; i++) {
    scales[i] = scale_of(sizes);
    ones[i] = 1.0f;
  }
#pragma unroll
  for (int chunk = 0; chunk < OWNED; chunk++) {
    store_rows(k, operands.dk + (k.data - operands.k), key, (first + chunk) * TILE, dk[chunk], scales);
    store_rows(v, operands.dv + (v.data - operands.v), key, (first + chunk) * TILE, dv[chunk], ones);
  }
}

// --- dQ ---

// Rows are queries here, columns keys. product becomes dS.
static __device__ __forceinline__ void soften_queries(const titan_attention_sizes &sizes, const float *lse,
                                                      const float *sums, int key, int query,
                                                      const float (&score)[ROWS][COLUMNS],
                                                      float (&product)[ROWS][COLUMNS]) {
  const float scale = scale_of(sizes) * LOG2_E;
#pragma unroll
  for (int i = 0; i < ROWS; i++) {
    const int row = query + first_row() + i;
    const float lse_2 = LOG2_E * number_of(lse, row, sizes.length), sum = number_of(sums, row, sizes.length);
#pragma unroll
    for (int j = 0; j < COLUMNS; j++) {
      const bool seen = is_seen(sizes, row, key + first_column() + j);
      product[i][j] = seen ? exp2f(score[i][j] * scale - lse_2) * (product[i][j] - sum) : 0.0f;
    }
  }
}

template <typename T, int CHUNKS>
__global__ void __launch_bounds__(THREADS, 2)
    attention_backward_queries(titan_attention_sizes sizes, backward_operands<T> operands) {
  constexpr int OWNED = OWNED_CHUNKS<CHUNKS>, PARTS = CHUNKS / OWNED;
  TITAN_DYNAMIC_SHARED(float, shared);
  const tiles t = tiles_of(shared);
  const int batch = static_cast<int>(blockIdx.z), head = static_cast<int>(blockIdx.y) / PARTS;
  const int first = static_cast<int>(blockIdx.y) % PARTS * OWNED, kv_head = head / (sizes.heads / sizes.kv_heads);
  const int query = static_cast<int>(gridDim.x - 1 - blockIdx.x) * TILE;
  const head_view<T> q = head_of(sizes, operands.q, batch, sizes.heads, head);
  const head_view<T> gradient = head_of(sizes, operands.gradient, batch, sizes.heads, head);
  const head_view<T> k = head_of(sizes, operands.k, batch, sizes.kv_heads, kv_head);
  const head_view<T> v = head_of(sizes, operands.v, batch, sizes.kv_heads, kv_head);
  const int64_t numbers = (static_cast<int64_t>(batch) * sizes.heads + head) * sizes.length;
  float dq[OWNED][ROWS][COLUMNS], scales[ROWS];
#pragma unroll
  for (int chunk = 0; chunk < OWNED; chunk++)
    clear(dq[chunk]);
  for (int key = 0; key <= query; key += TILE) {
    float score[ROWS][COLUMNS], product[ROWS][COLUMNS];
    multiply_heads<T, CHUNKS>(sizes, q, query, k, key, t, score);
    multiply_heads<T, CHUNKS>(sizes, gradient, query, v, key, t, product);
    soften_queries(sizes, operands.lse + numbers, operands.sums + numbers, key, query, score, product);
    store_transposed(product, t.gradients);
    add_gradient<T, OWNED>(sizes, t.gradients, k, key, first, t, dq);
  }
#pragma unroll
  for (int i = 0; i < ROWS; i++)
    scales[i] = scale_of(sizes);
#pragma unroll
  for (int chunk = 0; chunk < OWNED; chunk++)
    store_rows(q, operands.dq + (q.data - operands.q), query, (first + chunk) * TILE, dq[chunk], scales);
}

// --- sums of rows ---

static constexpr int SUM_THREADS = 256, WARP = 32;

// A warp for each row of [B,L,N,H].
template <typename T>
__global__ void attention_row_sums(titan_attention_sizes sizes, const T *o, const T *gradient, float *sums) {
  const int64_t row = static_cast<int64_t>(blockIdx.x) * (SUM_THREADS / WARP) + threadIdx.x / WARP;
  const int64_t rows = static_cast<int64_t>(sizes.batch) * sizes.length * sizes.heads;
  if (row >= rows)
    return;
  const int lane = static_cast<int>(threadIdx.x) % WARP;
  const head_view<T> a = {o + row * sizes.head_size, 0, 1, sizes.head_size};
  const head_view<T> b = {gradient + row * sizes.head_size, 0, 1, sizes.head_size};
  float sum = 0;
  for (int column = 4 * lane; column < sizes.head_size; column += 4 * WARP) {
    const float4 x = load_four(a, 0, column), y = load_four(b, 0, column);
    sum += x.x * y.x + x.y * y.y + x.z * y.z + x.w * y.w;
  }
#pragma unroll
  for (int lanes = WARP / 2; lanes > 0; lanes /= 2)
    sum += __shfl_xor_sync(0xffffffffu, sum, lanes);
  const int64_t position = row / sizes.heads, head = row % sizes.heads;
  if (lane == 0)
    sums[(position / sizes.length * sizes.heads + head) * sizes.length + position % sizes.length] = sum;
}

// --- launches ---

int titan_cuda_allow_attention_backward(void) {
  const int error = titan_cuda_allow_attention_mma_backward();
  if (error != cudaSuccess)
    return error;
  return with_each_variant([](auto variant) -> int {
    using V = decltype(variant);
    int result = TITAN_ALLOW_SHARED((attention_backward_keys<typename V::element, V::chunks>), BACKWARD_BYTES);
    if (result == cudaSuccess)
      result = TITAN_ALLOW_SHARED((attention_backward_queries<typename V::element, V::chunks>), BACKWARD_BYTES);
    return result;
  });
}

int titan_cuda_put_attention_row_sums(titan_attention_sizes sizes, const void *o, const void *gradient, float *sums,
                                      cudaStream_t stream) {
  const int64_t rows = static_cast<int64_t>(sizes.batch) * sizes.length * sizes.heads, in_block = SUM_THREADS / WARP;
  const dim3 grid(static_cast<unsigned>((rows + in_block - 1) / in_block));
  return with_variant(sizes, [&](auto variant) -> int {
    using T = typename decltype(variant)::element;
    TITAN_LAUNCH(attention_row_sums<T>, grid, SUM_THREADS, 0, stream, sizes, static_cast<const T *>(o),
                 static_cast<const T *>(gradient), sums);
    return cudaGetLastError();
  });
}

int titan_cuda_put_attention_backward(titan_attention_sizes sizes, const void *q, const void *k, const void *v,
                                      const float *lse, const float *sums, const void *gradient, void *dq, void *dk,
                                      void *dv, cudaStream_t stream) {
  if (titan_attention_uses_mma(sizes))
    return titan_cuda_put_attention_mma_backward(sizes, q, k, v, lse, sums, gradient, dq, dk, dv, stream);
  const unsigned row_tiles = static_cast<unsigned>((sizes.length + TILE - 1) / TILE);
  return with_variant(sizes, [&](auto variant) -> int {
    using V = decltype(variant);
    using T = typename V::element;
    constexpr int parts = V::chunks / OWNED_CHUNKS<V::chunks>;
    const backward_operands<T> operands = {static_cast<const T *>(q),
                                           static_cast<const T *>(k),
                                           static_cast<const T *>(v),
                                           static_cast<const T *>(gradient),
                                           lse,
                                           sums,
                                           static_cast<T *>(dq),
                                           static_cast<T *>(dk),
                                           static_cast<T *>(dv)};
    TITAN_LAUNCH((attention_backward_keys<T, V::chunks>), dim3(row_tiles, sizes.kv_heads * parts, sizes.batch), THREADS,
                 BACKWARD_BYTES, stream, sizes, operands);
    const cudaError_t error = cudaGetLastError();
    if (error != cudaSuccess)
      return error;
    TITAN_LAUNCH((attention_backward_queries<T, V::chunks>), dim3(row_tiles, sizes.heads * parts, sizes.batch), THREADS,
                 BACKWARD_BYTES, stream, sizes, operands);
    return cudaGetLastError();
  });
}
