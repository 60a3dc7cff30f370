// SPDX-License-Identifier: Apache-2.0
// attention.cu's algorithm in bfloat16: probabilities are rounded to bfloat16 before they multiply the values; their
// sum is of what they were before.
#include "cuda/kernels/attention_mma.cuh"
#include "cuda/kernels/attention_mma.h"

struct mma_forward_operands {
  const bfloat16 *q, *k, *v;
  bfloat16 *o;
  float *lse;
};

template <int HEAD> static constexpr size_t MMA_FORWARD_BYTES = 3 * TILE_ELEMENTS<HEAD> * sizeof(bfloat16);

// Over the four lanes that own a row.
static __device__ __forceinline__ float row_max(float x) {
  x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 1));
  return fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 2));
}
static __device__ __forceinline__ float row_sum(float x) {
  x += __shfl_xor_sync(0xffffffffu, x, 1);
  return x + __shfl_xor_sync(0xffffffffu, x, 2);
}

// As soften in attention.cu: [side] is the upper or the lower of the thread's two rows.
static __device__ __forceinline__ void soften(float (&score)[EIGHTS][4], float scale, bool diagonal,
                                              float (&maximum)[2], float (&sum)[2], float (&factor)[2]) {
#pragma unroll
  for (int side = 0; side < 2; side++) {
    float greatest = maximum[side];
#pragma unroll
    for (int n = 0; n < EIGHTS; n++)
#pragma unroll
      for (int i = 2 * side; i < 2 * side + 2; i++) {
        const bool hidden = diagonal && own_column(n, i) > own_row(i);
        score[n][i] = hidden ? -INFINITY : score[n][i] * scale;
        greatest = fmaxf(greatest, score[n][i]);
      }
    greatest = row_max(greatest);
    factor[side] = exp2f(maximum[side] - greatest);
    maximum[side] = greatest;
    sum[side] *= factor[side];
#pragma unroll
    for (int n = 0; n < EIGHTS; n++)
#pragma unroll
      for (int i = 2 * side; i < 2 * side + 2; i++) {
        score[n][i] = exp2f(score[n][i] - greatest);
        sum[side] += score[n][i];
      }
  }
}

// The next keys are on their way during the product with the values, the next values during that with the keys.
template <int HEAD>
__global__ void __launch_bounds__(THREADS)
    attention_mma_forward(titan_attention_sizes sizes, mma_forward_operands operands) {
  TITAN_DYNAMIC_SHARED(bfloat16, shared);
  bfloat16 *queries = shared, *keys = shared + TILE_ELEMENTS<HEAD>, *values = shared + 2 * TILE_ELEMENTS<HEAD>;
  const int query_tile = static_cast<int>(gridDim.x - 1 - blockIdx.x), head = static_cast<int>(blockIdx.y);
  const int batch = static_cast<int>(blockIdx.z), kv_head = head / (sizes.heads / sizes.kv_heads);
  const head_view<bfloat16> q = head_of(sizes, operands.q, batch, sizes.heads, head);
  const head_view<bfloat16> k = head_of(sizes, operands.k, batch, sizes.kv_heads, kv_head);
  const head_view<bfloat16> v = head_of(sizes, operands.v, batch, sizes.kv_heads, kv_head);
  const float scale = LOG2_E / sqrtf(static_cast<float>(sizes.head_size));
  float output[HEAD / 8][4], maximum[2] = {LEAST_SCORE, LEAST_SCORE}, sum[2] = {0, 0}, factor[2];
#pragma unroll
  for (int n = 0; n < HEAD / 8; n++)
    clear_fragments(output[n]);
  fetch_tile<HEAD>(q, query_tile * TILE, queries);
  fetch_tile<HEAD>(k, 0, keys);
  titan_copy_async_commit();
  fetch_tile<HEAD>(v, 0, values);
  titan_copy_async_commit();

  for (int key_tile = 0; key_tile <= query_tile; key_tile++) {
    const bool last = key_tile == query_tile;
    float score[EIGHTS][4];
    titan_copy_async_wait<1>();
    __syncthreads();
    multiply_rows<HEAD>(queries, keys, sizes.head_size, score);
    __syncthreads();
    if (!last)
      fetch_tile<HEAD>(k, (key_tile + 1) * TILE, keys);
    titan_copy_async_commit();
    soften(score, scale, last, maximum, sum, factor);
#pragma unroll
    for (int n = 0; n < HEAD / 8; n++)
#pragma unroll
      for (int i = 0; i < 4; i++)
        output[n][i] *= factor[i / 2];
    titan_copy_async_wait<1>();
    __syncthreads();
    add_rows<HEAD>(score, values, sizes.head_size, output);
    __syncthreads();
    if (!last)
      fetch_tile<HEAD>(v, (key_tile + 1) * TILE, values);
    titan_copy_async_commit();
  }
  titan_copy_async_wait<0>();

#pragma unroll
  for (int side = 0; side < 2; side++) {
    sum[side] = row_sum(sum[side]);
    factor[side] = 1.0f / sum[side];
    const int row = query_tile * TILE + own_row(2 * side);
    if (lane_of() % 4 == 0 && row < sizes.length)
      operands.lse[(static_cast<int64_t>(batch) * sizes.heads + head) * sizes.length + row] =
          maximum[side] * LN_2 + logf(sum[side]);
  }
  store_fragments<HEAD>(q, operands.o + (q.data - operands.q), query_tile * TILE, output, factor);
}

int titan_cuda_allow_attention_mma(void) {
  const int error = TITAN_ALLOW_SHARED(attention_mma_forward<64>, MMA_FORWARD_BYTES<64>);
  return error != cudaSuccess ? error : TITAN_ALLOW_SHARED(attention_mma_forward<128>, MMA_FORWARD_BYTES<128>);
}

int titan_cuda_put_attention_mma(titan_attention_sizes sizes, const void *q, const void *k, const void *v, void *o,
                                 float *lse, cudaStream_t stream) {
  const dim3 grid((sizes.length + TILE - 1) / TILE, sizes.heads, sizes.batch);
  const mma_forward_operands operands = {static_cast<const bfloat16 *>(q), static_cast<const bfloat16 *>(k),
                                         static_cast<const bfloat16 *>(v), static_cast<bfloat16 *>(o), lse};
  if (sizes.head_size <= 64)
    TITAN_LAUNCH(attention_mma_forward<64>, grid, THREADS, MMA_FORWARD_BYTES<64>, stream, sizes, operands);
  else
    TITAN_LAUNCH(attention_mma_forward<128>, grid, THREADS, MMA_FORWARD_BYTES<128>, stream, sizes, operands);
  return cudaGetLastError();
}
