// SPDX-License-Identifier: Apache-2.0
// Queues, marks and copies of any device. On one without queues a mark has been reached when it is made, and a copy is
// made at once.
#ifndef TITAN_DEVICE_QUEUE_H
#define TITAN_DEVICE_QUEUE_H

#include "device/device.h"

#include <string.h>

static inline titan_status titan_queue_mark(titan_device *device, titan_queue queue, titan_mark *out) {
  *out = (titan_mark){0};
  return device->queues != NULL ? device->queues->mark(device, queue, out) : TITAN_OK;
}

static inline titan_status titan_queue_after(titan_device *device, titan_queue queue, titan_mark mark) {
  return device->queues != NULL && mark.number > 0 ? device->queues->after(device, queue, mark) : TITAN_OK;
}

static inline titan_status titan_queue_wait(titan_device *device, titan_mark mark) {
  return device->queues != NULL && mark.number > 0 ? device->queues->wait(device, mark) : TITAN_OK;
}

static inline titan_status titan_queue_copy(titan_device *device, titan_queue queue, void *to, const void *from,
                                            size_t bytes) {
  if (device->queues != NULL)
    return device->queues->copy(device, queue, to, from, bytes);
  if (bytes > 0 && to != from)
    memmove(to, from, bytes);
  return TITAN_OK;
}

static inline titan_status titan_queue_copy_rows(titan_device *device, titan_queue queue, void *to, size_t to_pitch,
                                                 const void *from, size_t from_pitch, size_t row_bytes, size_t rows) {
  if (device->queues != NULL)
    return device->queues->copy_rows(device, queue, to, to_pitch, from, from_pitch, row_bytes, rows);
  for (size_t row = 0; row < rows; row++)
    memcpy((char *)to + row * to_pitch, (const char *)from + row * from_pitch, row_bytes);
  return TITAN_OK;
}

// `queue` goes on after all that `before` has got so far.
titan_status titan_queue_follow(titan_device *device, titan_queue queue, titan_queue before);
// All other queues go on after what `queue` has got so far; `queue` goes on after what all others have.
titan_status titan_queue_fork(titan_device *device, titan_queue queue);
titan_status titan_queue_join(titan_device *device, titan_queue queue);
// The host waits for all that the queue has got so far; for all that every queue has.
titan_status titan_queue_finish(titan_device *device, titan_queue queue);
titan_status titan_device_drain(titan_device *device);

#endif
