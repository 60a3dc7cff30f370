// SPDX-License-Identifier: Apache-2.0
// Communicators of NCCL. That of the world is made first, and those of groups are split off it, in one order on all
// ranks. A version that cannot split makes each group on its own.
#include "base/log.h"
#include "comm/recorder.h"
#include "cuda/nccl_private.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

// From this version on NCCL lets operations of several communicators begin in the order in which they were issued
// (NCCL_LAUNCH_ORDER_IMPLICIT), and with a driver for CUDA 12.3 they go on beside each other.
enum { ORDERED_LAUNCHES = NCCL_VERSION(2, 26, 0), CONCURRENT_DRIVER = 12030, ZERO_CTAS = NCCL_VERSION(2, 28, 0) };

// Blocks of a reduction's kernels, which compute beside the backward.
enum { REDUCE_CTAS = 16 };

// --- errors ---

titan_status titan_nccl_failure(const titan_nccl_library *nccl, ncclComm_t handle, ncclResult_t result) {
  const char *detail = nccl->ncclGetLastError != NULL ? nccl->ncclGetLastError(handle) : NULL;
  return titan_error(TITAN_ERROR_COMMUNICATION, "NCCL: %s%s%s", nccl->ncclGetErrorString(result),
                     detail != NULL && detail[0] != '\0' ? ": " : "", detail != NULL ? detail : "");
}

titan_status titan_nccl_settle(const titan_nccl_library *nccl, ncclComm_t handle, ncclResult_t result) {
  while (result == ncclInProgress) {
    ncclResult_t state = ncclSuccess, asked = nccl->ncclCommGetAsyncError(handle, &state);
    result = asked != ncclSuccess ? asked : state;
    sched_yield();
  }
  return result == ncclSuccess ? TITAN_OK : titan_nccl_failure(nccl, handle, result);
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

// --- one communicator ---

// `queue`: of its operations; TITAN_QUEUES: none goes over it.
static ncclConfig_t config_of(const titan_nccl_library *nccl, const char *name, titan_queue queue) {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  config.splitShare = 1;
  config.commName = name;
  if (queue == TITAN_QUEUE_REDUCE)
    config.maxCTAs = REDUCE_CTAS;
  if (queue == TITAN_QUEUE_GATHER && nccl->version >= ZERO_CTAS)
    config.CTAPolicy = NCCL_CTA_POLICY_ZERO; // copy engines, where buffers are registered
  return config;
}

// Identifiers of NCCL, `count` of them, that ranks spread over the group make for all. ids: [count].
static titan_status share_identifiers(const titan_nccl_library *nccl, titan_comm *host, int count, ncclUniqueId *ids) {
  titan_status status = TITAN_OK;
  for (int i = 0; i < count; i++)
    if (titan_comm_rank(host) == i * nccl->ranks_per_identifier) {
      ncclResult_t result = nccl->ncclGetUniqueId(&ids[i]);
      if (result != ncclSuccess)
        status = titan_nccl_failure(nccl, NULL, result);
    }
  TITAN_TRY(titan_comm_agree(host, status));
  for (int i = 0; i < count; i++)
    TITAN_TRY(titan_comm_broadcast(host, &ids[i], sizeof *ids / sizeof(int32_t), TITAN_INT32,
                                   i * nccl->ranks_per_identifier, NULL));
  return TITAN_OK;
}

// Many ranks meet at several of them, where this version can.
static int identifiers_for(const titan_nccl_library *nccl, int ranks) {
  return nccl->ncclCommInitRankScalable != NULL && ranks > nccl->most_at_one_identifier
             ? (ranks + nccl->ranks_per_identifier - 1) / nccl->ranks_per_identifier
             : 1;
}

static titan_status initialize(const titan_nccl_library *nccl, titan_comm *host, titan_queue queue, int count,
                               ncclUniqueId *ids, ncclComm_t *out) {
  ncclConfig_t config = config_of(nccl, titan_comm_name(host), queue);
  int ranks = titan_comm_size(host), rank = titan_comm_rank(host);
  ncclResult_t result = count > 1 ? nccl->ncclCommInitRankScalable(out, ranks, rank, count, ids, &config)
                                  : nccl->ncclCommInitRankConfig(out, ranks, ids[0], rank, &config);
  return titan_nccl_settle(nccl, *out, result);
}

// Of the ranks of a host group. The watchdog sees a rank that never comes.
static titan_status create(const titan_nccl_library *nccl, titan_comm *host, titan_queue queue, ncclComm_t *out) {
  int count = identifiers_for(nccl, titan_comm_size(host));
  ncclUniqueId *ids = NULL;
  titan_status status = titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, (size_t)count, sizeof *ids, &ids);
  status = titan_comm_agree(host, status);
  if (status == TITAN_OK)
    status = share_identifiers(nccl, host, count, ids);
  if (status == TITAN_OK) {
    titan_recorder_wait_begins(titan_comm_name(host), "start of NCCL", titan_comm_rank(host), titan_comm_size(host));
    status = titan_comm_agree(host, initialize(nccl, host, queue, count, ids, out));
    titan_recorder_wait_ends();
  }
  titan_memory_free(ids);
  return status;
}

