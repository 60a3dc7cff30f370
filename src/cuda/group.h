// SPDX-License-Identifier: Apache-2.0
// How the groups of the CUDA device go: over NCCL (nccl.h), or through host memory (staged.h), as titan_device.connect
// has found. Until that is called they go through host memory.
#ifndef TITAN_CUDA_GROUP_H
#define TITAN_CUDA_GROUP_H

#include "device/device.h"

// titan_device.connect, .group and .group_bytes. Messages between pipeline ranks go over NCCL where operations of
// several groups go on beside each other: NCCL 2.26 and a driver for CUDA 12.3.
titan_status titan_cuda_connect(titan_device *device, titan_comm *world, titan_transport transport);
titan_status titan_cuda_group(titan_device *device, titan_comm *host, titan_queue queue, titan_comm **out);
size_t titan_cuda_group_bytes(const titan_device *device, const titan_comm *host, titan_queue queue, int works);

#endif
