// SPDX-License-Identifier: Apache-2.0
#include "parallel/shard_view.h"

#include "device/queue.h"

bool titan_shard_view_copies(const titan_device *device) {
  return device->queues != NULL;
}

// A copy in COPY, for which the host waits.
static titan_status copy(titan_device *device, void *to, const void *from, size_t bytes) {
  TITAN_TRY(titan_queue_follow(device, TITAN_QUEUE_COPY, TITAN_QUEUE_COMPUTE));
  TITAN_TRY(titan_queue_copy(device, TITAN_QUEUE_COPY, to, from, bytes));
  return titan_queue_finish(device, TITAN_QUEUE_COPY);
}

titan_status titan_shard_view_open(titan_device *device, float *shard, int64_t count, titan_access access,
                                   titan_memory_tag tag, titan_shard_view *view) {
  *view = (titan_shard_view){
      .values = shard, .device = device, .shard = shard, .bytes = (size_t)count * sizeof(float), .access = access};
  if (!titan_shard_view_copies(device))
    return TITAN_OK;
  view->values = NULL;
  titan_status status = device->allocate(device, TITAN_SPACE_HOST, tag, view->bytes, &view->values);
  if (status == TITAN_OK && access != TITAN_ACCESS_WRITE)
    status = copy(device, view->values, shard, view->bytes);
  if (status != TITAN_OK) {
    device->free(device, TITAN_SPACE_HOST, view->values);
    *view = (titan_shard_view){0};
  }
  return status;
}

titan_status titan_shard_view_close(titan_shard_view *view) {
  titan_device *device = view->device;
  titan_status status = TITAN_OK;
  if (device != NULL && titan_shard_view_copies(device)) {
    if (view->access != TITAN_ACCESS_READ)
      status = copy(device, view->shard, view->values, view->bytes);
    device->free(device, TITAN_SPACE_HOST, view->values);
  }
  *view = (titan_shard_view){0};
  return status;
}