// As NCCL 2.23 does, the new communicator may be known only when the old one has settled.
static titan_status split_off(const titan_nccl_world *world, const titan_comm *host, titan_queue queue, int key,
                              ncclComm_t *out) {
  ncclConfig_t config = config_of(world->nccl, titan_comm_name(host), queue);
  ncclResult_t state = ncclSuccess, result = world->nccl->ncclCommSplit(world->handle, host->leader, key, out, &config);
  TITAN_TRY(titan_nccl_settle(world->nccl, world->handle, result));
  ncclResult_t asked = world->nccl->ncclCommGetAsyncError(*out, &state);
  return titan_nccl_settle(world->nccl, *out, asked != ncclSuccess ? asked : state);
}

static titan_status split(const titan_nccl_world *world, titan_comm *host, titan_queue queue, ncclComm_t *out) {
  titan_recorder_wait_begins(titan_comm_name(host), "start of NCCL", titan_comm_rank(host), titan_comm_size(host));
  titan_status status = titan_comm_agree(host, split_off(world, host, queue, titan_comm_rank(host), out));
  titan_recorder_wait_ends();
  return status;
}

titan_status titan_nccl_connect_group(titan_nccl_group *group) {
  const titan_nccl_world *world = titan_cuda_of(group->device)->nccl;
  titan_nccl_channel *channel = &group->channels[0];
  channel->stream = titan_cuda_of(group->device)->streams[group->queue];
  return world != NULL && world->handle != NULL ? split(world, group->host, group->queue, &channel->handle)
                                                : create(group->nccl, group->host, group->queue, &channel->handle);
}

// --- messages ---

// Neighbours meet in three rounds, in each of which a rank has one neighbour at most: pairs that begin at even ranks,
// at odd ones, and the pair that closes a ring of odd length.
enum { ROUNDS = 3 };

static int round_of(int pair, int ranks) {
  return ranks % 2 == 1 && pair == ranks - 1 ? 2 : pair % 2;
}

// Pair p of the ring is (p, p + 1); two ranks are one pair. Opens the channel of one direction.
static titan_status open_channel(titan_nccl_group *group, int pair, bool upwards, ncclUniqueId id) {
  int ranks = titan_comm_size(group->host), rank = titan_comm_rank(group->host);
  bool lower = rank == pair;
  titan_nccl_channel *channel = &group->channels[group->channel_count++];
  ncclConfig_t config = config_of(group->nccl, titan_comm_name(group->host), TITAN_QUEUE_PIPELINE);
  channel->lower = lower;
  channel->peer = lower ? (pair + 1) % ranks : pair;
  channel->sends = lower == upwards;
  TITAN_TRY(titan_cuda_stream_create(true, &channel->stream));
  channel->owns_stream = true;
  ncclResult_t result = group->nccl->ncclCommInitRankConfig(&channel->handle, 2, id, !lower, &config);
  return titan_nccl_settle(group->nccl, channel->handle, result);
}

static titan_status open_channels(titan_nccl_group *group, const ncclUniqueId *ids) {
  int ranks = titan_comm_size(group->host), rank = titan_comm_rank(group->host), pairs = ranks == 2 ? 1 : ranks;
  for (int round = 0; round < ROUNDS; round++)
    for (int pair = 0; pair < pairs; pair++)
      if (round_of(pair, ranks) == round && (pair == rank || (pair + 1) % ranks == rank))
        for (int upwards = 0; upwards < 2; upwards++)
          TITAN_TRY(open_channel(group, pair, upwards, ids[2 * pair + upwards]));
  return TITAN_OK;
}

