// SPDX-License-Identifier: Apache-2.0
// What the files that call cuDNN know of it. Its header is needed to build them; without it the device is built without
// cuDNN (dnn_absent.c).
#ifndef TITAN_CUDA_DNN_LIBRARY_H
#define TITAN_CUDA_DNN_LIBRARY_H

#include "cuda/dnn.h"

#include <cudnn.h>

// cuDNN's functions that the device calls.
#define TITAN_DNN_FUNCTIONS(X)                                                                                         \
  X(cudnnGetVersion)                                                                                                   \
  X(cudnnGetErrorString)                                                                                               \
  X(cudnnGetLastErrorString)                                                                                           \
  X(cudnnCreate)                                                                                                       \
  X(cudnnDestroy)                                                                                                      \
  X(cudnnSetStream)                                                                                                    \
  X(cudnnBackendCreateDescriptor)                                                                                      \
  X(cudnnBackendDestroyDescriptor)                                                                                     \
  X(cudnnBackendSetAttribute)                                                                                          \
  X(cudnnBackendGetAttribute)                                                                                          \
  X(cudnnBackendFinalize)                                                                                              \
  X(cudnnBackendExecute)

struct titan_cuda_dnn {
  struct titan_dnn_attention *attentions; // that are in use, a list
  void *library;
  int version;                         // 91900: 9.19.0
  cudnnHandle_t handle;                // of the GPU; NULL: `properties` describe one that is not there
  cudnnBackendDescriptor_t properties; // NULL where handle is not
#define TITAN_DNN_FUNCTION(name) __typeof__(name) *name;
  TITAN_DNN_FUNCTIONS(TITAN_DNN_FUNCTION)
#undef TITAN_DNN_FUNCTION
};

#endif
