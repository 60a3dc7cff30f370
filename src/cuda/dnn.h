// SPDX-License-Identifier: Apache-2.0
// cuDNN, opened when it is there, so that the program runs without it: attention then has kernels of its own.
#ifndef TITAN_CUDA_DNN_H
#define TITAN_CUDA_DNN_H

#include "cuda/cuda.h"

// The oldest version that serves: 9.8. It has descriptions of devices that are not there, which the tests' plans need,
// and sets the sums of attention's gradient to zero itself (since 9.6).
enum { TITAN_DNN_OLDEST = 90800, TITAN_DNN_REASON_BYTES = 256 };

typedef struct titan_dnn_request {
  const char *library;    // a file, or a name that the loader looks for; NULL: "libcudnn.so.9"
  const char *properties; // JSON of a GPU that is not there, for plans alone; NULL: the current GPU
  cudaStream_t stream;    // that work is put into
} titan_dnn_request;

// *out is NULL where there is no cuDNN that serves: `reason` then says why, with what was found. TITAN_ERROR_MEMORY
// alone is a failure. Not collective.
titan_status titan_dnn_create(const titan_dnn_request *request, titan_cuda_dnn **out,
                              char reason[TITAN_DNN_REASON_BYTES]);
// NULL is fine; the handle becomes NULL.
void titan_dnn_destroy(titan_cuda_dnn **dnn);

// The version of the library that titan_dnn_create would open, also where there is no GPU; 0: there is none.
int titan_dnn_library_version(void);
// 91900: 9.19.0.
int titan_dnn_version(const titan_cuda_dnn *dnn);

#endif
