// SPDX-License-Identifier: Apache-2.0
// What the files of the CUDA device share. The device is the library libtitan_cuda.so, which the program opens
// (device/plugin.h). Tests build the same files with an emulator of CUDA (tests/cuda_emulator).
#ifndef TITAN_CUDA_CUDA_H
#define TITAN_CUDA_CUDA_H

#include "device/plugin.h"

#include <cublasLt.h>
#include <cuda_runtime_api.h>

typedef struct titan_cuda_blocks titan_cuda_blocks;     // cuda/memory.c
typedef struct titan_cuda_dnn titan_cuda_dnn;           // cuda/dnn.h
typedef struct titan_cuda_marks titan_cuda_marks;       // cuda/queue.c
typedef struct titan_cuda_recorder titan_cuda_recorder; // cuda/record.c
typedef struct titan_nccl_world titan_nccl_world;       // cuda/nccl_private.h

// titan_device.implementation of the CUDA device.
typedef struct titan_cuda {
  int index; // of the GPU among those that this process sees
  struct cudaDeviceProp properties;
  cudaStream_t streams[TITAN_QUEUES];
  titan_cuda_marks *marks;
  titan_cuda_recorder *recorder;
  titan_cuda_blocks *blocks;
  cublasLtHandle_t blas;
  titan_cuda_dnn *dnn;    // NULL: no cuDNN was found
  bool deterministic;     // training.deterministic
  titan_nccl_world *nccl; // groups go over NCCL; NULL: they do not
  int rank, size;         // of this process in the world, once the device is connected
  char description[512], identity[40];
} titan_cuda;

static inline titan_cuda *titan_cuda_of(const titan_device *device) {
  return (titan_cuda *)device->implementation;
}

// The stream of COMPUTE, where kernels and vector functions go.
static inline cudaStream_t titan_cuda_stream(const titan_device *device) {
  return titan_cuda_of(device)->streams[TITAN_QUEUE_COMPUTE];
}

// TITAN_ERROR_DEVICE, "CUDA: WHAT: the text of CUDA's error", unless `error` is success.
titan_status titan_cuda_check(cudaError_t error, const char *what);
// The same for the launch of a kernel that was just made.
titan_status titan_cuda_launched(const char *what);

// TITAN_ERROR_DEVICE with the reason where there is no driver, no GPU, or none that serves.
titan_status titan_cuda_create(const titan_device_request *request, titan_device **out);
// Appends "CUDA 13.0 (...), cuBLASLt ..., cuDNN ...": the versions of the libraries, also where there is no GPU.
titan_status titan_cuda_describe(titan_text *out);

// --- memory: cuda/memory.c ---

// DEVICE and EXCHANGE: of the GPU, aligned to 256 bytes. HOST: pinned, aligned to a page. All is counted under the tag.
// TITAN_ERROR_MEMORY with the bytes that are free.
titan_status titan_cuda_allocate(titan_device *device, titan_space space, titan_memory_tag tag, size_t bytes,
                                 void *out);
// Waits for what the device has been asked for.
void titan_cuda_free(titan_device *device, titan_space space, void *pointer);
// Of a GPU that several ranks share, this rank's part of what is free.
titan_status titan_cuda_memory(titan_device *device, size_t *available, size_t *total);
void titan_cuda_blocks_destroy(titan_cuda *cuda);

// --- queues: cuda/queue.c ---

// The streams and the ring of events.
titan_status titan_cuda_queues_create(titan_cuda *cuda);
void titan_cuda_queues_destroy(titan_cuda *cuda);
// A stream beside those of the queues; `exchanges`: of high priority. To be destroyed by cudaStreamDestroy.
titan_status titan_cuda_stream_create(bool exchanges, cudaStream_t *out);
// titan_queue_functions.mark and .after for any stream.
titan_status titan_cuda_mark(titan_device *device, cudaStream_t stream, titan_mark *out);
titan_status titan_cuda_after(titan_device *device, cudaStream_t stream, titan_mark mark);

// --- recorded work: cuda/record.c ---

titan_status titan_cuda_recorder_create(titan_cuda *cuda);
void titan_cuda_recorder_destroy(titan_cuda *cuda);
// Whether the queues record; whether the mark was made while they did.
bool titan_cuda_records(const titan_cuda *cuda);
bool titan_cuda_is_recorded(titan_mark mark);
// titan_cuda_mark and titan_cuda_after while the queues record.
titan_status titan_cuda_record_mark(titan_cuda *cuda, cudaStream_t stream, titan_mark *out);
titan_status titan_cuda_record_after(titan_cuda *cuda, cudaStream_t stream, titan_mark mark);
titan_status titan_cuda_record(titan_device *device);
titan_status titan_cuda_record_end(titan_device *device, titan_recording **out);
titan_status titan_cuda_replay(titan_device *device, titan_recording *recording);
void titan_cuda_forget(titan_device *device, titan_recording *recording);

// The kernels, one constant for each operation that is no view: titan_cuda_rms_norm and so on, in cuda/ops.
#define TITAN_CUDA_KERNEL(operation) titan_cuda_##operation
#define ENTRY_0(name) extern const titan_kernel TITAN_CUDA_KERNEL(name);
#define ENTRY_1(name)
#define TITAN_OP(name, inputs_min, inputs_max, outputs_min, outputs_max, view, differentiable) ENTRY_##view(name)
#include "graph/ops.def"
#undef TITAN_OP
#undef ENTRY_0
#undef ENTRY_1

const titan_kernel *titan_cuda_kernel(titan_device *device, titan_op_kind kind);
extern const titan_vector_functions titan_cuda_vector_functions;
extern const titan_queue_functions titan_cuda_queue_functions;

#endif
