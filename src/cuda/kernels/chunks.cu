// SPDX-License-Identifier: Apache-2.0
#include "cuda/kernels/chunks.h"
#include "cuda/kernels/pack.cuh"

enum { THREADS = 256 };

template <typename T, bool VECTOR>
static __global__ void __launch_bounds__(THREADS)
    sum_of_chunks(int64_t n, int ranks, int rank, const T *own, const T *received, T *sum) {
  constexpr int W = titan_pack_width<T>;
  const int64_t at = (static_cast<int64_t>(blockIdx.x) * THREADS + threadIdx.x) * W, count = n - at;
  float total[W], next[W];
  if (count <= 0)
    return;
  titan_load<VECTOR>((rank == 0 ? own : received) + at, count, total);
  for (int r = 1; r < ranks; r++) {
    const T *chunk = r == rank ? own : received + (r < rank ? r : r - 1) * n;
    titan_load<VECTOR>(chunk + at, count, next);
#pragma unroll
    for (int i = 0; i < W; i++)
      total[i] += next[i];
  }
  titan_store<VECTOR>(sum + at, count, total);
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
