// SPDX-License-Identifier: Apache-2.0
// The apart device as a plugin. Where the environment has TITAN_APART_REFUSES, it has a reason to refuse.
#include "apart.h"

#include "device/plugin.h"

#include <stdlib.h>

static titan_status create(const titan_device_request *request, titan_device **out) {
  titan_device *cpu;
  *out = NULL;
  if (getenv("TITAN_APART_REFUSES") != NULL)
    return titan_error(TITAN_ERROR_DEVICE, "%s", getenv("TITAN_APART_REFUSES"));
  TITAN_TRY(titan_device_create_cpu_of_level(request->threads, request->level, &cpu));
  return titan_apart_create(cpu, titan_apart_seed(), out);
}

#ifndef APART_VERSION
#define APART_VERSION TITAN_PLUGIN_VERSION
#endif

extern const titan_plugin exported __asm__("titan_plugin");
const titan_plugin exported = {.version = APART_VERSION, .create = create};
