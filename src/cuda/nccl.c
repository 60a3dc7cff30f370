// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"
#include "cuda/nccl_private.h"
#include "device/queue.h"

#include <stdio.h>
#include <stdlib.h>

static titan_nccl_group *group_of(const titan_comm *comm) {
  return comm->state;
}

titan_status titan_nccl_settle_on(titan_nccl_group *group, const titan_nccl_channel *channel, ncclResult_t result) {
  titan_status status = titan_nccl_settle(group->nccl, channel->handle, result);
  group->failed |= status != TITAN_OK;
  return status;
}

// --- operations ---

titan_status titan_nccl_type(titan_dtype dtype, ncclDataType_t *out) {
  switch (dtype) {
  case TITAN_FLOAT32:
    *out = ncclFloat32;
    return TITAN_OK;
  case TITAN_FLOAT64:
    *out = ncclFloat64;
    return TITAN_OK;
  case TITAN_BFLOAT16:
    *out = ncclBfloat16;
    return TITAN_OK;
  case TITAN_INT32:
    *out = ncclInt32;
    return TITAN_OK;
  case TITAN_INT64:
    *out = ncclInt64;
    return TITAN_OK;
  default:
    return titan_error(TITAN_ERROR_INTERNAL, "NCCL: no type for %s", titan_dtype_name(dtype));
  }
}

static ncclRedOp_t to_nccl_reduction(titan_reduction reduction) {
  return reduction == TITAN_SUM ? ncclSum : reduction == TITAN_MAX ? ncclMax : ncclMin;
}

static ncclResult_t all_to_all(const titan_nccl_group *g, const titan_nccl_channel *channel, const titan_operation *o,
                               ncclDataType_t type) {
  size_t bytes = o->count * titan_dtype_bytes(o->dtype);
  ncclResult_t result = g->nccl->ncclGroupStart();
  for (int r = 0; r < titan_comm_size(g->host) && result == ncclSuccess; r++) {
    result = g->nccl->ncclSend((const char *)o->send + (size_t)r * bytes, o->count, type, r, channel->handle,
                               channel->stream);
    if (result == ncclSuccess)
      result =
          g->nccl->ncclRecv((char *)o->recv + (size_t)r * bytes, o->count, type, r, channel->handle, channel->stream);
  }
  ncclResult_t ended = g->nccl->ncclGroupEnd();
  return result == ncclSuccess || result == ncclInProgress ? ended : result;
}

// The two ranks of a message have a communicator of their own: the other one is the one that this rank is not.
static ncclResult_t message(const titan_nccl_group *g, const titan_nccl_channel *channel, const titan_operation *o,
                            ncclDataType_t type) {
  int other = channel->lower ? 1 : 0;
  return channel->sends ? g->nccl->ncclSend(o->send, o->count, type, other, channel->handle, channel->stream)
                        : g->nccl->ncclRecv(o->recv, o->count, type, other, channel->handle, channel->stream);
}

static titan_status issue(titan_nccl_group *g, const titan_nccl_channel *channel, const titan_operation *o) {
  const titan_nccl_library *nccl = g->nccl;
  ncclComm_t handle = channel->handle;
  cudaStream_t stream = channel->stream;
  ncclRedOp_t reduction = to_nccl_reduction(o->reduction);
  ncclDataType_t type = ncclFloat32;
  TITAN_TRY(titan_nccl_type(o->dtype, &type));
  switch (o->kind) {
  case TITAN_OPERATION_ALL_GATHER:
    return titan_nccl_settle_on(g, channel, nccl->ncclAllGather(o->send, o->recv, o->count, type, handle, stream));
  case TITAN_OPERATION_REDUCE_SCATTER:
    return titan_nccl_settle_on(g, channel,
                                nccl->ncclReduceScatter(o->send, o->recv, o->count, type, reduction, handle, stream));
  case TITAN_OPERATION_ALL_REDUCE:
    return titan_nccl_settle_on(g, channel,
                                nccl->ncclAllReduce(o->send, o->recv, o->count, type, reduction, handle, stream));
  case TITAN_OPERATION_BROADCAST:
    return titan_nccl_settle_on(g, channel,
                                nccl->ncclBroadcast(o->recv, o->recv, o->count, type, o->peer, handle, stream));
  case TITAN_OPERATION_ALL_TO_ALL:
    return titan_nccl_settle_on(g, channel, all_to_all(g, channel, o, type));
  case TITAN_OPERATION_SEND:
  case TITAN_OPERATION_RECV:
    return titan_nccl_settle_on(g, channel, message(g, channel, o, type));
  default:
    return titan_error(TITAN_ERROR_INTERNAL, "NCCL: %s in a group", titan_operation_name(o->kind));
  }
}

