// SPDX-License-Identifier: Apache-2.0
// attention_backward.cu's algorithm in bfloat16: probabilities and the gradients of scores are rounded to bfloat16
// before the second products. Two kernels, each of whose blocks owns what it writes.
#include "cuda/kernels/attention_mma.cuh"
#include "cuda/kernels/attention_mma.h"

struct mma_backward_operands {
  const bfloat16 *q, *k, *v, *gradient;
  const float *lse, *sums;
  bfloat16 *dq, *dk, *dv;
};

template <int HEAD> static constexpr size_t MMA_BACKWARD_BYTES = 4 * TILE_ELEMENTS<HEAD> * sizeof(bfloat16);

static __device__ __forceinline__ float scale_of(const titan_attention_sizes &sizes) {
  return 1.0f / sqrtf(static_cast<float>(sizes.head_size));
}

// 2^(scale score - lse) where the query sees the key, else 0; times (product - sum), for the gradient of the score.
static __device__ __forceinline__ float probability(float score, float scale, float lse, bool seen) {
  return seen ? exp2f(score * scale - LOG2_E * lse) : 0.0f;
}
static __device__ __forceinline__ float score_gradient(float p, float product, float sum, bool seen) {
  return seen ? p * (product - sum) : 0.0f;
}

template <int HEAD> static __device__ __forceinline__ void clear_all(float (&x)[HEAD / 8][4]) {
#pragma unroll
  for (int n = 0; n < HEAD / 8; n++)
    clear_fragments(x[n]);
}

// Rows of the products are keys, columns queries.
template <int HEAD>
__global__ void __launch_bounds__(THREADS)
    attention_mma_backward_keys(titan_attention_sizes sizes, mma_backward_operands operands) {
  TITAN_DYNAMIC_SHARED(bfloat16, shared);
  bfloat16 *keys = shared, *values = keys + TILE_ELEMENTS<HEAD>, *queries = values + TILE_ELEMENTS<HEAD>,
           *gradients = queries + TILE_ELEMENTS<HEAD>;
  const int batch = static_cast<int>(blockIdx.z), kv_head = static_cast<int>(blockIdx.y);
  const int key = static_cast<int>(blockIdx.x) * TILE, group = sizes.heads / sizes.kv_heads;
  const head_view<bfloat16> k = head_of(sizes, operands.k, batch, sizes.kv_heads, kv_head);
  const head_view<bfloat16> v = head_of(sizes, operands.v, batch, sizes.kv_heads, kv_head);
  const float scale = scale_of(sizes) * LOG2_E;
  float dk[HEAD / 8][4], dv[HEAD / 8][4];
  clear_all<HEAD>(dk);
  clear_all<HEAD>(dv);
  fetch_tile<HEAD>(k, key, keys);
  fetch_tile<HEAD>(v, key, values);
  for (int head = kv_head * group; head < (kv_head + 1) * group; head++) {
    const head_view<bfloat16> q = head_of(sizes, operands.q, batch, sizes.heads, head);
    const head_view<bfloat16> gradient = head_of(sizes, operands.gradient, batch, sizes.heads, head);
    const int64_t numbers = (static_cast<int64_t>(batch) * sizes.heads + head) * sizes.length;
    for (int query = key; query < sizes.length; query += TILE) {
      float p[EIGHTS][4], ds[EIGHTS][4];
      __syncthreads();
      fetch_tile<HEAD>(q, query, queries);
      fetch_tile<HEAD>(gradient, query, gradients);
      titan_copy_async_commit();
      titan_copy_async_wait<0>();
      __syncthreads();
      multiply_rows<HEAD>(keys, queries, sizes.head_size, p);
#pragma unroll
      for (int n = 0; n < EIGHTS; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
          const int row = query + own_column(n, i);
          const bool seen = row < sizes.length && key + own_row(i) <= row;
          p[n][i] = probability(p[n][i], scale, seen ? operands.lse[numbers + row] : 0.0f, seen);
        }
      add_rows<HEAD>(p, gradients, sizes.head_size, dv);
      multiply_rows<HEAD>(values, gradients, sizes.head_size, ds);
#pragma unroll
      for (int n = 0; n < EIGHTS; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
          const int row = query + own_column(n, i);
          const bool seen = row < sizes.length && key + own_row(i) <= row;
          ds[n][i] = score_gradient(p[n][i], ds[n][i], seen ? operands.sums[numbers + row] : 0.0f, seen);
        }
      add_rows<HEAD>(ds, queries, sizes.head_size, dk);
    }
  }
  const float scales[2] = {scale_of(sizes), scale_of(sizes)}, ones[2] = {1, 1};
  store_fragments<HEAD>(k, operands.dk + (k.data - operands.k), key, dk, scales);
  store_fragments<HEAD>(v, operands.dv + (v.data - operands.v), key, dv, ones);
}

