// SPDX-License-Identifier: Apache-2.0
// Devices that come as a library of their own, so that one program serves machines with and without them: the library
// is looked for when it is asked for, and resolves the program's own functions (device interface, communicators,
// memory, messages) when it is opened.
#ifndef TITAN_DEVICE_PLUGIN_H
#define TITAN_DEVICE_PLUGIN_H

#include "base/text.h"
#include "device/device.h"

// What a device is made from.
typedef struct titan_device_request {
  int threads;              // of this rank
  titan_cpu_isa level;      // that all ranks have
  int node_rank, node_size; // of this rank among those of its node
  const int *numa_of_ranks; // [node_size] the NUMA domain (the system's number) that each is bound to, -1: several, or
                            // not known; NULL: none is known
  bool deterministic;       // training.deterministic: kernels repeat bit by bit, where that costs time or memory too
} titan_device_request;

// Changes with the device interface. TITAN_VERSION is the build's.
#define TITAN_PLUGIN_VERSION TITAN_VERSION " interface 4"

// What a plugin exports under the name titan_plugin.
typedef struct titan_plugin {
  const char *version; // TITAN_PLUGIN_VERSION, as of the program that it was built with
  // The device; TITAN_ERROR_DEVICE with the reason where there is none.
  titan_status (*create)(const titan_device_request *request, titan_device **out);
  // Optional. Appends the versions of its libraries, also on a machine without such a device.
  titan_status (*describe)(titan_text *out);
} titan_plugin;

// TITAN_PLUGIN_VERSION of this program: a plugin must have the same.
const char *titan_plugin_version(void);
// Appends the plugin's file and its description, or why there is none. Not collective.
titan_status titan_plugin_describe(titan_text *out);

// Which device a run wants.
typedef enum titan_device_wish {
  TITAN_DEVICE_AUTO, // a GPU where this machine has one and the plugin is there, else the CPU
  TITAN_DEVICE_CPU,
  TITAN_DEVICE_CUDA, // a GPU, or TITAN_ERROR_DEVICE with the reason
} titan_device_wish;

// The device of a rank. *remark (owned by the caller, may stay empty): why AUTO goes on with the CPU on a machine that
// has a GPU, or where a plugin is named. The plugin is libtitan_cuda.so beside the program, in ../lib/titan-hpc from
// there, or the file that the environment variable TITAN_CUDA_PLUGIN names. Not collective: the ranks compare what they
// got.
titan_status titan_device_create(titan_device_wish wish, const titan_device_request *request, titan_text *remark,
                                 titan_device **out);

#endif
