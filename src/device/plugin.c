// SPDX-License-Identifier: Apache-2.0
#include "device/plugin.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *titan_plugin_version(void) {
  return TITAN_PLUGIN_VERSION;
}

static const char library_name[] = "libtitan_cuda.so";
static const char *const folders[] = {"", "/../lib/titan-hpc", "/../lib64/titan-hpc"}; // from the program's

// The folder of the running program, without a slash at its end.
static void program_folder(char *folder, size_t size) {
  ssize_t length = readlink("/proc/self/exe", folder, size - 1);
  folder[length > 0 ? length : 0] = '\0';
  char *slash = strrchr(folder, '/');
  if (slash != NULL)
    *slash = '\0';
}

// What the environment names; NULL: nothing.
static const char *named_library(void) {
  const char *name = getenv("TITAN_CUDA_PLUGIN");
  return name != NULL && name[0] != '\0' ? name : NULL;
}

// The plugin's file, or where it would be: TITAN_ERROR_DEVICE.
static titan_status find_library(titan_text *path) {
  char folder[4096];
  if (named_library() != NULL)
    return titan_text_printf(path, "%s", named_library());
  program_folder(folder, sizeof folder);
  for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
    titan_text_destroy(path);
    TITAN_TRY(titan_text_printf(path, "%s%s/%s", folder, folders[i], library_name));
    if (access(path->data, F_OK) == 0)
      return TITAN_OK;
  }
  return titan_error(TITAN_ERROR_DEVICE,
                     "%s is neither in %s nor in %s/../lib/titan-hpc: this program was built or installed without CUDA "
                     "(TITAN_CUDA_PLUGIN names a file elsewhere)",
                     library_name, folder, folder);
}

// A library stays open until the program ends: devices and messages refer to it.
static titan_status open_plugin(const char *path, const titan_plugin **out) {
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == NULL)
    return titan_error(TITAN_ERROR_DEVICE, "%s cannot be opened: %s", path, dlerror());
  const titan_plugin *plugin = dlsym(library, "titan_plugin");
  if (plugin == NULL)
    return titan_error(TITAN_ERROR_DEVICE, "%s is no plugin of this program: it has no titan_plugin", path);
  if (strcmp(plugin->version, titan_plugin_version()) != 0)
    return titan_error(TITAN_ERROR_DEVICE, "%s is of version \"%s\", and this program of \"%s\": install both together",
                       path, plugin->version, titan_plugin_version());
  *out = plugin;
  return TITAN_OK;
}

titan_status titan_plugin_describe(titan_text *out) {
  const titan_plugin *plugin = NULL;
  titan_text path = {0};
  titan_status status = find_library(&path);
  if (status == TITAN_OK)
    status = open_plugin(path.data, &plugin);
  if (status != TITAN_OK)
    status = titan_text_printf(out, "none: %s", titan_error_message());
  else
    status = titan_text_printf(out, "%s%s", path.data, plugin->describe != NULL ? ": " : "");
  if (status == TITAN_OK && plugin != NULL && plugin->describe != NULL)
    status = plugin->describe(out);
  titan_text_destroy(&path);
  return status;
}

static titan_status create_from_plugin(const titan_device_request *request, titan_device **out) {
  const titan_plugin *plugin = NULL;
  titan_text path = {0};
  titan_status status = find_library(&path);
  if (status == TITAN_OK)
    status = open_plugin(path.data, &plugin);
  if (status == TITAN_OK)
    status = plugin->create(request, out);
  titan_text_destroy(&path);
  return status;
}

// The driver's control device is there on every machine with a GPU that can be used.
static bool has_gpu(void) {
  return access("/dev/nvidiactl", F_OK) == 0;
}

titan_status titan_device_create(titan_device_wish wish, const titan_device_request *request, titan_text *remark,
                                 titan_device **out) {
  *out = NULL;
  if (wish == TITAN_DEVICE_CUDA)
    return create_from_plugin(request, out);
  if (wish == TITAN_DEVICE_AUTO && (has_gpu() || named_library() != NULL)) {
    titan_status status = create_from_plugin(request, out);
    if (status != TITAN_ERROR_DEVICE)
      return status;
    TITAN_TRY(titan_text_printf(remark, "no GPU is used: %s", titan_error_message()));
  }
  return titan_device_create_cpu_of_level(request->threads, request->level, out);
}