// Rows of the products are queries, columns keys.
template <int HEAD>
__global__ void __launch_bounds__(THREADS)
    attention_mma_backward_queries(titan_attention_sizes sizes, mma_backward_operands operands) {
  TITAN_DYNAMIC_SHARED(bfloat16, shared);
  bfloat16 *keys = shared, *values = keys + TILE_ELEMENTS<HEAD>, *queries = values + TILE_ELEMENTS<HEAD>,
           *gradients = queries + TILE_ELEMENTS<HEAD>;
  const int batch = static_cast<int>(blockIdx.z), head = static_cast<int>(blockIdx.y);
  const int query = static_cast<int>(gridDim.x - 1 - blockIdx.x) * TILE;
  const int kv_head = head / (sizes.heads / sizes.kv_heads);
  const head_view<bfloat16> q = head_of(sizes, operands.q, batch, sizes.heads, head);
  const head_view<bfloat16> gradient = head_of(sizes, operands.gradient, batch, sizes.heads, head);
  const head_view<bfloat16> k = head_of(sizes, operands.k, batch, sizes.kv_heads, kv_head);
  const head_view<bfloat16> v = head_of(sizes, operands.v, batch, sizes.kv_heads, kv_head);
  const int64_t numbers = (static_cast<int64_t>(batch) * sizes.heads + head) * sizes.length;
  const float scale = scale_of(sizes) * LOG2_E;
  float dq[HEAD / 8][4], lse[2], sums[2];
  clear_all<HEAD>(dq);
#pragma unroll
  for (int side = 0; side < 2; side++) {
    const int row = query + own_row(2 * side);
    lse[side] = row < sizes.length ? operands.lse[numbers + row] : 0.0f;
    sums[side] = row < sizes.length ? operands.sums[numbers + row] : 0.0f;
  }
  fetch_tile<HEAD>(q, query, queries);
  fetch_tile<HEAD>(gradient, query, gradients);
  for (int key = 0; key <= query; key += TILE) {
    float p[EIGHTS][4], ds[EIGHTS][4];
    __syncthreads();
    fetch_tile<HEAD>(k, key, keys);
    fetch_tile<HEAD>(v, key, values);
    titan_copy_async_commit();
    titan_copy_async_wait<0>();
    __syncthreads();
    multiply_rows<HEAD>(queries, keys, sizes.head_size, p);
    multiply_rows<HEAD>(gradients, values, sizes.head_size, ds);
#pragma unroll
    for (int n = 0; n < EIGHTS; n++)
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const int row = query + own_row(i);
        const bool seen = row < sizes.length && key + own_column(n, i) <= row;
        ds[n][i] = score_gradient(probability(p[n][i], scale, lse[i / 2], seen), ds[n][i], sums[i / 2], seen);
      }
    add_rows<HEAD>(ds, keys, sizes.head_size, dq);
  }
  const float scales[2] = {scale_of(sizes), scale_of(sizes)};
  store_fragments<HEAD>(q, operands.dq + (q.data - operands.q), query, dq, scales);
}

// --- launches ---

template <int HEAD> static int allow() {
  const int error = TITAN_ALLOW_SHARED(attention_mma_backward_keys<HEAD>, MMA_BACKWARD_BYTES<HEAD>);
  return error != cudaSuccess ? error
                              : TITAN_ALLOW_SHARED(attention_mma_backward_queries<HEAD>, MMA_BACKWARD_BYTES<HEAD>);
}

int titan_cuda_allow_attention_mma_backward(void) {
  const int error = allow<64>();
  return error != cudaSuccess ? error : allow<128>();
}

template <int HEAD>
static int put(titan_attention_sizes sizes, const mma_backward_operands &operands, cudaStream_t stream) {
  const unsigned tiles = static_cast<unsigned>((sizes.length + TILE - 1) / TILE);
  TITAN_LAUNCH(attention_mma_backward_keys<HEAD>, dim3(tiles, sizes.kv_heads, sizes.batch), THREADS,
               MMA_BACKWARD_BYTES<HEAD>, stream, sizes, operands);
  const cudaError_t error = cudaGetLastError();
  if (error != cudaSuccess)
    return error;
  TITAN_LAUNCH(attention_mma_backward_queries<HEAD>, dim3(tiles, sizes.heads, sizes.batch), THREADS,
               MMA_BACKWARD_BYTES<HEAD>, stream, sizes, operands);
  return cudaGetLastError();
}

int titan_cuda_put_attention_mma_backward(titan_attention_sizes sizes, const void *q, const void *k, const void *v,
                                          const float *lse, const float *sums, const void *gradient, void *dq, void *dk,
                                          void *dv, cudaStream_t stream) {
  const mma_backward_operands operands = {static_cast<const bfloat16 *>(q),
                                          static_cast<const bfloat16 *>(k),
                                          static_cast<const bfloat16 *>(v),
                                          static_cast<const bfloat16 *>(gradient),
                                          lse,
                                          sums,
                                          static_cast<bfloat16 *>(dq),
                                          static_cast<bfloat16 *>(dk),
                                          static_cast<bfloat16 *>(dv)};
  return sizes.head_size <= 64 ? put<64>(sizes, operands, stream) : put<128>(sizes, operands, stream);
}
