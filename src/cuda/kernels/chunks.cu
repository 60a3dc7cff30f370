// SPDX-License-Identifier: Apache-2.0
#include "cuda/kernels/chunks.h"
#include "cuda/kernels/pack.cuh"

enum { THREADS = 256 };

// Levels of the tree over the ranks.
enum { LEVELS = 4 };
static_assert(TITAN_CUDA_CHUNKS_RANKS == (1 << LEVELS) - 1, "a sum for each level");

// After r ranks there is a sum of 2^l of them at each level l of which r has the bit; the next chunk joins them as a
// carry does.
template <typename T, bool VECTOR>
static __global__ void __launch_bounds__(THREADS, 4)
    sum_of_chunks(int64_t n, int ranks, int rank, const T *own, const T *received, T *sum) {
  constexpr int W = titan_pack_width<T>;
  const int64_t at = (static_cast<int64_t>(blockIdx.x) * THREADS + threadIdx.x) * W, count = n - at;
  float sums[LEVELS][W] = {}, next[W];
  if (count <= 0)
    return;
  for (int r = 0; r < ranks; r++) {
    const T *chunk = r == rank ? own : received + (r < rank ? r : r - 1) * n;
    titan_load<VECTOR>(chunk + at, count, next);
#pragma unroll
    for (int level = 0; level < LEVELS; level++) {
      const int below = (1 << level) - 1, through = (2 << level) - 1;
      const bool joins = (r & through) == through, stays = !joins && (r & below) == below;
#pragma unroll
      for (int i = 0; i < W; i++) {
        sums[level][i] = stays ? next[i] : sums[level][i];
        next[i] = joins ? sums[level][i] + next[i] : next[i];
      }
    }
  }
  // Those that are left, the last ranks' first.
  bool begun = false;
#pragma unroll
  for (int level = 0; level < LEVELS; level++) {
    if ((ranks >> level & 1) == 0)
      continue;
#pragma unroll
    for (int i = 0; i < W; i++)
      next[i] = begun ? sums[level][i] + next[i] : sums[level][i];
    begun = true;
  }
  titan_store<VECTOR>(sum + at, count, next);
}

template <typename T> static void put(cudaStream_t stream, const titan_cuda_chunks *c, void *sum) {
  const unsigned blocks = static_cast<unsigned>(titan_parts(c->n, static_cast<int64_t>(THREADS) * titan_pack_width<T>));
  const T *own = static_cast<const T *>(c->own), *received = static_cast<const T *>(c->received);
  T *to = static_cast<T *>(sum);
  if (blocks == 0)
    return;
  if (titan_aligned(own, received, to) && c->n % titan_pack_width<T> == 0)
    TITAN_LAUNCH((sum_of_chunks<T, true>), blocks, THREADS, 0, stream, c->n, c->ranks, c->rank, own, received, to);
  else
    TITAN_LAUNCH((sum_of_chunks<T, false>), blocks, THREADS, 0, stream, c->n, c->ranks, c->rank, own, received, to);
}

void titan_cuda_put_sum_of_chunks(cudaStream_t stream, const titan_cuda_chunks *c, void *sum) {
  if (c->narrow)
    put<__nv_bfloat16>(stream, c, sum);
  else
    put<float>(stream, c, sum);
}
