// SPDX-License-Identifier: Apache-2.0
// Causal attention, forward: T. Dao, "FlashAttention-2: faster attention with better parallelism and work partitioning"
// (2023). A block computes 64 queries of one head over all tiles of 64 keys that they see. Scores are kept in units of
// log 2, so that the exponential is 2^x. A score that is +inf or NaN makes its query's sum and outputs NaN.
#include "cuda/kernels/attention_mma.h"
#include "cuda/kernels/attention_tile.cuh"

template <typename T> struct forward_operands {
  const T *q, *k, *v;
  T *o;
  float *lse;
};

// The transposed queries stay in shared memory where they leave room for two blocks.
template <int CHUNKS> static constexpr bool QUERIES_STAY = CHUNKS <= 2;
template <int CHUNKS>
static constexpr size_t FORWARD_BYTES = (2 + (QUERIES_STAY<CHUNKS> ? CHUNKS : 1)) * TILE_FLOATS * sizeof(float);

// The greatest of a row over the half warp that owns it; their sum.
static __device__ __forceinline__ float row_max(float x) {
#pragma unroll
  for (int lanes = 8; lanes > 0; lanes /= 2)
    x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, lanes));
  return x;
}
static __device__ __forceinline__ float row_sum(float x) {
#pragma unroll
  for (int lanes = 8; lanes > 0; lanes /= 2)
    x += __shfl_xor_sync(0xffffffffu, x, lanes);
  return x;
}

// Scores of this thread become 2^(score - maximum), 0 for keys behind the query; maximum and sum (of the thread's own
// columns) are those of all so far, and factor brings what was summed before to the new maximum.
static __device__ __forceinline__ void soften(float (&score)[ROWS][COLUMNS], float scale, bool diagonal,
                                              float (&maximum)[ROWS], float (&sum)[ROWS], float (&factor)[ROWS]) {
#pragma unroll
  for (int i = 0; i < ROWS; i++) {
    float greatest = maximum[i];
#pragma unroll
    for (int j = 0; j < COLUMNS; j++) {
      const bool hidden = diagonal && first_column() + j > first_row() + i;
      score[i][j] = hidden ? -INFINITY : score[i][j] * scale;
      greatest = fmaxf(greatest, score[i][j]);
    }
    greatest = row_max(greatest);
    factor[i] = exp2f(maximum[i] - greatest);
    maximum[i] = greatest;
    sum[i] *= factor[i];
#pragma unroll
    for (int j = 0; j < COLUMNS; j++) {
      score[i][j] = exp2f(score[i][j] - greatest);
      sum[i] += score[i][j];
    }
  }
}

template <typename T, int CHUNKS>
__global__ void __launch_bounds__(THREADS)
    attention_forward(titan_attention_sizes sizes, forward_operands<T> operands) {
  TITAN_DYNAMIC_SHARED(float, shared);
  float *probabilities = shared, *tile = shared + TILE_FLOATS, *queries = shared + 2 * TILE_FLOATS;
  const int query_tile = static_cast<int>(gridDim.x - 1 - blockIdx.x), head = static_cast<int>(blockIdx.y);
  const int batch = static_cast<int>(blockIdx.z), kv_head = head / (sizes.heads / sizes.kv_heads);
  const head_view<T> q = head_of(sizes, operands.q, batch, sizes.heads, head);
  const head_view<T> k = head_of(sizes, operands.k, batch, sizes.kv_heads, kv_head);
  const head_view<T> v = head_of(sizes, operands.v, batch, sizes.kv_heads, kv_head);
  const float scale = LOG2_E / sqrtf(static_cast<float>(sizes.head_size));
  float output[CHUNKS][ROWS][COLUMNS], maximum[ROWS], sum[ROWS], factor[ROWS];
#pragma unroll
  for (int chunk = 0; chunk < CHUNKS; chunk++)
    clear(output[chunk]);
#pragma unroll
  for (int i = 0; i < ROWS; i++) {
    maximum[i] = LEAST_SCORE;
    sum[i] = 0;
  }
  for (int chunk = 0; QUERIES_STAY<CHUNKS> && chunk < CHUNKS; chunk++)
    load_tile_transposed(q, query_tile * TILE, chunk * TILE, queries + chunk * TILE_FLOATS);

  for (int key_tile = 0; key_tile <= query_tile; key_tile++) {
    float score[ROWS][COLUMNS];
    clear(score);
    for (int chunk = 0; chunk < CHUNKS; chunk++) {
      __syncthreads();
      load_tile_transposed(k, key_tile * TILE, chunk * TILE, tile);
      if (!QUERIES_STAY<CHUNKS>)
        load_tile_transposed(q, query_tile * TILE, chunk * TILE, queries);
      __syncthreads();
      add_product(score, queries + (QUERIES_STAY<CHUNKS> ? chunk * TILE_FLOATS : 0), tile, depth_of(sizes, chunk));
    }
    soften(score, scale, key_tile == query_tile, maximum, sum, factor);
    store_transposed(score, probabilities);
#pragma unroll
    for (int chunk = 0; chunk < CHUNKS; chunk++) {
#pragma unroll
      for (int i = 0; i < ROWS; i++)
#pragma unroll
        for (int j = 0; j < COLUMNS; j++)
          output[chunk][i][j] *= factor[i];
      __syncthreads();
      load_tile(v, key_tile * TILE, chunk * TILE, tile);
      __syncthreads();
      add_product(output[chunk], probabilities, tile, TILE);
    }
  }

#pragma unroll
  for (int i = 0; i < ROWS; i++) {
    sum[i] = row_sum(sum[i]);
    factor[i] = 1.0f / sum[i];
    const int row = query_tile * TILE + first_row() + i;
    if (first_column() == 0 && row < sizes.length)
      operands.lse[(static_cast<int64_t>(batch) * sizes.heads + head) * sizes.length + row] =
          maximum[i] * LN_2 + logf(sum[i]);
  }
  T *o = operands.o + (q.data - operands.q);
#pragma unroll
  for (int chunk = 0; chunk < CHUNKS; chunk++)
    store_rows(q, o, query_tile * TILE, chunk * TILE, output[chunk], factor);
}

// --- launches ---

int titan_cuda_allow_attention(void) {
  const int error = titan_cuda_allow_attention_mma();
  if (error != cudaSuccess)
    return error;
  return with_each_variant([](auto variant) -> int {
    using V = decltype(variant);
    return TITAN_ALLOW_SHARED((attention_forward<typename V::element, V::chunks>), FORWARD_BYTES<V::chunks>);
  });
}

int titan_cuda_put_attention(titan_attention_sizes sizes, const void *q, const void *k, const void *v, void *o,
                             float *lse, cudaStream_t stream) {
  if (titan_attention_uses_mma(sizes))
    return titan_cuda_put_attention_mma(sizes, q, k, v, o, lse, stream);
  const dim3 grid((sizes.length + TILE - 1) / TILE, sizes.heads, sizes.batch);
  return with_variant(sizes, [&](auto variant) -> int {
    using V = decltype(variant);
    using T = typename V::element;
    const forward_operands<T> operands = {static_cast<const T *>(q), static_cast<const T *>(k),
                                          static_cast<const T *>(v), static_cast<T *>(o), lse};
    TITAN_LAUNCH((attention_forward<T, V::chunks>), grid, THREADS, FORWARD_BYTES<V::chunks>, stream, sizes, operands);
    return cudaGetLastError();
  });
}
