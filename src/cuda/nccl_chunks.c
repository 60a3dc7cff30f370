// SPDX-License-Identifier: Apache-2.0
// Chunks over NCCL (comm/chunks.h): one step for each other rank, in which a chunk goes straight to the rank that wants
// it and another one comes, and a mark after each, so that COMPUTE multiplies one chunk while the next one travels.
//
// Where a sum is made, the caller's buffer has two chunks to give in turn, this rank's own as the last of them, and
// behind them those that come, in the order of the ranks. COMPUTE adds them up when all are there.
#include "cuda/kernels/chunks.h"
#include "cuda/nccl_private.h"
#include "device/queue.h"

enum { GIVEN = 2 };

static titan_nccl_group *group_of(const titan_work *work) {
  return work->comm->state;
}

static size_t chunk_bytes(const titan_work *work) {
  return work->operation.count * titan_dtype_bytes(work->operation.dtype);
}

// One chunk to the rank `to` while one comes from the rank `from`.
static titan_status exchange(const titan_work *work, const void *send, int to, void *recv, int from) {
  titan_nccl_group *g = group_of(work);
  const titan_nccl_channel *channel = &g->channels[0];
  size_t count = work->operation.count;
  ncclDataType_t type = ncclFloat32;
  TITAN_TRY(titan_nccl_type(work->operation.dtype, &type));
  ncclResult_t result = g->nccl->ncclGroupStart();
  if (result == ncclSuccess)
    result = g->nccl->ncclSend(send, count, type, to, channel->handle, channel->stream);
  if (result == ncclSuccess)
    result = g->nccl->ncclRecv(recv, count, type, from, channel->handle, channel->stream);
  ncclResult_t ended = g->nccl->ncclGroupEnd();
  return titan_nccl_settle_on(g, channel, result == ncclSuccess || result == ncclInProgress ? ended : result);
}

// --- gathering: this rank's chunk goes to the rank `step` places before it; that of the rank as many after it comes
// ---

titan_status titan_nccl_gather_chunks(titan_work *work) {
  titan_nccl_group *group = group_of(work);
  titan_nccl_channel *channel = &group->channels[0];
  int size = titan_comm_size(group->host), rank = titan_comm_rank(group->host);
  TITAN_TRY(titan_nccl_begin_on(group, channel));
  work->cursor = 1; // its own
  for (int step = 1; step < size; step++) {
    int from = (rank + step) % size;
    TITAN_TRY(exchange(work, work->operation.send, (rank + size - step) % size,
                       (char *)work->operation.recv + (size_t)from * chunk_bytes(work), from));
    TITAN_TRY(titan_cuda_mark(group->device, channel->stream, &group->chunks[step]));
  }
  return titan_nccl_end_on(work, channel);
}

titan_status titan_nccl_join_chunk(titan_work *work, int index) {
  const titan_nccl_group *group = group_of(work);
  return titan_queue_after(group->device, TITAN_QUEUE_COMPUTE, group->chunks[index]);
}

// --- reducing: the chunk of the rank `step` places after this one goes there; that of the rank as many before comes
// ---

static int step_of(const titan_work *work, int rank) {
  int size = work->comm->size;
  return (rank - work->comm->rank + size - 1) % size + 1; // this rank's own: size
}

static char *given(const titan_work *work, int step) {
  return (char *)(uintptr_t)work->operation.send + (size_t)((step - 1) % GIVEN) * chunk_bytes(work);
}

static char *received(const titan_work *work, int rank) {
  int place = GIVEN + rank - (rank > work->comm->rank);
  return (char *)(uintptr_t)work->operation.send + (size_t)place * chunk_bytes(work);
}

// Nothing travels before a chunk is given.
titan_status titan_nccl_reduce_chunks(titan_work *work) {
  return titan_nccl_begin_on(group_of(work), &group_of(work)->channels[0]);
}

void *titan_nccl_place_chunk(titan_work *work, int rank) {
  return given(work, step_of(work, rank));
}

titan_status titan_nccl_give_chunk(titan_work *work, int rank) {
  titan_nccl_group *group = group_of(work);
  titan_nccl_channel *channel = &group->channels[0];
  int size = work->comm->size, step = step_of(work, rank), from = (work->comm->rank + size - step) % size;
  TITAN_TRY(titan_nccl_begin_on(group, channel));
  TITAN_TRY(exchange(work, given(work, step), rank, received(work, from), from));
  TITAN_TRY(titan_cuda_mark(group->device, channel->stream, &group->chunks[step]));
  // The next chunk is computed where the one before this lies.
  if (step > 1)
    TITAN_TRY(titan_queue_after(group->device, TITAN_QUEUE_COMPUTE, group->chunks[step - 1]));
  return step == size - 1 ? titan_nccl_end_on(work, channel) : TITAN_OK;
}

titan_status titan_nccl_sum_chunks(const titan_work *work) {
  const titan_operation *o = &work->operation;
  int size = work->comm->size, rank = work->comm->rank;
  if (o->dtype != TITAN_FLOAT32 && o->dtype != TITAN_BFLOAT16)
    return titan_error(TITAN_ERROR_INTERNAL, "chunks of type %s are not summed", titan_dtype_name(o->dtype));
  titan_cuda_chunks chunks = {.own = given(work, size),
                              .received = received(work, rank == 0 ? 1 : 0),
                              .ranks = size,
                              .rank = rank,
                              .narrow = o->dtype == TITAN_BFLOAT16,
                              .n = (int64_t)o->count};
  titan_cuda_put_sum_of_chunks(titan_cuda_stream(group_of(work)->device), &chunks, o->recv);
  return titan_cuda_launched("sum_of_chunks");
}