titan_status titan_nccl_begin_on(const titan_nccl_group *group, const titan_nccl_channel *channel) {
  const titan_nccl_world *world = titan_cuda_of(group->device)->nccl;
  titan_mark mark;
  if (channel->stream != titan_cuda_stream(group->device)) {
    TITAN_TRY(titan_queue_mark(group->device, TITAN_QUEUE_COMPUTE, &mark));
    TITAN_TRY(titan_cuda_after(group->device, channel->stream, mark));
  }
  return world == NULL || world->ordered ? TITAN_OK : titan_cuda_after(group->device, channel->stream, world->latest);
}

titan_status titan_nccl_end_on(titan_work *work, titan_nccl_channel *channel) {
  const titan_nccl_group *group = group_of(work->comm);
  titan_nccl_world *world = titan_cuda_of(group->device)->nccl;
  titan_mark mark;
  TITAN_TRY(titan_cuda_mark(group->device, channel->stream, &mark));
  if (world != NULL)
    world->latest = mark;
  work->state.number = mark.number;
  channel->ring[channel->issued_count++ % TITAN_NCCL_REMEMBERED] =
      (titan_nccl_issued){work->operation, mark, work->record};
  return TITAN_OK;
}

static titan_status start_on(titan_work *work, titan_nccl_channel *channel) {
  titan_nccl_group *group = group_of(work->comm);
  TITAN_TRY(titan_nccl_begin_on(group, channel));
  TITAN_TRY(issue(group, channel, &work->operation));
  return titan_nccl_end_on(work, channel);
}

static titan_status start(titan_work *work) {
  return start_on(work, &group_of(work->comm)->channels[0]);
}

static titan_status start_message(titan_work *work) {
  titan_nccl_group *group = group_of(work->comm);
  const titan_operation *o = &work->operation;
  for (int i = 0; i < group->channel_count; i++)
    if (group->channels[i].peer == o->peer && group->channels[i].sends == (o->kind == TITAN_OPERATION_SEND))
      return start_on(work, &group->channels[i]);
  return titan_error(TITAN_ERROR_INTERNAL, "NCCL: %s with rank %d in group %s, which is no neighbour",
                     titan_operation_name(o->kind), o->peer, titan_comm_name(work->comm));
}

static titan_status refuse(titan_work *work) {
  return titan_error(TITAN_ERROR_INTERNAL, "NCCL: %s in group %s, expected %s",
                     titan_operation_name(work->operation.kind), titan_comm_name(work->comm),
                     group_of(work->comm)->queue == TITAN_QUEUE_PIPELINE ? "messages alone" : "collectives alone");
}

// The host group's, which every rank calls alike: nothing of the step uses it.
static titan_status start_barrier(titan_work *work) {
  const titan_nccl_group *group = group_of(work->comm);
  TITAN_TRY(titan_device_drain(group->device));
  return titan_comm_barrier(group->host, NULL);
}

static titan_status join(titan_work *work) {
  const titan_nccl_group *group = group_of(work->comm);
  bool was_given = work->operation.kind == TITAN_OPERATION_REDUCE_SCATTER && work->cursor > 0; // in chunks
  TITAN_TRY(titan_queue_after(group->device, TITAN_QUEUE_COMPUTE, (titan_mark){work->state.number}));
  return was_given ? titan_nccl_sum_chunks(work) : TITAN_OK;
}

