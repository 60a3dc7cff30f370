// SPDX-License-Identifier: Apache-2.0
// Rotary positions: heads of q, k and v beside each other in rows, and apart.
#ifndef TITAN_CUDA_KERNELS_ROTARY_H
#define TITAN_CUDA_KERNELS_ROTARY_H

#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// A row of `packed` is the heads of q, of k and of v of one position: (heads + 2 kv_heads) of `size` elements. Row r
// has position r % length, and the angles table[r % length] (cos and sin of each pair). Pairs of q and k are rotated,
// `back` the other way. `join`: from q, k, v to packed; else from packed. Rope alone: packed to q, kv_heads 0; q may
// then be the memory of packed.
typedef struct titan_cuda_rotary {
  void *packed, *q, *k, *v;
  const float *table;
  int64_t rows, length, heads, kv_heads, size;
  bool narrow, back, join;
} titan_cuda_rotary;
void titan_cuda_put_rotary(cudaStream_t stream, const titan_cuda_rotary *rotary);

#ifdef __cplusplus
}
#endif

#endif
