// SPDX-License-Identifier: Apache-2.0
// What the emulated machine has: driver, GPUs, their properties.
#include "emulated.h"
#include "runtime.h"

#include <cstdio>
#include <cstring>

namespace {

int present; // the GPU of this process

// Properties and attributes are those of an H100 SXM with 80 GB (NVIDIA H100 datasheet, 2023; CUDA C++ Programming
// Guide, table of technical specifications for compute capability 9.0), but for what the tests say.
enum {
  PROCESSORS = 132,
  WARP = 32,
  L2_BYTES = 50 << 20,
  SHARED_BYTES_PER_BLOCK = 48 << 10,
  SHARED_BYTES_PER_BLOCK_AT_MOST = 227 << 10,
  SHARED_BYTES_PER_PROCESSOR = 228 << 10,
  RESERVED_SHARED_BYTES = 1 << 10,
  REGISTERS = 65536,
  THREADS_PER_BLOCK = 1024,
  THREADS_PER_PROCESSOR = 2048,
  BLOCKS_PER_PROCESSOR = 32,
};

bool has_gpu(int gpu) {
  return gpu >= 0 && gpu < titan_emulated()->gpus;
}

cudaError_t driver_error() {
  int driver = titan_emulated()->driver;
  if (driver / 1000 < CUDART_VERSION / 1000)
    return cudaErrorInsufficientDriver;
  return titan_emulated()->gpus > 0 ? cudaSuccess : cudaErrorNoDevice;
}

const struct {
  cudaError_t error;
  const char *name, *text; // as the runtime's own
} errors[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInsufficientDriver, "cudaErrorInsufficientDriver",
     "CUDA driver version is insufficient for CUDA runtime version"},
    {cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorNoKernelImageForDevice, "cudaErrorNoKernelImageForDevice",
     "no kernel image is available for execution on the device"},
    {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration", "invalid configuration argument"},
    {cudaErrorNotReady, "cudaErrorNotReady", "device not ready"},
    {cudaErrorIllegalAddress, "cudaErrorIllegalAddress", "an illegal memory access was encountered"},
    {cudaErrorIllegalState, "cudaErrorIllegalState", "the operation cannot be performed in the present state"},
    {cudaErrorStreamCaptureUnsupported, "cudaErrorStreamCaptureUnsupported",
     "operation not permitted when stream is capturing"},
    {cudaErrorStreamCaptureInvalidated, "cudaErrorStreamCaptureInvalidated",
     "operation failed due to a previous error during capture"},
    {cudaErrorStreamCaptureMerge, "cudaErrorStreamCaptureMerge",
     "operation would result in a merge of separate capture sequences"},
    {cudaErrorStreamCaptureUnmatched, "cudaErrorStreamCaptureUnmatched",
     "capture was not ended in the same stream as it began"},
    {cudaErrorStreamCaptureUnjoined, "cudaErrorStreamCaptureUnjoined", "capturing stream has unjoined work"},
    {cudaErrorStreamCaptureIsolation, "cudaErrorStreamCaptureIsolation",
     "dependency created on uncaptured work in another stream"},
    {cudaErrorCapturedEvent, "cudaErrorCapturedEvent",
     "operation not permitted on an event last recorded in a capturing stream"},
    {cudaErrorLaunchFailure, "cudaErrorLaunchFailure", "unspecified launch failure"},
};

} // namespace

extern "C" {

const char *cudaGetErrorName(cudaError_t error) {
  for (const auto &row : errors)
    if (row.error == error)
      return row.name;
  return "an error that the emulated runtime has no name for";
}

const char *cudaGetErrorString(cudaError_t error) {
  for (const auto &row : errors)
    if (row.error == error)
      return row.text;
  return "an error that the emulated runtime has no text for";
}

cudaError_t cudaDriverGetVersion(int *version) {
  *version = titan_emulated()->driver;
  return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int *count) {
  cudaError_t error = driver_error();
  *count = error == cudaSuccess ? titan_emulated()->gpus : 0;
  return titan_emulated_return(error);
}

cudaError_t cudaSetDevice(int gpu) {
  if (!has_gpu(gpu))
    return titan_emulated_return(cudaErrorInvalidDevice);
  present = gpu;
  return titan_emulated_return(cudaSuccess);
}

cudaError_t cudaGetDevice(int *gpu) {
  *gpu = present;
  return titan_emulated_return(cudaSuccess);
}

cudaError_t cudaDeviceGetPCIBusId(char *text, int size, int gpu) {
  snprintf(text, size_t(size), "EEEE:%02X:00.0", gpu + 1); // of no machine
  return titan_emulated_return(has_gpu(gpu) ? cudaSuccess : cudaErrorInvalidDevice);
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *out, int gpu) {
  if (!has_gpu(gpu))
    return titan_emulated_return(cudaErrorInvalidDevice);
  memset(out, 0, sizeof *out);
  snprintf(out->name, sizeof out->name, "emulated NVIDIA H100 80GB HBM3");
  memcpy(out->uuid.bytes, "emulated", 8);
  out->uuid.bytes[15] = char(gpu);
  out->totalGlobalMem = titan_emulated()->bytes;
  out->major = titan_emulated()->capability / 10;
  out->minor = titan_emulated()->capability % 10;
  out->pciBusID = gpu + 1;
  out->multiProcessorCount = PROCESSORS;
  out->warpSize = WARP;
  out->l2CacheSize = L2_BYTES;
  out->sharedMemPerBlock = SHARED_BYTES_PER_BLOCK;
  out->sharedMemPerBlockOptin = SHARED_BYTES_PER_BLOCK_AT_MOST;
  out->sharedMemPerMultiprocessor = SHARED_BYTES_PER_PROCESSOR;
  out->reservedSharedMemPerBlock = RESERVED_SHARED_BYTES;
  out->regsPerBlock = out->regsPerMultiprocessor = REGISTERS;
  out->maxThreadsPerBlock = THREADS_PER_BLOCK;
  out->maxThreadsPerMultiProcessor = THREADS_PER_PROCESSOR;
  out->maxBlocksPerMultiProcessor = BLOCKS_PER_PROCESSOR;
  out->maxThreadsDim[0] = out->maxThreadsDim[1] = THREADS_PER_BLOCK;
  out->maxThreadsDim[2] = 64;
  out->maxGridSize[0] = 0x7fffffff;
  out->maxGridSize[1] = out->maxGridSize[2] = 65535;
  out->memPitch = 0x7fffffff;
  out->textureAlignment = 512;
  out->unifiedAddressing = out->concurrentKernels = 1;
  out->asyncEngineCount = 3;
  return titan_emulated_return(cudaSuccess);
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes *out, const void *) {
  memset(out, 0, sizeof *out);
  out->maxThreadsPerBlock = THREADS_PER_BLOCK;
  return titan_emulated_return(titan_emulated()->no_code != 0 ? cudaErrorNoKernelImageForDevice : cudaSuccess);
}

} // extern "C"