static titan_status alone(titan_comm *comm, void *recv, const void *send, size_t bytes) {
  return titan_queue_copy(group_of(comm)->device, TITAN_QUEUE_COMPUTE, recv, send, bytes);
}

static titan_status register_memory(titan_comm *comm, void *memory, size_t bytes) {
  return titan_nccl_register(group_of(comm), memory, bytes);
}

// --- groups ---

static void destroy_group(titan_nccl_group *group) {
  if (group == NULL)
    return;
  titan_nccl_unwatch(group);
  if (group->failed && titan_cuda_of(group->device)->nccl != NULL)
    titan_cuda_of(group->device)->nccl->failed = true;
  for (int i = 0; i < group->channel_count; i++)
    titan_nccl_channel_close(group, &group->channels[i]);
  free(group->channels);
  free(group->chunks);
  free(group);
}

static void destroy(titan_comm *comm) {
  destroy_group(group_of(comm));
}

static const titan_comm_backend collectives = {
    .name = "NCCL",
    .all_gather = start,
    .reduce_scatter = start,
    .all_reduce = start,
    .broadcast = start,
    .all_to_all = start,
    .send = refuse,
    .recv = refuse,
    .barrier = start_barrier,
    .gather_chunks = titan_nccl_gather_chunks,
    .join_chunk = titan_nccl_join_chunk,
    .reduce_chunks = titan_nccl_reduce_chunks,
    .place_chunk = titan_nccl_place_chunk,
    .give_chunk = titan_nccl_give_chunk,
    .join = join,
    .recordable = true,
    .alone = alone,
    .register_memory = register_memory,
    .destroy = destroy,
};

static const titan_comm_backend messages = {
    .name = "NCCL, messages",
    .all_gather = refuse,
    .reduce_scatter = refuse,
    .all_reduce = refuse,
    .broadcast = refuse,
    .all_to_all = refuse,
    .send = start_message,
    .recv = start_message,
    .barrier = start_barrier,
    .join = join,
    .alone = alone,
    .destroy = destroy,
};

// Neighbours are two at most, with a channel for each direction.
static titan_status create_group(titan_device *device, titan_comm *host, titan_queue queue, titan_nccl_group **out) {
  bool pipeline = queue == TITAN_QUEUE_PIPELINE;
  titan_nccl_group *group = calloc(1, sizeof *group);
  titan_nccl_channel *channels = calloc(pipeline ? 4 : 1, sizeof *channels);
  titan_mark *chunks = calloc((size_t)titan_comm_size(host), sizeof *chunks);
  *out = NULL;
  if (group == NULL || channels == NULL || chunks == NULL) {
    free(group);
    free(channels);
    free(chunks);
    return titan_error(TITAN_ERROR_MEMORY, "no memory for a group of NCCL");
  }
  *group = (titan_nccl_group){.device = device,
                              .host = host,
                              .queue = queue,
                              .channels = channels,
                              .chunks = chunks,
                              .channel_count = pipeline ? 0 : 1};
  titan_nccl_watch(group);
  *out = group;
  return titan_nccl_library_open(&group->nccl);
}

titan_status titan_cuda_nccl_group(titan_device *device, titan_comm *host, titan_queue queue, titan_comm **out) {
  bool pipeline = queue == TITAN_QUEUE_PIPELINE;
  titan_nccl_group *group = NULL;
  *out = NULL;
  titan_status status = titan_comm_agree(host, create_group(device, host, queue, &group));
  if (status == TITAN_OK)
    status = pipeline ? titan_nccl_connect_neighbours(group) : titan_nccl_connect_group(group);
  if (status != TITAN_OK) {
    if (group != NULL)
      group->failed = true;
    destroy_group(group);
    return status;
  }
  // It frees the group where it fails.
  TITAN_TRY(titan_comm_create_over(pipeline ? &messages : &collectives, host, group, out));
  group->comm = *out;
  return TITAN_OK;
}
