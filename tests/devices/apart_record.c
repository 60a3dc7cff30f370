// SPDX-License-Identifier: Apache-2.0
// Recorded work: the operations that the queues got, with marks counted from the recording's beginning, from 1 on.
#include "apart_private.h"

#include "device/queue.h"

#include <stdlib.h>
#include <string.h>

struct titan_recording {
  size_t count;
  apart_op ops[];
};

static uint64_t next_number(const apart *a) {
  return a->first + a->op_count;
}

static titan_status do_nothing(apart *a, apart_op *op) {
  (void)a, (void)op;
  return TITAN_OK;
}

// Marks of queues are their last operations: COMPUTE begins with one of its own.
titan_status apart_record(titan_device *device) {
  apart *a = apart_of(device);
  apart_op *begin = NULL;
  a->records = true;
  a->recorded_from = next_number(a);
  TITAN_TRY(apart_add(a, TITAN_QUEUE_COMPUTE, do_nothing, &begin));
  return titan_queue_fork(device, TITAN_QUEUE_COMPUTE);
}

// Older marks are the past of the recording.
static void take(const apart *a, const apart_op *from, apart_op *to) {
  *to = *from;
  to->mark = from->mark >= a->recorded_from ? from->mark - a->recorded_from + 1 : 0;
}

titan_status apart_record_end(titan_device *device, titan_recording **out) {
  apart *a = apart_of(device);
  titan_status status = titan_queue_join(device, TITAN_QUEUE_COMPUTE);
  size_t begin = (size_t)(a->recorded_from - a->first), count = a->op_count - begin;
  titan_recording *recording = malloc(sizeof *recording + count * sizeof(apart_op));
  a->records = false;
  *out = NULL;
  if (recording == NULL)
    return titan_error(TITAN_ERROR_MEMORY, "apart device: no memory for a recording");
  recording->count = count;
  for (size_t i = 0; i < count; i++) {
    apart_op *op = &a->ops[begin + i];
    take(a, op, &recording->ops[i]);
    op->run = NULL; // its number stays
    op->mark = 0;
    op->exchange = false;
  }
  if (status == TITAN_OK)
    *out = recording;
  else
    free(recording);
  return status;
}

titan_status apart_replay(titan_device *device, titan_recording *recording) {
  apart *a = apart_of(device);
  TITAN_TRY(titan_queue_join(device, TITAN_QUEUE_COMPUTE));
  uint64_t first = next_number(a);
  for (size_t i = 0; i < recording->count; i++) {
    const apart_op *from = &recording->ops[i];
    apart_op *op = NULL;
    TITAN_TRY(apart_add(a, from->queue, from->run, &op));
    *op = *from;
    op->mark = from->mark > 0 ? first + from->mark - 1 : 0;
  }
  return titan_queue_fork(device, TITAN_QUEUE_COMPUTE);
}

void apart_forget(titan_device *device, titan_recording *recording) {
  if (recording == NULL)
    return;
  (void)titan_device_drain(device);
  free(recording);
}
