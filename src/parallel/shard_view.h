// SPDX-License-Identifier: Apache-2.0
// A range of a shard as host code sees it: the shard itself where the device's memory is the host's, else a copy.
#ifndef TITAN_PARALLEL_SHARD_VIEW_H
#define TITAN_PARALLEL_SHARD_VIEW_H

#include "device/device.h"

typedef enum titan_access {
  TITAN_ACCESS_READ,
  TITAN_ACCESS_WRITE,  // all of the range is written before the view is closed
  TITAN_ACCESS_UPDATE, // some of it is
} titan_access;

typedef struct titan_shard_view {
  float *values; // [count]
  titan_device *device;
  void *shard;
  size_t bytes;
  titan_access access;
} titan_shard_view;

// Whoever opens a view reads what COMPUTE has got so far to do, and waits for it; what was written is in the shard for
// all that COMPUTE gets after the view is closed. The copy lies in TITAN_SPACE_HOST under `tag`. A view that is not
// open may be closed.
titan_status titan_shard_view_open(titan_device *device, float *shard, int64_t count, titan_access access,
                                   titan_memory_tag tag, titan_shard_view *view);
titan_status titan_shard_view_close(titan_shard_view *view);
// Whether views of the device's memory are copies.
bool titan_shard_view_copies(const titan_device *device);

#endif
