// SPDX-License-Identifier: Apache-2.0
// What the files of the CPU device share.
#ifndef TITAN_DEVICE_CPU_CPU_H
#define TITAN_DEVICE_CPU_CPU_H

#include "base/cpu_isa.h"
#include "device/device.h"

#include "device/cpu/onednn.h"

// titan_device.implementation of the CPU device.
typedef struct titan_cpu {
  titan_cpu_isa isa;
  dnnl_engine_t engine;
  dnnl_stream_t stream;
  const titan_kernel *const *kernels; // by titan_op_kind; NULL for views
  char description[128];
} titan_cpu;

static inline titan_cpu *titan_cpu_of(const titan_device *device) {
  return device->implementation;
}

#endif
