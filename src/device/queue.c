// SPDX-License-Identifier: Apache-2.0
#include "device/queue.h"

titan_status titan_queue_follow(titan_device *device, titan_queue queue, titan_queue before) {
  titan_mark mark;
  TITAN_TRY(titan_queue_mark(device, before, &mark));
  return titan_queue_after(device, queue, mark);
}

titan_status titan_queue_fork(titan_device *device, titan_queue queue) {
  titan_mark mark;
  TITAN_TRY(titan_queue_mark(device, queue, &mark));
  for (int other = 0; other < TITAN_QUEUES; other++)
    if (other != (int)queue)
      TITAN_TRY(titan_queue_after(device, (titan_queue)other, mark));
  return TITAN_OK;
}

titan_status titan_queue_join(titan_device *device, titan_queue queue) {
  for (int other = 0; other < TITAN_QUEUES; other++)
    if (other != (int)queue)
      TITAN_TRY(titan_queue_follow(device, queue, (titan_queue)other));
  return TITAN_OK;
}

titan_status titan_queue_finish(titan_device *device, titan_queue queue) {
  titan_mark mark;
  TITAN_TRY(titan_queue_mark(device, queue, &mark));
  return titan_queue_wait(device, mark);
}

titan_status titan_device_drain(titan_device *device) {
  for (int queue = 0; device->queues != NULL && queue < TITAN_QUEUES; queue++)
    TITAN_TRY(titan_queue_finish(device, (titan_queue)queue));
  return TITAN_OK;
}
