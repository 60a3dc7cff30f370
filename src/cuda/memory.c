// SPDX-License-Identifier: Apache-2.0
#include "cuda/cuda.h"
#include "cuda/nccl.h"

#include <stdio.h>

// What has been allocated, so that it is taken off the counts when it is freed. A run has hundreds.
typedef struct block {
  void *pointer;
  size_t bytes;
  titan_memory_tag tag;
  bool of_nccl;
} block;

struct titan_cuda_blocks {
  block *blocks;
  size_t count, capacity;
};

static titan_status make_room(titan_cuda *cuda) {
  if (cuda->blocks == NULL)
    TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_KERNEL_STATE, 1, sizeof *cuda->blocks, &cuda->blocks));
  titan_cuda_blocks *b = cuda->blocks;
  if (b->count < b->capacity)
    return TITAN_OK;
  size_t capacity = 2 * b->capacity + 64;
  TITAN_TRY(titan_memory_resize(TITAN_MEMORY_KERNEL_STATE, capacity * sizeof *b->blocks, &b->blocks));
  b->capacity = capacity;
  return TITAN_OK;
}

void titan_cuda_blocks_destroy(titan_cuda *cuda) {
  if (cuda->blocks != NULL)
    titan_memory_free(cuda->blocks->blocks);
  titan_memory_free(cuda->blocks);
  cuda->blocks = NULL;
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
  *(void **)out = NULL;
  TITAN_TRY(make_room(cuda));
  if (space == TITAN_SPACE_EXCHANGE) {
    bytes = titan_device_exchange_bytes(device, bytes);
    pointer = titan_cuda_nccl_allocate(cuda, titan_device_exchange_bytes(device, taken));
  }
  bool of_nccl = pointer != NULL;
  if (!of_nccl)
    error =
        space == TITAN_SPACE_HOST ? cudaHostAlloc(&pointer, taken, cudaHostAllocPortable) : cudaMalloc(&pointer, taken);
  if (error != cudaSuccess)
    return refuse(cuda, error, space, tag, bytes);
  cuda->blocks->blocks[cuda->blocks->count++] = (block){pointer, bytes, tag, of_nccl};
  if (space == TITAN_SPACE_HOST)
    titan_memory_account(tag, bytes);
  else
    titan_memory_account_device(tag, bytes);
  *(void **)out = pointer;
  return TITAN_OK;
}

void titan_cuda_free(titan_device *device, titan_space space, void *pointer) {
  bool of_nccl = false;
  titan_cuda_blocks *b = titan_cuda_of(device)->blocks;
  for (size_t i = 0; pointer != NULL && b != NULL && i < b->count; i++) {
    if (b->blocks[i].pointer != pointer)
      continue;
    if (space == TITAN_SPACE_HOST)
      titan_memory_unaccount(b->blocks[i].tag, b->blocks[i].bytes);
    else
      titan_memory_unaccount_device(b->blocks[i].tag, b->blocks[i].bytes);
    of_nccl = b->blocks[i].of_nccl;
    b->blocks[i] = b->blocks[--b->count];
    break;
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
