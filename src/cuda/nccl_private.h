// SPDX-License-Identifier: Apache-2.0
// What the files of NCCL's groups share: nccl.c (operations), nccl_chunks.c (those whose chunks come or go one by one),
// nccl_start.c (communicators), nccl_watch.c (while the host waits).
#ifndef TITAN_CUDA_NCCL_PRIVATE_H
#define TITAN_CUDA_NCCL_PRIVATE_H

#include "comm/backend.h"
#include "cuda/nccl.h"
#include "cuda/nccl_library.h"
#include "device/gpu_workspace.h"

enum { TITAN_NCCL_REMEMBERED = 64 }; // operations of a channel that the device may not have done yet

// An operation that was put into the stream.
typedef struct titan_nccl_issued {
  titan_operation operation;
  titan_mark mark; // after it
  uint64_t record;
} titan_nccl_issued;

// Memory that a communicator knows.
typedef struct titan_nccl_buffer titan_nccl_buffer;
struct titan_nccl_buffer {
  ncclWindow_t window; // NULL: by handle
  void *handle;
  titan_nccl_buffer *next;
};

// A communicator of NCCL and the stream that its operations go into: of a group; or of the messages of one direction
// between two pipeline ranks, with a stream of its own.
typedef struct titan_nccl_channel {
  ncclComm_t handle;
  cudaStream_t stream;
  bool owns_stream;
  int peer; // of messages: in the group
  bool sends;
  bool lower;                 // this rank is the first of the two
  titan_nccl_buffer *buffers; // registered
  titan_nccl_issued ring[TITAN_NCCL_REMEMBERED];
  uint64_t issued_count;
} titan_nccl_channel;

typedef struct titan_nccl_group titan_nccl_group;
struct titan_nccl_group {
  const titan_nccl_library *nccl;
  titan_device *device;
  titan_comm *host, *comm; // comm: this group, once it is made
  titan_queue queue;
  int channel_count;
  titan_nccl_channel *channels; // owned: one, or those of messages
  titan_mark *chunks;           // owned: [size], after each step of the latest operation in chunks
  bool failed;
  titan_nccl_group *next;
};

// titan_cuda.nccl: what all groups of the run come from.
struct titan_nccl_world {
  const titan_nccl_library *nccl;
  ncclComm_t handle; // NULL: groups are made one by one, as this version cannot split
  bool failed;       // a group's operation has
  bool ordered;      // this version lets operations of all groups begin in the order in which they were issued
  titan_mark latest; // otherwise: of the last one, which the next one waits for
  bool pipelines;    // messages between pipeline ranks go over NCCL too
  char remark[160];  // why they do not
};

// --- errors: nccl_start.c ---

titan_status titan_nccl_failure(const titan_nccl_library *nccl, ncclComm_t handle, ncclResult_t result);
// A communicator works without blocking: what was asked for may be on its way still.
titan_status titan_nccl_settle(const titan_nccl_library *nccl, ncclComm_t handle, ncclResult_t result);

// --- operations: nccl.c ---

titan_status titan_nccl_type(titan_dtype dtype, ncclDataType_t *out);
// titan_nccl_settle of the channel's communicator; an error is the group's too.
titan_status titan_nccl_settle_on(titan_nccl_group *group, const titan_nccl_channel *channel, ncclResult_t result);
// What the channel gets from now on begins after all that COMPUTE has got so far.
titan_status titan_nccl_begin_on(const titan_nccl_group *group, const titan_nccl_channel *channel);
// The channel has got all of the work.
titan_status titan_nccl_end_on(titan_work *work, titan_nccl_channel *channel);

// --- chunks: nccl_chunks.c ---

// Slots of titan_comm_backend.
titan_status titan_nccl_gather_chunks(titan_work *work);
titan_status titan_nccl_join_chunk(titan_work *work, int index);
titan_status titan_nccl_reduce_chunks(titan_work *work);
void *titan_nccl_place_chunk(titan_work *work, int rank);
titan_status titan_nccl_give_chunk(titan_work *work, int rank);
// COMPUTE, after the last chunk has come: recv = the sum.
titan_status titan_nccl_sum_chunks(const titan_work *work);

// --- communicators: nccl_start.c ---

// Collective over group->host; the ranks of every group of the run's partition call it in the same order. Fills the
// group's channels; what fails leaves those that are made.
titan_status titan_nccl_connect_group(titan_nccl_group *group);
// The same for the messages between neighbours in the ring of the group's ranks.
titan_status titan_nccl_connect_neighbours(titan_nccl_group *group);
// Without waiting for the other ranks where an operation has failed, as they may never come.
void titan_nccl_channel_close(const titan_nccl_group *group, titan_nccl_channel *channel);

// --- memory: nccl_memory.c ---

// titan_device.exchange_unit: the granularity of the GPU's virtual memory. 0: this version gives no memory.
enum { TITAN_NCCL_MEMORY_UNIT = TITAN_GPU_EXCHANGE_BYTES };
size_t titan_nccl_memory_unit(const titan_nccl_library *nccl);
// titan_comm_backend.register_memory.
titan_status titan_nccl_register(titan_nccl_group *group, void *memory, size_t bytes);
void titan_nccl_deregister(const titan_nccl_library *nccl, titan_nccl_channel *channel);

// --- while the host waits: nccl_watch.c ---

void titan_nccl_watch(titan_nccl_group *group);
void titan_nccl_unwatch(const titan_nccl_group *group);

#endif
