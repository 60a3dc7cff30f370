// SPDX-License-Identifier: Apache-2.0
#include "device/device.h"

#include "comm/comm.h"

static titan_status slot_missing(const titan_device *device, const char *slot) {
  return titan_error(TITAN_ERROR_INTERNAL, "device %s: required slot %s is missing",
                     device->name ? device->name : "(no name)", slot);
}

static titan_status check_kernels(titan_device *device) {
  for (int kind = 0; kind < TITAN_OP_COUNT; kind++) {
    if (titan_op_is_view((titan_op_kind)kind))
      continue;
    const titan_kernel *kernel = device->kernel(device, (titan_op_kind)kind);
    if (kernel == NULL || (kernel->run == NULL && kernel->run_in_group == NULL))
      return titan_error(TITAN_ERROR_INTERNAL, "device %s: kernel %s is missing", device->name,
                         titan_op_name((titan_op_kind)kind));
    if (kernel->run != NULL && kernel->run_in_group != NULL)
      return titan_error(TITAN_ERROR_INTERNAL, "device %s: kernel %s has both run and run_in_group, expected one",
                         device->name, titan_op_name((titan_op_kind)kind));
    if (kernel->prepare != NULL && kernel->release == NULL)
      return titan_error(TITAN_ERROR_INTERNAL, "device %s: kernel %s has prepare without release", device->name,
                         titan_op_name((titan_op_kind)kind));
  }
  return TITAN_OK;
}

titan_status titan_device_check(titan_device *device) {
#define REQUIRE(object, slot)                                                                                          \
  if ((object)->slot == NULL)                                                                                          \
  return slot_missing(device, #slot)
  REQUIRE(device, name);
  REQUIRE(device, description);
  REQUIRE(device, allocate);
  REQUIRE(device, free);
  REQUIRE(device, kernel);
  REQUIRE(device, vector);
  REQUIRE(device, destroy);
  REQUIRE(device->vector, adam);
  REQUIRE(device->vector, sum_of_squares);
  REQUIRE(device->vector, convert);
  REQUIRE(device->vector, fill);
  REQUIRE(device->vector, accumulate);
  REQUIRE(device->vector, scaled_add);
  REQUIRE(device->vector, numbers);
  if (device->queues != NULL) {
    REQUIRE(device->queues, mark);
    REQUIRE(device->queues, after);
    REQUIRE(device->queues, wait);
    REQUIRE(device->queues, reached);
    REQUIRE(device->queues, copy);
    REQUIRE(device->queues, copy_rows);
    if (device->queues->record != NULL) {
      REQUIRE(device->queues, record_end);
      REQUIRE(device->queues, replay);
      REQUIRE(device->queues, forget);
    }
    REQUIRE(device, host);
    REQUIRE(device, group); // host groups cannot reach its memory
  }
#undef REQUIRE
  return check_kernels(device);
}

void titan_device_destroy(titan_device **device) {
  if (*device != NULL)
    (*device)->destroy(*device);
  *device = NULL;
}

// Whether the device has a group of its own for these ranks.
static bool has_group(const titan_device *device, const titan_comm *host) {
  return device->group != NULL && titan_comm_size(host) > 1;
}

titan_status titan_device_group_create(titan_device *device, titan_comm *host, titan_queue queue, int works,
                                       titan_comm **out) {
  *out = host;
  if (!has_group(device, host))
    return TITAN_OK;
  TITAN_TRY(device->group(device, host, queue, out));
  return titan_comm_reserve(*out, (titan_comm_reservation){.works = works, .buffers = works});
}

void titan_device_group_destroy(titan_comm *host, titan_comm **group) {
  if (*group != host)
    titan_comm_destroy(group);
  *group = NULL;
}

size_t titan_device_group_bytes(const titan_device *device, const titan_comm *host, titan_queue queue, int works) {
  if (!has_group(device, host))
    return 0;
  return device->group_bytes != NULL ? device->group_bytes(device, host, queue, works)
                                     : titan_comm_over_bytes(host, works);
}
