// SPDX-License-Identifier: Apache-2.0
#ifndef TITAN_CUDA_CHOOSE_H
#define TITAN_CUDA_CHOOSE_H

// More GPUs of a node are not looked at.
enum { TITAN_CUDA_MOST_GPUS = 64 };

// The index of the GPU that rank `node_rank` of a node's `node_size` ranks takes of the `count` (1 to
// TITAN_CUDA_MOST_GPUS) that it sees. All ranks that see the same GPUs find the same answer, so that each GPU has
// equally many ranks. A rank that is bound to a NUMA domain with a GPU takes that GPU; the others take what is left, in
// order. numa_of_gpus [count], numa_of_ranks [node_size] (NULL: none is known): -1 where it is not known.
int titan_cuda_choose(int count, const int *numa_of_gpus, int node_rank, int node_size, const int *numa_of_ranks);

#endif
