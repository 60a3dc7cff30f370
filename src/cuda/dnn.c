// SPDX-License-Identifier: Apache-2.0
#if __has_include(<cudnn.h>)
#include "cuda/dnn_library.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static const char default_library[] = "libcudnn.so.9";

int titan_dnn_version(const titan_cuda_dnn *dnn) {
  return dnn->version;
}

// Whether all functions are there; else the reason names the first that is not.
static bool find_functions(titan_cuda_dnn *dnn, char *reason) {
  void *found;
#define TITAN_DNN_FUNCTION(name)                                                                                       \
  found = dlsym(dnn->library, #name);                                                                                  \
  if (found == NULL) {                                                                                                 \
    snprintf(reason, TITAN_DNN_REASON_BYTES, "cuDNN has no function " #name);                                          \
    return false;                                                                                                      \
  }                                                                                                                    \
  memcpy(&dnn->name, &found, sizeof found);
  TITAN_DNN_FUNCTIONS(TITAN_DNN_FUNCTION)
#undef TITAN_DNN_FUNCTION
  return true;
}

static bool version_serves(titan_cuda_dnn *dnn, char *reason) {
  dnn->version = (int)dnn->cudnnGetVersion();
  if (dnn->version >= TITAN_DNN_OLDEST)
    return true;
  snprintf(reason, TITAN_DNN_REASON_BYTES, "cuDNN is version %d.%d.%d, older than %d.%d", dnn->version / 10000,
           dnn->version / 100 % 100, dnn->version % 100, TITAN_DNN_OLDEST / 10000, TITAN_DNN_OLDEST / 100 % 100);
  return false;
}

static bool succeeded(titan_cuda_dnn *dnn, cudnnStatus_t status, const char *what, char *reason) {
  if (status == CUDNN_STATUS_SUCCESS)
    return true;
  snprintf(reason, TITAN_DNN_REASON_BYTES, "cuDNN: %s: %s", what, dnn->cudnnGetErrorString(status));
  return false;
}

static bool find_device(titan_cuda_dnn *dnn, const titan_dnn_request *request, char *reason) {
  const char *json = request->properties;
  if (json == NULL)
    return succeeded(dnn, dnn->cudnnCreate(&dnn->handle), "cudnnCreate", reason) &&
           succeeded(dnn, dnn->cudnnSetStream(dnn->handle, request->stream), "cudnnSetStream", reason);
  const cudnnBackendAttributeName_t attribute = CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION;
  cudnnStatus_t status = dnn->cudnnBackendCreateDescriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &dnn->properties);
  if (status == CUDNN_STATUS_SUCCESS)
    status = dnn->cudnnBackendSetAttribute(dnn->properties, attribute, CUDNN_TYPE_CHAR, (int64_t)strlen(json), json);
  if (status == CUDNN_STATUS_SUCCESS)
    status = dnn->cudnnBackendFinalize(dnn->properties);
  return succeeded(dnn, status, "description of a device", reason);
}

int titan_dnn_library_version(void) {
  char reason[TITAN_DNN_REASON_BYTES];
  titan_cuda_dnn dnn = {.library = dlopen(default_library, RTLD_NOW | RTLD_LOCAL)};
  return dnn.library != NULL && find_functions(&dnn, reason) ? (int)dnn.cudnnGetVersion() : 0;
}

titan_status titan_dnn_create(const titan_dnn_request *request, titan_cuda_dnn **out,
                              char reason[TITAN_DNN_REASON_BYTES]) {
  titan_cuda_dnn *dnn;
  *out = NULL;
  reason[0] = 0;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, 1, sizeof *dnn, &dnn));
  dnn->library = dlopen(request->library != NULL ? request->library : default_library, RTLD_NOW | RTLD_LOCAL);
  if (dnn->library == NULL)
    snprintf(reason, TITAN_DNN_REASON_BYTES, "there is no cuDNN: %s", dlerror());
  if (dnn->library != NULL && find_functions(dnn, reason) && version_serves(dnn, reason) &&
      find_device(dnn, request, reason))
    *out = dnn;
  else
    titan_dnn_destroy(&dnn);
  return TITAN_OK;
}

// The library stays open: it has threads and tables of its own, which an unload may leave behind.
void titan_dnn_destroy(titan_cuda_dnn **dnn) {
  if (*dnn == NULL)
    return;
  if ((*dnn)->properties != NULL)
    (*dnn)->cudnnBackendDestroyDescriptor((*dnn)->properties);
  if ((*dnn)->handle != NULL)
    (*dnn)->cudnnDestroy((*dnn)->handle);
  titan_memory_free(*dnn);
  *dnn = NULL;
}

#endif
