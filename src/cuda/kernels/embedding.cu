// SPDX-License-Identifier: Apache-2.0
#include "cuda/kernels/embedding.h"
#include "cuda/kernels/pack.cuh"
#include "cuda/kernels/reduce.cuh"
#include "cuda/kernels/vector.h"

enum { WARPS = 8, THREADS = 32 * WARPS };

// A warp takes a row, in units of 16 bytes where it can.
template <typename UNIT>
static __global__ void __launch_bounds__(THREADS)
    embedding(const titan_cuda_tokens e, const UNIT *table, int64_t units, UNIT *x) {
  const int64_t row = static_cast<int64_t>(blockIdx.x) * WARPS + threadIdx.x / 32;
  if (row >= e.rows)
    return;
  const int64_t token = e.tokens[row] - e.first;
  const bool inside = token >= 0 && token < e.vocabulary;
  for (int64_t i = threadIdx.x % 32; i < units; i += 32)
    x[row * units + i] = inside ? table[token * units + i] : UNIT{};
}

template <typename UNIT>
static void put_embedding(cudaStream_t stream, const titan_cuda_tokens &e, const void *table, int64_t row_bytes,
                          void *x) {
  TITAN_LAUNCH(embedding<UNIT>, static_cast<unsigned>(titan_parts(e.rows, WARPS)), THREADS, 0, stream, e,
               static_cast<const UNIT *>(table), row_bytes / static_cast<int64_t>(sizeof(UNIT)),
               static_cast<UNIT *>(x));
}

void titan_cuda_put_embedding(cudaStream_t stream, const titan_cuda_tokens *e, const void *table, int64_t row_bytes,
                              void *x) {
  if (row_bytes % 16 == 0 && titan_aligned(table, x))
    put_embedding<uint4>(stream, *e, table, row_bytes, x);
  else
    put_embedding<uint16_t>(stream, *e, table, row_bytes, x);
}

// --- backward ---

// Bit i of word w: whether position begin + 32 w + i has the token. The block may write `words` now; it may read them
// when this returns.
static __device__ __forceinline__ void find_token(const titan_cuda_tokens &e, int64_t begin, int32_t token,
                                                  unsigned (&words)[WARPS]) {
  const int64_t position = begin + threadIdx.x;
  const unsigned found = __ballot_sync(TITAN_ALL_LANES, position < e.rows && e.tokens[position] == token);
  if (threadIdx.x % 32 == 0)
    words[threadIdx.x / 32] = found;
  __syncthreads();
}

// Whether no earlier position has the token of position `row`: the same for all threads.
static __device__ __forceinline__ bool is_first(const titan_cuda_tokens &e, int64_t row, unsigned (&words)[WARPS]) {
  const int32_t token = e.tokens[row];
  bool seen = false;
  for (int64_t position = threadIdx.x; position < row && !seen; position += THREADS)
    seen = e.tokens[position] == token;
  const unsigned found = __ballot_sync(TITAN_ALL_LANES, seen);
  if (threadIdx.x % 32 == 0)
    words[threadIdx.x / 32] = found;
  __syncthreads();
  unsigned any = 0;
  for (int warp = 0; warp < WARPS; warp++)
    any |= words[warp];
  return any == 0;
}

// The block of a position whose token is at no earlier one adds up the rows of all positions that have it, in order;
// the others have nothing to do. A thread has one pack of the columns.
template <typename T, bool VECTOR>
static __global__ void __launch_bounds__(THREADS)
    embedding_backward(const titan_cuda_tokens e, const T *dy, int64_t width, float *dtable) {
  constexpr int W = titan_pack_width<T>;
  TITAN_SHARED(unsigned, words, [2][WARPS]);
  const int64_t row = blockIdx.x;
  const int32_t token = e.tokens[row];
  const int64_t line = token - e.first;
  if (line < 0 || line >= e.vocabulary || !is_first(e, row, words[1]))
    return;
  const int64_t column = (static_cast<int64_t>(blockIdx.y) * THREADS + threadIdx.x) * W, count = width - column;
  float sum[W] = {};
  int turn = 0;
  for (int64_t begin = row; begin < e.rows; begin += THREADS, turn ^= 1) {
    find_token(e, begin, token, words[turn]);
    for (int warp = 0; warp < WARPS; warp++)
      for (unsigned found = words[turn][warp]; found != 0; found &= found - 1) {
        const int64_t position = begin + 32 * warp + __ffs(static_cast<int>(found)) - 1;
        float x[W];
        titan_load<VECTOR>(dy + position * width + column, count, x);
#pragma unroll
        for (int i = 0; i < W; i++)
          sum[i] += x[i];
      }
  }
  for (int i = 0; i < W; i += 4)
    titan_store<VECTOR>(dtable + line * width + column + i, count - i, {sum[i], sum[i + 1], sum[i + 2], sum[i + 3]});
}

template <typename T>
static void put_backward(cudaStream_t stream, const titan_cuda_tokens &e, const T *dy, int64_t width, float *dtable) {
  constexpr int W = titan_pack_width<T>;
  const dim3 blocks(static_cast<unsigned>(e.rows),
                    static_cast<unsigned>(titan_parts(width, static_cast<int64_t>(THREADS) * W)));
  if (width % W == 0 && titan_aligned(dy, dtable))
    TITAN_LAUNCH((embedding_backward<T, true>), blocks, THREADS, 0, stream, e, dy, width, dtable);
  else
    TITAN_LAUNCH((embedding_backward<T, false>), blocks, THREADS, 0, stream, e, dy, width, dtable);
}

void titan_cuda_put_embedding_backward(cudaStream_t stream, const titan_cuda_tokens *e, bool narrow, const void *dy,
                                       int64_t width, float *dtable) {
  titan_cuda_put_fill(stream, e->vocabulary * width, dtable, 0);
  if (narrow)
    put_backward(stream, *e, static_cast<const __nv_bfloat16 *>(dy), width, dtable);
  else
    put_backward(stream, *e, static_cast<const float *>(dy), width, dtable);
}
