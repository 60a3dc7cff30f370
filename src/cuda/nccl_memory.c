// SPDX-License-Identifier: Apache-2.0
// Memory that NCCL gives and registers, so that kernels and copy engines of other ranks reach it without a copy. A
// version without windows (before 2.27) registers by handle, and one before 2.19 does neither.
#include "base/log.h"
#include "cuda/nccl_private.h"

#include <stdlib.h>

static bool gives_memory(const titan_nccl_library *nccl) {
  return nccl->ncclMemAlloc != NULL && nccl->ncclMemFree != NULL;
}

size_t titan_nccl_memory_unit(const titan_nccl_library *nccl) {
  return gives_memory(nccl) ? TITAN_NCCL_MEMORY_UNIT : 0;
}

void *titan_cuda_nccl_allocate(titan_cuda *cuda, size_t bytes) {
  void *memory = NULL;
  if (cuda->nccl == NULL || !gives_memory(cuda->nccl->nccl))
    return NULL;
  return cuda->nccl->nccl->ncclMemAlloc(&memory, bytes) == ncclSuccess ? memory : NULL;
}

void titan_cuda_nccl_free(void *memory) {
  const titan_nccl_library *nccl = NULL;
  if (titan_nccl_library_open(&nccl) == TITAN_OK)
    (void)nccl->ncclMemFree(memory);
}

// --- registering ---

static bool has_windows(const titan_nccl_library *nccl) {
  return gives_memory(nccl) && nccl->ncclCommWindowRegister != NULL && nccl->ncclCommWindowDeregister != NULL;
}

static ncclResult_t enter(const titan_nccl_library *nccl, ncclComm_t handle, void *memory, size_t bytes,
                          titan_nccl_buffer *buffer) {
  return has_windows(nccl)
             ? nccl->ncclCommWindowRegister(handle, memory, bytes, &buffer->window, NCCL_WIN_COLL_SYMMETRIC)
             : nccl->ncclCommRegister(handle, memory, bytes, &buffer->handle);
}

// Once a process, by the first rank of the group: all fare alike.
static void tell_refusal(const titan_nccl_group *group) {
  static bool told;
  if (!told && titan_comm_rank(group->host) == 0)
    titan_log_info("NCCL registers no buffers of group %s, and copies them: %s", titan_comm_name(group->host),
                   titan_error_message());
  told = true;
}

// What is registered last is deregistered first.
titan_status titan_nccl_register(titan_nccl_group *group, void *memory, size_t bytes) {
  const titan_nccl_library *nccl = group->nccl;
  titan_nccl_channel *channel = &group->channels[0];
  if (!has_windows(nccl) && (nccl->ncclCommRegister == NULL || nccl->ncclCommDeregister == NULL))
    return TITAN_OK;
  titan_nccl_buffer *buffer = calloc(1, sizeof *buffer);
  if (buffer == NULL)
    return titan_error(TITAN_ERROR_MEMORY, "no memory for a buffer of NCCL");
  bytes = titan_device_exchange_bytes(group->device, bytes);
  if (titan_nccl_settle(nccl, channel->handle, enter(nccl, channel->handle, memory, bytes, buffer)) != TITAN_OK) {
    tell_refusal(group);
    free(buffer);
    return TITAN_OK;
  }
  buffer->next = channel->buffers;
  channel->buffers = buffer;
  return TITAN_OK;
}

void titan_nccl_deregister(const titan_nccl_library *nccl, titan_nccl_channel *channel) {
  while (channel->buffers != NULL) {
    titan_nccl_buffer *buffer = channel->buffers;
    channel->buffers = buffer->next;
    if (buffer->window != NULL)
      (void)titan_nccl_settle(nccl, channel->handle, nccl->ncclCommWindowDeregister(channel->handle, buffer->window));
    else if (buffer->handle != NULL)
      (void)titan_nccl_settle(nccl, channel->handle, nccl->ncclCommDeregister(channel->handle, buffer->handle));
    free(buffer);
  }
}
