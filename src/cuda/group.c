// SPDX-License-Identifier: Apache-2.0
#include "cuda/group.h"

#include "base/log.h"
#include "cuda/nccl_private.h"
#include "cuda/staged.h"

#include <stdio.h>

// By rank 0.
static titan_status tell(const titan_device *device, titan_comm *world, bool serves, const char *reason) {
  const titan_nccl_library *nccl;
  char version[32];
  if (titan_comm_rank(world) != 0)
    return TITAN_OK;
  if (!serves) {
    titan_log_info("Groups of GPUs go through host memory: %s", reason);
    return TITAN_OK;
  }
  TITAN_TRY(titan_nccl_library_open(&nccl));
  titan_nccl_version_text(nccl->version, version, sizeof version);
  const titan_nccl_world *nccl_world = titan_cuda_of(device)->nccl;
  titan_log_info("Groups of GPUs go over NCCL %s%s%s", version,
                 nccl_world->pipelines ? "" : ", messages of pipelines through host memory: ", nccl_world->remark);
  return TITAN_OK;
}

titan_status titan_cuda_connect(titan_device *device, titan_comm *world, titan_transport transport) {
  char reason[512] = "comm.gpu_transport = host";
  bool serves = false;
  titan_cuda_of(device)->rank = titan_comm_rank(world);
  titan_cuda_of(device)->size = titan_comm_size(world);
  if (titan_comm_size(world) == 1)
    return TITAN_OK;
  if (transport != TITAN_TRANSPORT_HOST)
    TITAN_TRY(titan_cuda_nccl_serves(device, world, &serves, reason, sizeof reason));
  if (!serves && transport == TITAN_TRANSPORT_NCCL)
    return titan_error(TITAN_ERROR_DEVICE, "comm.gpu_transport = nccl: NCCL cannot be used: %s", reason);
  if (serves)
    TITAN_TRY(titan_comm_agree(world, titan_cuda_nccl_connect(device, world)));
  return tell(device, world, serves, reason);
}

static bool goes_over_nccl(const titan_device *device, titan_queue queue) {
  const titan_nccl_world *world = titan_cuda_of(device)->nccl;
  return world != NULL && (queue != TITAN_QUEUE_PIPELINE || world->pipelines);
}

titan_status titan_cuda_group(titan_device *device, titan_comm *host, titan_queue queue, titan_comm **out) {
  return goes_over_nccl(device, queue) ? titan_cuda_nccl_group(device, host, queue, out)
                                       : titan_cuda_staged_group(device, host, queue, out);
}

size_t titan_cuda_group_bytes(const titan_device *device, const titan_comm *host, titan_queue queue, int works) {
  return goes_over_nccl(device, queue) ? titan_comm_over_bytes(host, works)
                                       : titan_cuda_staged_group_bytes(host, works);
}
