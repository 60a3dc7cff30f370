// SPDX-License-Identifier: Apache-2.0
#include "cuda/nccl.h"

#include "base/clock.h"
#include "base/log.h"
#include "comm/backend.h"
#include "comm/recorder.h"
#include "comm/recorder_private.h"
#include "cuda/nccl_library.h"
#include "device/queue.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REMEMBERED = 64 }; // operations of a group that the device may not have done yet

// An operation that was put into the queue.
typedef struct issued {
  titan_operation operation;
  titan_mark mark; // after it
  uint64_t record;
} issued;

typedef struct nccl_group nccl_group;
struct nccl_group {
  const titan_nccl_library *nccl;
  titan_device *device;
  titan_comm *host, *comm; // comm: this group, once it is made
  titan_queue queue;
  ncclComm_t handle;
  issued ring[REMEMBERED];
  uint64_t issued_count;
  bool failed;
  nccl_group *next;
};

// All groups of this process; all its communication comes from one thread.
static nccl_group *groups;

// Recorded work that was put into the queues last; device: NULL: there was none.
static struct {
  titan_device *device;
  titan_mark end;
  bool is_told; // the flight recorder is told that the host waits for it
} replay;

static nccl_group *group_of(const titan_comm *comm) {
  return comm->state;
}

// --- errors ---

static titan_status failure(nccl_group *group, ncclResult_t result) {
  const char *detail = group->nccl->ncclGetLastError != NULL ? group->nccl->ncclGetLastError(group->handle) : NULL;
  group->failed = true;
  return titan_error(TITAN_ERROR_COMMUNICATION, "NCCL: %s%s%s", group->nccl->ncclGetErrorString(result),
                     detail != NULL && detail[0] != '\0' ? ": " : "", detail != NULL ? detail : "");
}

// A communicator works without blocking: what was asked for may be on its way still.
static titan_status settle(nccl_group *group, ncclResult_t result) {
  while (result == ncclInProgress) {
    ncclResult_t state = ncclSuccess, asked = group->nccl->ncclCommGetAsyncError(group->handle, &state);
    result = asked != ncclSuccess ? asked : state;
    sched_yield();
  }
  return result == ncclSuccess ? TITAN_OK : failure(group, result);
}

// --- whether it serves ---

static titan_status find_library(const titan_device *device, int64_t *version) {
  const titan_nccl_library *nccl = NULL;
  TITAN_TRY(titan_nccl_library_open(&nccl));
  *version = nccl->version;
  return device->sharing_ranks > 1
             ? titan_error(TITAN_ERROR_DEVICE, "%d ranks use one GPU, which NCCL refuses", device->sharing_ranks)
             : TITAN_OK;
}

titan_status titan_cuda_nccl_serves(titan_device *device, titan_comm *world, bool *serves, char *reason, size_t size) {
  int64_t version = 0;
  char least[32], most[32];
  *serves = false;
  titan_status status = titan_comm_agree(world, find_library(device, &version));
  if (status == TITAN_ERROR_DEVICE) {
    snprintf(reason, size, "%s", titan_error_message());
    return TITAN_OK;
  }
  TITAN_TRY(status);
  int64_t extremes[2] = {version, -version};
  TITAN_TRY(titan_comm_all_reduce(world, extremes, extremes, 2, TITAN_INT64, TITAN_MAX, NULL));
  *serves = extremes[0] == -extremes[1];
  titan_nccl_version_text((int)-extremes[1], least, sizeof least);
  titan_nccl_version_text((int)extremes[0], most, sizeof most);
  if (!*serves)
    snprintf(reason, size, "ranks have NCCL %s and %s", least, most);
  return TITAN_OK;
}

// --- creation ---

// Rank 0's identifier for all.
static titan_status share_identifier(nccl_group *group, ncclUniqueId *id) {
  titan_status status = TITAN_OK;
  if (titan_comm_rank(group->host) == 0) {
    ncclResult_t result = group->nccl->ncclGetUniqueId(id);
    if (result != ncclSuccess)
      status = failure(group, result);
  }
  TITAN_TRY(titan_comm_agree(group->host, status));
  return titan_comm_broadcast(group->host, id, sizeof *id / sizeof(int32_t), TITAN_INT32, 0, NULL);
}

static titan_status initialize(nccl_group *group, ncclUniqueId id) {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  // An older library refuses a newer form of the configuration; the fields that are set here come first in all forms.
  config.blocking = 0;
  config.commName = titan_comm_name(group->host);
  return settle(group, group->nccl->ncclCommInitRankConfig(&group->handle, titan_comm_size(group->host), id,
                                                           titan_comm_rank(group->host), &config));
}

