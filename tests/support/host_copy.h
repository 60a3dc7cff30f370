// SPDX-License-Identifier: Apache-2.0
// Device memory as a test looks at it: the memory itself on the CPU, a copy on a device with queues.
#ifndef TITAN_TESTS_DEVICES_HOST_COPY_H
#define TITAN_TESTS_DEVICES_HOST_COPY_H

#include "device/queue.h"

#include <stdlib.h>

// A copy holds until as many others have been asked for.
enum { HOST_COPIES = 64 };

static inline void host_copies_keep(void *copy) {
  static void *copies[HOST_COPIES];
  static int next;
  for (int i = 0; copy == NULL && i < HOST_COPIES; i++) {
    free(copies[i]);
    copies[i] = NULL;
  }
  if (copy == NULL)
    return;
  free(copies[next]);
  copies[next] = copy;
  next = (next + 1) % HOST_COPIES;
}

// NULL where the device fails.
static inline const void *host_copy(titan_device *device, const void *memory, size_t bytes) {
  if (device->queues == NULL || memory == NULL)
    return memory;
  void *copy = malloc(bytes + 1);
  host_copies_keep(copy);
  if (copy == NULL || titan_queue_copy(device, TITAN_QUEUE_COMPUTE, copy, memory, bytes) != TITAN_OK ||
      titan_device_drain(device) != TITAN_OK)
    return NULL;
  return copy;
}

static inline const float *host_floats(titan_device *device, const float *memory, int64_t count) {
  return host_copy(device, memory, (size_t)count * sizeof *memory);
}

// A device as TITAN_TEST_DEVICE says: the CPU's, or "apart" in programs that are built for it.
#ifdef TITAN_TEST_APART
#include "apart.h"

#include <string.h>

static inline titan_status test_device_create(int threads, titan_device **out) {
  const char *wish = getenv("TITAN_TEST_DEVICE");
  titan_device *cpu;
  TITAN_TRY(titan_device_create_cpu(threads, &cpu));
  *out = cpu;
  return wish != NULL && strcmp(wish, "apart") == 0 ? titan_apart_create(cpu, titan_apart_seed(), out) : TITAN_OK;
}

// The same for tests that read and write operands of kernels themselves.
#include "staged.h"
static inline titan_status test_kernel_device_create(int threads, titan_device **out) {
  TITAN_TRY(test_device_create(threads, out));
  return (*out)->queues != NULL ? titan_staged_create(*out, out) : TITAN_OK;
}
#else
static inline titan_status test_device_create(int threads, titan_device **out) {
  return titan_device_create_cpu(threads, out);
}
#endif

#endif
