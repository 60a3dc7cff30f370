// SPDX-License-Identifier: Apache-2.0
// Groups of GPUs over NCCL (titan_device.group), where each rank of the group has a GPU of its own. Where they cannot
// be had, groups go through host memory (group.h).
//
// Messages from one rank to another are in a stream and a communicator of their own, so they are in one order on both
// sides, and hold up none of another pair or direction. Operations of all groups begin in the order in which they are
// issued. Lists of steps are made for that (step/in_order.h).
//
// An operation begins after all that COMPUTE has got so far and runs in the group's queue; who waits for it is COMPUTE.
// A bfloat16 sum is rounded at each step of NCCL's ring or tree, unlike that of groups in host memory.
#ifndef TITAN_CUDA_NCCL_H
#define TITAN_CUDA_NCCL_H

#include "comm/comm.h"
#include "cuda/cuda.h"

// Collective over world. Whether NCCL serves the groups of this run: each rank has the library, in one version, and a
// GPU that no other rank uses. *reason [size]: why not, the same on every rank.
titan_status titan_cuda_nccl_serves(titan_device *device, titan_comm *world, bool *serves, char *reason, size_t size);
// Collective over world, where NCCL serves: makes titan_cuda.nccl, which groups come from.
titan_status titan_cuda_nccl_connect(titan_device *device, titan_comm *world);
// Memory that NCCL can register; NULL: this version gives none, or there is none left. The bytes are a multiple of
// titan_device.exchange_unit.
void *titan_cuda_nccl_allocate(titan_cuda *cuda, size_t bytes);
void titan_cuda_nccl_free(void *memory);
// Collective: once all groups are destroyed.
void titan_cuda_nccl_disconnect(titan_cuda *cuda);
// Collective over host, which must outlive the group; called by the ranks of all groups of a partition of the world.
// Groups in the queue PIPELINE have messages between neighbours in the ring of ranks, the others have collectives.
// TITAN_ERROR_COMMUNICATION with NCCL's text on every rank where it fails on one.
titan_status titan_cuda_nccl_group(titan_device *device, titan_comm *host, titan_queue queue, titan_comm **out);
// Whether this process has groups of NCCL.
bool titan_cuda_nccl_is_used(void);
// Not collective. Errors that NCCL has found since, in any group of this process: TITAN_ERROR_COMMUNICATION naming
// group, operation and sequence. To be called while the host waits for the device.
titan_status titan_cuda_nccl_check(void);
// Not collective. Recorded work was put into the queues, up to the mark.
void titan_cuda_nccl_replayed(titan_device *device, titan_mark mark);
// Not collective. The host waits for the device, called again and again, and its wait has ended: the flight recorder is
// told of the oldest operation that the device has not done, or of the recorded step that has it, so that a watchdog
// can name it. Its time begins anew when that is another one, as the device goes on.
void titan_cuda_nccl_waits(void);
void titan_cuda_nccl_waited(void);

#endif