// The watchdog sees a rank that never comes.
static titan_status connect(nccl_group *group) {
  ncclUniqueId id = {{0}};
  TITAN_TRY(share_identifier(group, &id));
  titan_recorder_wait_begins(titan_comm_name(group->host), "start of NCCL", titan_comm_rank(group->host),
                             titan_comm_size(group->host));
  titan_status status = initialize(group, id);
  titan_recorder_wait_ends();
  return titan_comm_agree(group->host, status);
}

// --- operations ---

static titan_status to_nccl_type(titan_dtype dtype, ncclDataType_t *out) {
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

static ncclResult_t all_to_all(const nccl_group *g, const titan_operation *o, ncclDataType_t type,
                               cudaStream_t stream) {
  size_t bytes = o->count * titan_dtype_bytes(o->dtype);
  ncclResult_t result = g->nccl->ncclGroupStart();
  for (int r = 0; r < titan_comm_size(g->host) && result == ncclSuccess; r++) {
    result = g->nccl->ncclSend((const char *)o->send + (size_t)r * bytes, o->count, type, r, g->handle, stream);
    if (result == ncclSuccess)
      result = g->nccl->ncclRecv((char *)o->recv + (size_t)r * bytes, o->count, type, r, g->handle, stream);
  }
  ncclResult_t ended = g->nccl->ncclGroupEnd();
  return result == ncclSuccess || result == ncclInProgress ? ended : result;
}

static titan_status issue(nccl_group *g, const titan_operation *o) {
  cudaStream_t stream = titan_cuda_of(g->device)->streams[g->queue];
  const titan_nccl_library *nccl = g->nccl;
  ncclRedOp_t reduction = to_nccl_reduction(o->reduction);
  ncclDataType_t type = ncclFloat32;
  TITAN_TRY(to_nccl_type(o->dtype, &type));
  switch (o->kind) {
  case TITAN_OPERATION_ALL_GATHER:
    return settle(g, nccl->ncclAllGather(o->send, o->recv, o->count, type, g->handle, stream));
  case TITAN_OPERATION_REDUCE_SCATTER:
    return settle(g, nccl->ncclReduceScatter(o->send, o->recv, o->count, type, reduction, g->handle, stream));
  case TITAN_OPERATION_ALL_REDUCE:
    return settle(g, nccl->ncclAllReduce(o->send, o->recv, o->count, type, reduction, g->handle, stream));
  case TITAN_OPERATION_BROADCAST:
    return settle(g, nccl->ncclBroadcast(o->recv, o->recv, o->count, type, o->peer, g->handle, stream));
  case TITAN_OPERATION_ALL_TO_ALL:
    return settle(g, all_to_all(g, o, type, stream));
  default:
    return titan_error(TITAN_ERROR_INTERNAL, "NCCL: %s in a group", titan_operation_name(o->kind));
  }
}

static titan_status start(titan_work *work) {
  nccl_group *group = group_of(work->comm);
  titan_mark mark;
  TITAN_TRY(titan_queue_follow(group->device, group->queue, TITAN_QUEUE_COMPUTE));
  TITAN_TRY(issue(group, &work->operation));
  TITAN_TRY(titan_queue_mark(group->device, group->queue, &mark));
  work->state.number = mark.number;
  group->ring[group->issued_count++ % REMEMBERED] = (issued){work->operation, mark, work->record};
  return TITAN_OK;
}

// The host group's, which every rank calls alike: nothing of the step uses it.
static titan_status start_barrier(titan_work *work) {
  nccl_group *group = group_of(work->comm);
  TITAN_TRY(titan_queue_finish(group->device, group->queue));
  return titan_comm_barrier(group->host, NULL);
}

static titan_status join(titan_work *work) {
  const nccl_group *group = group_of(work->comm);
  return titan_queue_after(group->device, TITAN_QUEUE_COMPUTE, (titan_mark){work->state.number});
}

static titan_status alone(titan_comm *comm, void *recv, const void *send, size_t bytes) {
  return titan_queue_copy(group_of(comm)->device, TITAN_QUEUE_COMPUTE, recv, send, bytes);
}

static void forget(const nccl_group *group) {
  for (nccl_group **g = &groups; *g != NULL; g = &(*g)->next)
    if (*g == group) {
      *g = group->next;
      return;
    }
}

// Without waiting for the other ranks where an operation has failed, as they may never come.
static void destroy_group(nccl_group *group) {
  if (group == NULL)
    return;
  forget(group);
  if (group->handle != NULL && !group->failed)
    (void)settle(group, group->nccl->ncclCommFinalize(group->handle));
  if (group->handle != NULL && group->failed)
    group->nccl->ncclCommAbort(group->handle);
  else if (group->handle != NULL)
    group->nccl->ncclCommDestroy(group->handle);
  free(group);
}

static void destroy(titan_comm *comm) {
  destroy_group(group_of(comm));
}

static const titan_comm_backend backend = {
    .name = "NCCL",
    .all_gather = start,
    .reduce_scatter = start,
    .all_reduce = start,
    .broadcast = start,
    .all_to_all = start,
    .send = start, // errors: point to point goes over groups in host memory
    .recv = start,
    .barrier = start_barrier,
    .join = join,
    .recordable = true,
    .alone = alone,
    .destroy = destroy,
};

titan_status titan_cuda_nccl_group(titan_device *device, titan_comm *host, titan_queue queue, titan_comm **out) {
  nccl_group *group = calloc(1, sizeof *group);
  titan_status status = group != NULL ? TITAN_OK : titan_error(TITAN_ERROR_MEMORY, "no memory for a group of NCCL");
  *out = NULL;
  if (group != NULL) {
    *group = (nccl_group){.device = device, .host = host, .queue = queue, .next = groups};
    groups = group;
    status = titan_nccl_library_open(&group->nccl);
  }
  status = titan_comm_agree(host, status);
  if (status == TITAN_OK)
    status = connect(group);
  if (status != TITAN_OK) {
    destroy_group(group);
    return status;
  }
  TITAN_TRY(titan_comm_create_over(&backend, host, group, out)); // it frees the group where it fails
  group->comm = *out;
  return TITAN_OK;
}

// --- while the host waits for the device ---

// The oldest operation of the group that the device has not done; NULL: none.
static const issued *oldest_pending(const nccl_group *group) {
  uint64_t first = group->issued_count > REMEMBERED ? group->issued_count - REMEMBERED : 0;
  for (uint64_t i = first; i < group->issued_count; i++)
    if (!group->device->queues->reached(group->device, group->ring[i % REMEMBERED].mark))
      return &group->ring[i % REMEMBERED];
  return NULL;
}

bool titan_cuda_nccl_is_used(void) {
  return groups != NULL;
}

// What NCCL has found. It is told at once, as the other ranks may wait for this one until the watchdog ends them.
static titan_status found(nccl_group *group, ncclResult_t result) {
  const issued *pending = oldest_pending(group);
  bool first = !group->failed;
  char text[512];
  failure(group, result);
  snprintf(text, sizeof text, "%s", titan_error_message());
  titan_status status =
      titan_error(TITAN_ERROR_COMMUNICATION, "%s in group %s (rank %d of %d, sequence %llu): %s",
                  pending != NULL ? titan_operation_name(pending->operation.kind) : "an operation",
                  titan_comm_name(group->host), titan_comm_rank(group->host), titan_comm_size(group->host),
                  pending != NULL ? (unsigned long long)pending->operation.sequence : 0ull, text);
  if (first)
    titan_log_error("%s", titan_error_message());
  return status;
}

titan_status titan_cuda_nccl_check(void) {
  for (nccl_group *group = groups; group != NULL; group = group->next) {
    ncclResult_t state = ncclSuccess;
    if (group->comm == NULL)
      continue;
    ncclResult_t asked = group->nccl->ncclCommGetAsyncError(group->handle, &state);
    ncclResult_t result = asked != ncclSuccess ? asked : state;
    if (result != ncclSuccess && result != ncclInProgress)
      return found(group, result);
  }
  return TITAN_OK;
}

void titan_cuda_nccl_replayed(titan_device *device, titan_mark mark) {
  replay.device = device;
  replay.end = mark;
}

static bool replay_is_pending(void) {
  return replay.device != NULL && !replay.device->queues->reached(replay.device, replay.end);
}

void titan_cuda_nccl_wait_begins(void) {
  const nccl_group *first = NULL;
  const issued *oldest = NULL;
  for (const nccl_group *group = groups; group != NULL; group = group->next) {
    const issued *pending = oldest_pending(group);
    if (pending != NULL && (oldest == NULL || pending->record < oldest->record)) {
      oldest = pending;
      first = group;
    }
  }
  // Its operations are not told apart from outside.
  if (replay_is_pending() && (oldest == NULL || replay.end.number < oldest->mark.number)) {
    const titan_cuda *cuda = titan_cuda_of(replay.device);
    replay.is_told = true;
    titan_recorder_wait_begins("world", "recorded step", cuda->rank, cuda->size);
  } else if (oldest != NULL)
    titan_recorder_wait(first->comm, &oldest->operation, oldest->record, titan_clock_seconds());
}

void titan_cuda_nccl_wait_ends(void) {
  if (replay.is_told)
    titan_recorder_wait_ends();
  else
    titan_recorder_waited(titan_clock_seconds());
  replay.is_told = false;
}
