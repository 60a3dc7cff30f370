// SPDX-License-Identifier: Apache-2.0
#include "cuda/choose.h"

#include <stdbool.h>
#include <stddef.h>

// How many ranks each GPU can still take.
typedef struct places {
  int count, left[TITAN_CUDA_MOST_GPUS];
} places;

// The first GPU with room in the NUMA domain, in any for -1; of several, that which has the most room. -1: none.
static int find(const places *p, const int *numa_of_gpus, int numa) {
  int best = -1;
  for (int gpu = 0; gpu < p->count; gpu++)
    if (p->left[gpu] > 0 && (numa < 0 || numa_of_gpus[gpu] == numa) && (best < 0 || p->left[gpu] > p->left[best]))
      best = gpu;
  return best;
}

// A rank has a near GPU where one has room after the ranks before it.
static bool take_near(places *p, const int *numa_of_gpus, int numa, int *gpu) {
  *gpu = numa >= 0 ? find(p, numa_of_gpus, numa) : -1;
  if (*gpu >= 0)
    p->left[*gpu]--;
  return *gpu >= 0;
}

int titan_cuda_choose(int count, const int *numa_of_gpus, int node_rank, int node_size, const int *numa_of_ranks) {
  places p = {.count = count};
  int gpu = -1;
  for (int i = 0; i < count; i++)
    p.left[i] = (node_size + count - 1) / count;
  for (int rank = 0; numa_of_ranks != NULL && rank < node_size; rank++)
    if (take_near(&p, numa_of_gpus, numa_of_ranks[rank], &gpu) && rank == node_rank)
      return gpu;
  // Those without a near GPU, after all that have one.
  places near = {.count = count};
  for (int i = 0; i < count; i++)
    near.left[i] = (node_size + count - 1) / count;
  for (int rank = 0; rank <= node_rank; rank++) {
    if (numa_of_ranks != NULL && take_near(&near, numa_of_gpus, numa_of_ranks[rank], &gpu))
      continue;
    gpu = find(&p, numa_of_gpus, -1);
    if (gpu >= 0)
      p.left[gpu]--;
  }
  return gpu >= 0 ? gpu : node_rank % count;
}
