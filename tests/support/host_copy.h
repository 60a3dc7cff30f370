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

#ifdef TITAN_TEST_APART
#include "apart.h"
#endif
#ifdef TITAN_TEST_EMULATED
#include "comm/comm.h"
#include "cuda/cuda.h"
#endif
#ifdef TITAN_TEST_PLUGIN
#include "device/plugin.h"
#endif
#if defined TITAN_TEST_APART || defined TITAN_TEST_EMULATED || defined TITAN_TEST_PLUGIN
#include "staged.h"
#endif

#include <string.h>

static inline bool test_device_is(const char *name) {
  const char *wish = getenv("TITAN_TEST_DEVICE");
  return wish != NULL && strcmp(wish, name) == 0;
}

#ifdef TITAN_TEST_EMULATED
// Where TITAN_TEST_TRANSPORT is nccl, groups go over it (a stand-in).
static inline titan_status test_emulated_create(const titan_device_request *request, titan_device **out) {
  const char *transport = getenv("TITAN_TEST_TRANSPORT");
  titan_comm *world = NULL;
  TITAN_TRY(titan_cuda_create(request, out));
  if (transport == NULL || strcmp(transport, "nccl") != 0)
    return TITAN_OK;
  titan_status status = titan_comm_create_mpi(MPI_COMM_WORLD, "world", &world);
  if (status == TITAN_OK)
    status = (*out)->connect(*out, world, TITAN_TRANSPORT_NCCL);
  titan_comm_destroy(&world);
  if (status != TITAN_OK)
    titan_device_destroy(out);
  return status;
}
#endif

#ifdef TITAN_TEST_PLUGIN
static inline titan_status test_plugin_create(int threads, titan_device **out) {
  titan_device_request request = {.threads = threads, .node_size = 1, .deterministic = true};
  titan_text remark = {0};
  TITAN_TRY(titan_cpu_isa_choose(&request.level));
  titan_status status = titan_device_create(TITAN_DEVICE_CUDA, &request, &remark, out);
  titan_text_destroy(&remark);
  return status;
}
#endif

// A device as TITAN_TEST_DEVICE says: the CPU's, "apart", or "emulated" (the CUDA device with an emulated GPU), in
// programs that are built for it; in those that are built for plugins, the plugin's.
static inline titan_status test_device_create(int threads, titan_device **out) {
#ifdef TITAN_TEST_PLUGIN
  return test_plugin_create(threads, out);
#endif
#ifdef TITAN_TEST_EMULATED
  titan_device_request request = {.threads = threads, .node_size = 1};
  TITAN_TRY(titan_cpu_isa_choose(&request.level));
  if (test_device_is("emulated"))
    return test_emulated_create(&request, out);
#endif
  TITAN_TRY(titan_device_create_cpu(threads, out));
#ifdef TITAN_TEST_APART
  if (test_device_is("apart"))
    return titan_apart_create(*out, titan_apart_seed(), out);
#endif
  return TITAN_OK;
}

// The same for tests that read and write operands of kernels themselves.
static inline titan_status test_kernel_device_create(int threads, titan_device **out) {
  TITAN_TRY(test_device_create(threads, out));
#if defined TITAN_TEST_APART || defined TITAN_TEST_EMULATED || defined TITAN_TEST_PLUGIN
  if ((*out)->queues != NULL)
    return titan_staged_create(*out, out);
#endif
  return TITAN_OK;
}

#endif
