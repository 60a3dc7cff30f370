// SPDX-License-Identifier: Apache-2.0
// The apart device as a plugin, of another version where TITAN_APART_VERSION says so.
#include "apart.h"

#include "device/plugin.h"

static titan_status create(const titan_device_request *request, titan_device **out) {
  titan_device *cpu;
  *out = NULL;
  TITAN_TRY(titan_device_create_cpu_of_level(request->threads, request->level, &cpu));
  return titan_apart_create(cpu, titan_apart_seed(), out);
}

#ifndef APART_VERSION
#define APART_VERSION TITAN_VERSION " interface 1"
#endif

extern const titan_plugin titan_plugin_exported __asm__("titan_plugin");
const titan_plugin titan_plugin_exported = {.version = APART_VERSION, .create = create};
