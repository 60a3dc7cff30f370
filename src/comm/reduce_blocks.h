// SPDX-License-Identifier: Apache-2.0
// One block of a reduction (reduce.h), compiled for several instruction-set levels.
#ifndef TITAN_COMM_REDUCE_BLOCKS_H
#define TITAN_COMM_REDUCE_BLOCKS_H

#include "comm/comm.h"

// Elements reduced at a time: the partial results, one for each level of the tree, stay in the nearest caches, and
// every source is read in one stream.
enum { TITAN_REDUCE_BLOCK = 1024 };

// `count` <= TITAN_REDUCE_BLOCK elements from element `first` on. The result is stored after all sources were read, so
// that `out` may be one of them.
typedef void titan_reduce_block(titan_reduction reduction, const void *const *sources, int source_count, size_t first,
                                size_t count, void *out);

enum { TITAN_REDUCE_WIDE = TITAN_BYTE + 1, TITAN_REDUCE_KINDS };

// By type of element, and bfloat16 with a result of float32; NULL where it cannot be reduced. The lowest level is plain
// C, for every processor; the others are of x86-64.
extern titan_reduce_block *const titan_reduce_blocks_baseline[];
extern titan_reduce_block *const titan_reduce_blocks_avx2[];
extern titan_reduce_block *const titan_reduce_blocks_avx512[];

#endif
