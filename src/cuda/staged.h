// SPDX-License-Identifier: Apache-2.0
// Groups of the CUDA device that go through host memory: what is sent is copied to pinned memory piece by piece, the
// host's group does the operation, and what is received is copied back. They serve ranks that share a GPU, and machines
// without NCCL. Results are the host group's, to the bit.
#ifndef TITAN_CUDA_STAGED_H
#define TITAN_CUDA_STAGED_H

#include "device/device.h"

// titan_device.group and titan_device.group_bytes.
titan_status titan_cuda_staged_group(titan_device *device, titan_comm *host, titan_queue queue, titan_comm **out);
size_t titan_cuda_staged_group_bytes(const titan_comm *host, int works);

#endif
