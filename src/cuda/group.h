// SPDX-License-Identifier: Apache-2.0
// How the groups of the CUDA device go: over NCCL (nccl.h), or through host memory (staged.h), as titan_device.connect
// has found. Until that is called they go through host memory.
#ifndef TITAN_CUDA_GROUP_H
#define TITAN_CUDA_GROUP_H

#include "device/device.h"

// titan_device.connect, .group and .group_bytes. Transfers between pipeline ranks go through host memory always: ranks
// may wait for them in different orders, and a transfer of NCCL holds up those after it.
titan_status titan_cuda_connect(titan_device *device, titan_comm *world, titan_transport transport);
titan_status titan_cuda_group(titan_device *device, titan_comm *host, titan_queue queue, titan_comm **out);
size_t titan_cuda_group_bytes(const titan_device *device, const titan_comm *host, titan_queue queue, int works);

#endif
