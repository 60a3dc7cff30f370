// SPDX-License-Identifier: Apache-2.0
#include "cuda/cuda.h"
#include "cuda/nccl.h"

#include <stdio.h>

// What has been allocated, so that it is taken off the counts when it is freed. A run has hundreds. Each is a block of
// host memory of its own, which goes with it.
struct titan_cuda_blocks {
  void *pointer;
  size_t bytes;
  titan_memory_tag tag;
  bool of_nccl;
  titan_cuda_blocks *next;
};

void titan_cuda_blocks_destroy(titan_cuda *cuda) {
  while (cuda->blocks != NULL) {
    titan_cuda_blocks *next = cuda->blocks->next;
    titan_memory_free(cuda->blocks);
    cuda->blocks = next;
  }
}

static titan_status refuse(const titan_cuda *cuda, cudaError_t error, titan_space space, titan_memory_tag tag,
                           size_t bytes) {
  size_t available = 0, total = 0;
  if (error != cudaErrorMemoryAllocation)
    return titan_cuda_check(error, "memory cannot be allocated");
  (void)cudaGetLastError(); // it would come out of the next launch
  if (space == TITAN_SPACE_HOST)
    return titan_error(TITAN_ERROR_MEMORY, "cannot pin %zu bytes of host memory for %s", bytes,
                       titan_memory_tag_text(tag));
  (void)cudaMemGetInfo(&available, &total);
  return titan_error(TITAN_ERROR_MEMORY, "GPU %d (%s): cannot allocate %zu bytes for %s; %zu of %zu bytes are free",
                     cuda->index, cuda->properties.name, bytes, titan_memory_tag_text(tag), available, total);
}

titan_status titan_cuda_allocate(titan_device *device, titan_space space, titan_memory_tag tag, size_t bytes,
                                 void *out) {
  titan_cuda *cuda = titan_cuda_of(device);
  void *pointer = NULL;
  size_t taken = bytes > 0 ? bytes : 1; // of nothing, CUDA gives no pointer
  cudaError_t error = cudaSuccess;
  titan_cuda_blocks *block;
  *(void **)out = NULL;
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_GENERAL, sizeof *block, &block));
  if (space == TITAN_SPACE_EXCHANGE) {
    bytes = titan_device_exchange_bytes(device, bytes);
    pointer = titan_cuda_nccl_allocate(cuda, titan_device_exchange_bytes(device, taken));
  }
  bool of_nccl = pointer != NULL;
  if (!of_nccl)
    error =
        space == TITAN_SPACE_HOST ? cudaHostAlloc(&pointer, taken, cudaHostAllocPortable) : cudaMalloc(&pointer, taken);
  if (error != cudaSuccess) {
    titan_memory_free(block);
    return refuse(cuda, error, space, tag, bytes);
  }
  *block = (titan_cuda_blocks){pointer, bytes, tag, of_nccl, cuda->blocks};
  cuda->blocks = block;
  if (space == TITAN_SPACE_HOST)
    titan_memory_account(tag, bytes);
  else
    titan_memory_account_device(tag, bytes);
  *(void **)out = pointer;
  return TITAN_OK;
}

void titan_cuda_free(titan_device *device, titan_space space, void *pointer) {
  bool of_nccl = false;
  titan_cuda_blocks **link = &titan_cuda_of(device)->blocks;
  while (pointer != NULL && *link != NULL && (*link)->pointer != pointer)
    link = &(*link)->next;
  titan_cuda_blocks *block = pointer != NULL ? *link : NULL;
  if (block != NULL) {
    if (space == TITAN_SPACE_HOST)
      titan_memory_unaccount(block->tag, block->bytes);
    else
      titan_memory_unaccount_device(block->tag, block->bytes);
    of_nccl = block->of_nccl;
    *link = block->next;
    titan_memory_free(block);
  }
  // All wait for the device. What failed before has been told by a wait.
  if (of_nccl)
    titan_cuda_nccl_free(pointer);
  else if (pointer != NULL)
    (void)(space == TITAN_SPACE_HOST ? cudaFreeHost(pointer) : cudaFree(pointer));
}

titan_status titan_cuda_memory(titan_device *device, size_t *available, size_t *total) {
  TITAN_TRY(titan_cuda_check(cudaMemGetInfo(available, total), "the GPU's memory cannot be read"));
  size_t ranks = device->sharing_ranks > 1 ? (size_t)device->sharing_ranks : 1;
  *available /= ranks;
  *total /= ranks;
  return TITAN_OK;
}
