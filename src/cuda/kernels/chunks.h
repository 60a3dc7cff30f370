// SPDX-License-Identifier: Apache-2.0
// Sums of chunks that the ranks of a group gave each other.
#ifndef TITAN_CUDA_KERNELS_CHUNKS_H
#define TITAN_CUDA_KERNELS_CHUNKS_H

#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Elements are bfloat16 where `narrow`, else float32.
typedef struct titan_cuda_chunks {
  const void *own;      // this rank's [n]
  const void *received; // the others' [ranks - 1, n], in the order of the ranks
  int ranks, rank;
  bool narrow;
  int64_t n;
} titan_cuda_chunks;

// Most ranks that chunks of one sum come from.
enum { TITAN_CUDA_CHUNKS_RANKS = 15 };

// sum [n] = the chunks added up in float32, rounded once, along the tree over the ranks that comm/reduce.h has.
void titan_cuda_put_sum_of_chunks(cudaStream_t stream, const titan_cuda_chunks *chunks, void *sum);

#ifdef __cplusplus
}
#endif

#endif