// Every rank makes the identifiers of the pair that begins with it.
static titan_status share_pairs(const titan_nccl_group *group, ncclUniqueId *ids) {
  ncclUniqueId mine[2] = {{{0}}};
  titan_status status = TITAN_OK;
  for (int i = 0; i < 2 && status == TITAN_OK; i++) {
    ncclResult_t result = group->nccl->ncclGetUniqueId(&mine[i]);
    status = result == ncclSuccess ? TITAN_OK : titan_nccl_failure(group->nccl, NULL, result);
  }
  TITAN_TRY(titan_comm_agree(group->host, status));
  return titan_comm_all_gather(group->host, mine, ids, (sizeof mine) / (sizeof(int32_t)), TITAN_INT32, NULL);
}

titan_status titan_nccl_connect_neighbours(titan_nccl_group *group) {
  titan_comm *host = group->host;
  ncclUniqueId *ids = NULL;
  group->channel_count = 0;
  titan_status status =
      titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, 2 * (size_t)titan_comm_size(host), sizeof *ids, &ids);
  status = titan_comm_agree(host, status);
  if (status == TITAN_OK)
    status = share_pairs(group, ids);
  if (status == TITAN_OK) {
    titan_recorder_wait_begins(titan_comm_name(host), "start of NCCL", titan_comm_rank(host), titan_comm_size(host));
    status = titan_comm_agree(host, open_channels(group, ids));
    titan_recorder_wait_ends();
  }
  titan_memory_free(ids);
  return status;
}

static void close_communicator(const titan_nccl_library *nccl, ncclComm_t handle, bool failed) {
  if (handle == NULL)
    return;
  if (!failed)
    (void)titan_nccl_settle(nccl, handle, nccl->ncclCommFinalize(handle));
  if (failed)
    nccl->ncclCommAbort(handle);
  else
    nccl->ncclCommDestroy(handle);
}

void titan_nccl_channel_close(const titan_nccl_group *group, titan_nccl_channel *channel) {
  if (group->failed)
    channel->buffers = NULL; // an aborted communicator has none
  titan_nccl_deregister(group->nccl, channel);
  close_communicator(group->nccl, channel->handle, group->failed);
  if (channel->owns_stream)
    (void)cudaStreamDestroy(channel->stream);
}

// --- the world ---

// Two ranks wait for each other's messages beside other operations: those must be able to go on meanwhile.
static void judge_pipelines(titan_nccl_world *world) {
  int driver = 0;
  char version[32];
  titan_nccl_version_text(world->nccl->version, version, sizeof version);
  (void)cudaDriverGetVersion(&driver);
  if (world->nccl->version < ORDERED_LAUNCHES)
    snprintf(world->remark, sizeof world->remark, "NCCL %s gives operations of several groups no order, 2.26 does",
             version);
  else if (driver < CONCURRENT_DRIVER)
    snprintf(world->remark, sizeof world->remark, "the driver is for CUDA %d.%d, and 12.3 is needed", driver / 1000,
             driver % 1000 / 10);
  world->pipelines = world->remark[0] == '\0';
  world->ordered = world->nccl->version >= ORDERED_LAUNCHES;
}

titan_status titan_cuda_nccl_connect(titan_device *device, titan_comm *host) {
  titan_nccl_world *world = NULL;
  titan_status status = titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, 1, sizeof *world, &world);
  TITAN_TRY(titan_comm_agree(host, status));
  titan_cuda_of(device)->nccl = world;
  TITAN_TRY(titan_nccl_library_open(&world->nccl));
  judge_pipelines(world);
  device->exchange_unit = titan_nccl_memory_unit(world->nccl);
  int64_t pipelines = world->pipelines;
  TITAN_TRY(titan_comm_all_reduce(host, &pipelines, &pipelines, 1, TITAN_INT64, TITAN_MIN, NULL));
  if (world->pipelines && pipelines == 0)
    snprintf(world->remark, sizeof world->remark, "another rank has an older driver");
  world->pipelines = pipelines != 0;
  if (world->nccl->ncclCommSplit == NULL)
    return TITAN_OK;
  status = create(world->nccl, host, TITAN_QUEUES, &world->handle);
  if (status != TITAN_OK) {
    close_communicator(world->nccl, world->handle, true);
    world->handle = NULL;
  }
  return status;
}

void titan_cuda_nccl_disconnect(titan_cuda *cuda) {
  titan_nccl_world *world = cuda->nccl;
  cuda->nccl = NULL;
  if (world != NULL)
    close_communicator(world->nccl, world->handle, world->failed);
  titan_memory_free(world);
}
