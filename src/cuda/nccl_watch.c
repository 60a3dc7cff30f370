// SPDX-License-Identifier: Apache-2.0
// What has become of operations, asked while the host waits for the device.
#include "base/clock.h"
#include "base/log.h"
#include "comm/recorder.h"
#include "comm/recorder_private.h"
#include "cuda/nccl_private.h"

#include <stdio.h>

// All groups of this process; all its communication comes from one thread.
static titan_nccl_group *groups;

// Recorded work that was put into the queues last; device: NULL: there was none.
static struct {
  titan_device *device;
  titan_mark end;
} replay;

// What the flight recorder is told that the host waits for.
static struct {
  enum { TOLD_NOTHING, TOLD_OPERATION, TOLD_STEP } what;
  titan_mark mark; // after it
} told;

void titan_nccl_watch(titan_nccl_group *group) {
  group->next = groups;
  groups = group;
}

void titan_nccl_unwatch(const titan_nccl_group *group) {
  for (titan_nccl_group **g = &groups; *g != NULL; g = &(*g)->next)
    if (*g == group) {
      *g = group->next;
      return;
    }
}

bool titan_cuda_nccl_is_used(void) {
  return groups != NULL;
}

// The oldest operation of the channel that the device has not done; NULL: none.
static const titan_nccl_issued *oldest_pending(const titan_nccl_group *group, const titan_nccl_channel *channel) {
  uint64_t count = channel->issued_count, first = count > TITAN_NCCL_REMEMBERED ? count - TITAN_NCCL_REMEMBERED : 0;
  for (uint64_t i = first; i < count; i++)
    if (!group->device->queues->reached(group->device, channel->ring[i % TITAN_NCCL_REMEMBERED].mark))
      return &channel->ring[i % TITAN_NCCL_REMEMBERED];
  return NULL;
}

// What NCCL has found. It is told at once, as the other ranks may wait for this one until the watchdog ends them.
static titan_status found(titan_nccl_group *group, const titan_nccl_channel *channel, ncclResult_t result) {
  const titan_nccl_issued *pending = oldest_pending(group, channel);
  bool first = !group->failed;
  char text[512];
  titan_nccl_failure(group->nccl, channel->handle, result);
  group->failed = true;
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

static titan_status check_group(titan_nccl_group *group) {
  for (int i = 0; i < group->channel_count; i++) {
    ncclResult_t state = ncclSuccess;
    ncclResult_t asked = group->nccl->ncclCommGetAsyncError(group->channels[i].handle, &state);
    ncclResult_t result = asked != ncclSuccess ? asked : state;
    if (result != ncclSuccess && result != ncclInProgress)
      return found(group, &group->channels[i], result);
  }
  return TITAN_OK;
}

titan_status titan_cuda_nccl_check(void) {
  for (titan_nccl_group *group = groups; group != NULL; group = group->next)
    if (group->comm != NULL)
      TITAN_TRY(check_group(group));
  return TITAN_OK;
}

void titan_cuda_nccl_replayed(titan_device *device, titan_mark mark) {
  replay.device = device;
  replay.end = mark;
}

static bool replay_is_pending(void) {
  return replay.device != NULL && !replay.device->queues->reached(replay.device, replay.end);
}

// Of all groups; NULL: there is none.
static const titan_nccl_issued *oldest_of_all(const titan_nccl_group **of) {
  const titan_nccl_issued *oldest = NULL;
  for (const titan_nccl_group *group = groups; group != NULL; group = group->next)
    for (int i = 0; i < group->channel_count; i++) {
      const titan_nccl_issued *pending = oldest_pending(group, &group->channels[i]);
      if (pending != NULL && (oldest == NULL || pending->record < oldest->record)) {
        oldest = pending;
        *of = group;
      }
    }
  return oldest;
}

void titan_cuda_nccl_waits(void) {
  const titan_nccl_group *group = NULL;
  const titan_nccl_issued *oldest = oldest_of_all(&group);
  // The operations of a recorded step are not told apart from outside.
  bool step = replay_is_pending() && (oldest == NULL || replay.end.number < oldest->mark.number);
  titan_mark mark = step ? replay.end : oldest != NULL ? oldest->mark : (titan_mark){0};
  int what = step ? TOLD_STEP : oldest != NULL ? TOLD_OPERATION : TOLD_NOTHING;
  if (what == (int)told.what && mark.number == told.mark.number)
    return; // its time goes on
  titan_cuda_nccl_waited();
  told.mark = mark;
  if (step) {
    const titan_cuda *cuda = titan_cuda_of(replay.device);
    told.what = TOLD_STEP;
    titan_recorder_wait_begins("world", "recorded step", cuda->rank, cuda->size);
  } else if (oldest != NULL) {
    told.what = TOLD_OPERATION;
    titan_recorder_wait(group->comm, &oldest->operation, oldest->record, titan_clock_seconds());
  }
}

void titan_cuda_nccl_waited(void) {
  if (told.what == TOLD_STEP)
    titan_recorder_wait_ends();
  else if (told.what == TOLD_OPERATION)
    titan_recorder_waited(titan_clock_seconds());
  told.what = TOLD_NOTHING;
}
