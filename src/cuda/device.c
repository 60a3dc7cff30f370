// SPDX-License-Identifier: Apache-2.0
#include "cuda/choose.h"
#include "cuda/cuda.h"
#include "cuda/dnn.h"
#include "cuda/group.h"
#include "cuda/kernels/probe.h"
#include "cuda/nccl.h"
#include "device/gpu_workspace.h"

#include <ctype.h>
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OLDEST_CAPABILITY = 80, ALIGNMENT = 256 };

#ifdef TITAN_CUDA_EMULATED
static const char dnn_library[] = "libcudnn_emulated.so"; // none: what there is would look for a driver
#else
static const char *const dnn_library = NULL;
#endif

titan_status titan_cuda_check(cudaError_t error, const char *what) {
  return error == cudaSuccess ? TITAN_OK
                              : titan_error(TITAN_ERROR_DEVICE, "CUDA: %s: %s (%s)", what, cudaGetErrorString(error),
                                            cudaGetErrorName(error));
}

titan_status titan_cuda_launched(const char *what) {
  return titan_cuda_check(cudaGetLastError(), what);
}

// --- the driver, and which GPU ---

static titan_status no_driver(void) {
  void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  const char *reason = library == NULL ? dlerror() : "libcuda.so.1 says that there is none";
  titan_status status = titan_error(TITAN_ERROR_DEVICE, "no CUDA driver: %s", reason);
  if (library != NULL)
    dlclose(library);
  return status;
}

// CUDA's numbers: 13000 is 13.0.
static titan_status old_driver(int driver) {
  int runtime = CUDART_VERSION;
  return titan_error(
      TITAN_ERROR_DEVICE,
      "the CUDA driver is too old: it is for CUDA %d.%d, and this program was built with CUDA %d.%d, which "
      "needs a driver for CUDA %d.0 or newer",
      driver / 1000, driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10, runtime / 1000);
}

static titan_status count_gpus(int *count) {
  int driver = 0;
  *count = 0;
  TITAN_TRY(titan_cuda_check(cudaDriverGetVersion(&driver), "the driver's version cannot be read"));
  if (driver == 0)
    return no_driver();
  cudaError_t error = cudaGetDeviceCount(count);
  if (error == cudaErrorInsufficientDriver || driver / 1000 < CUDART_VERSION / 1000)
    return old_driver(driver);
  const char *visible = getenv("CUDA_VISIBLE_DEVICES");
  if (error == cudaErrorNoDevice || (error == cudaSuccess && *count == 0))
    return titan_error(TITAN_ERROR_DEVICE, "the CUDA driver sees no GPU%s%s%s",
                       visible != NULL ? " (CUDA_VISIBLE_DEVICES = \"" : "", visible != NULL ? visible : "",
                       visible != NULL ? "\")" : "");
  return titan_cuda_check(error, "the GPUs cannot be counted");
}

// The NUMA domain that a GPU hangs on, by the system's number; -1: not known.
static int numa_of(int gpu) {
  char bus[32] = "", path[96];
  int numa = -1;
  if (cudaDeviceGetPCIBusId(bus, sizeof bus, gpu) != cudaSuccess) {
    (void)cudaGetLastError();
    return -1;
  }
  for (char *c = bus; *c != '\0'; c++)
    *c = (char)tolower((unsigned char)*c);
  snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/numa_node", bus);
  FILE *file = fopen(path, "r");
  if (file == NULL)
    return -1;
  if (fscanf(file, "%d", &numa) != 1)
    numa = -1;
  fclose(file);
  return numa;
}

static titan_status choose_gpu(titan_cuda *cuda, const titan_device_request *request) {
  int count, numa[TITAN_CUDA_MOST_GPUS];
  TITAN_TRY(count_gpus(&count));
  count = count < TITAN_CUDA_MOST_GPUS ? count : TITAN_CUDA_MOST_GPUS;
  for (int gpu = 0; gpu < count; gpu++)
    numa[gpu] = numa_of(gpu);
  cuda->index = titan_cuda_choose(count, numa, request->node_rank, request->node_size, request->numa_of_ranks);
  TITAN_TRY(
      titan_cuda_check(cudaGetDeviceProperties(&cuda->properties, cuda->index), "a GPU's properties cannot be read"));
  return TITAN_OK;
}

// Whether it can run what was compiled.
static titan_status check_gpu(const titan_cuda *cuda) {
  const struct cudaDeviceProp *p = &cuda->properties;
  if (10 * p->major + p->minor < OLDEST_CAPABILITY)
    return titan_error(TITAN_ERROR_DEVICE, "GPU %d (%s) has compute capability %d.%d, and %d.%d or newer is needed",
                       cuda->index, p->name, p->major, p->minor, OLDEST_CAPABILITY / 10, OLDEST_CAPABILITY % 10);
  TITAN_TRY(titan_cuda_check(cudaSetDevice(cuda->index), "a GPU cannot be used"));
  TITAN_TRY(titan_cuda_check(cudaFree(NULL), "a GPU cannot be used")); // makes the context
  cudaError_t error = (cudaError_t)titan_cuda_probe();
  if (error == cudaSuccess)
    return TITAN_OK;
  (void)cudaGetLastError();
  return titan_error(
      TITAN_ERROR_DEVICE,
      "GPU %d (%s, compute capability %d.%d): this program has code for compute capabilities (times ten) %s, "
      "and none that this GPU can run: %s",
      cuda->index, p->name, p->major, p->minor, TITAN_CUDA_CODE, cudaGetErrorString(error));
}

// --- the description ---

// The driver's own version, "580.65.06", where the system tells it.
static void driver_version(char *text, size_t size) {
  int number = 0;
  FILE *file = fopen("/sys/module/nvidia/version", "r");
  text[0] = '\0';
  if (file != NULL) {
    if (fgets(text, (int)size, file) == NULL)
      text[0] = '\0';
    fclose(file);
  }
  text[strcspn(text, "\n")] = '\0';
  if (text[0] == '\0' && cudaDriverGetVersion(&number) == cudaSuccess)
    snprintf(text, size, "for CUDA %d.%d", number / 1000, number % 1000 / 10);
}

__attribute__((format(printf, 3, 4))) static void append(char *text, size_t size, const char *format, ...) {
  size_t used = strlen(text);
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text + used, size - used, format, arguments);
  va_end(arguments);
}

static void describe_dnn(char *text, size_t size, int version, const char *otherwise) {
  if (version > 0)
    append(text, size, ", cuDNN %d.%d.%d", version / 10000, version / 100 % 100, version % 100);
  else
    append(text, size, ", no cuDNN%s", otherwise);
}

static void describe_libraries(char *text, size_t size) {
  size_t blas = cublasLtGetVersion(); // 130200 is 13.2.0
  append(text, size, "CUDA %d.%d, cuBLASLt %zu.%zu.%zu", CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10,
         blas / 10000, blas % 10000 / 100, blas % 100);
}

titan_status titan_cuda_describe(titan_text *out) {
  char text[256] = "";
  describe_libraries(text, sizeof text);
  describe_dnn(text, sizeof text, titan_dnn_library_version(), "");
  return titan_text_printf(out, "%s; code for compute capabilities (times ten) %s", text, TITAN_CUDA_CODE);
}

static void describe(titan_cuda *cuda, const char *without_dnn) {
  const struct cudaDeviceProp *p = &cuda->properties;
  char driver[64], *text = cuda->description;
  size_t size = sizeof cuda->description;
  driver_version(driver, sizeof driver);
  snprintf(text, size, "%.80s, %.1f GiB, compute capability %d.%d, driver %s, ", p->name,
           (double)p->totalGlobalMem / (double)(1 << 30), p->major, p->minor, driver);
  describe_libraries(text, size);
  describe_dnn(text, size, cuda->dnn != NULL ? titan_dnn_version(cuda->dnn) : 0, without_dnn);
}

static void identify(titan_cuda *cuda) {
  for (size_t i = 0; i < sizeof cuda->properties.uuid.bytes; i++)
    append(cuda->identity, sizeof cuda->identity, "%02x", (unsigned char)cuda->properties.uuid.bytes[i]);
}

// --- creation ---

static void destroy(titan_device *device) {
  titan_cuda *cuda = titan_cuda_of(device);
  titan_cuda_nccl_disconnect(cuda);
  titan_dnn_destroy(&cuda->dnn);
  if (cuda->blas != NULL)
    (void)cublasLtDestroy(cuda->blas);
  titan_cuda_recorder_destroy(cuda);
  titan_cuda_queues_destroy(cuda);
  titan_cuda_blocks_destroy(cuda);
  titan_device_destroy(&device->host);
  titan_memory_free(cuda);
  titan_memory_free(device);
}

// Streams that share a connection wait for each other, and there are more of them than the default of 8.
static void widen_connections(void) {
  setenv("CUDA_DEVICE_MAX_CONNECTIONS", "32", 0);
}

static titan_status open_gpu(titan_cuda *cuda, const titan_device_request *request) {
  widen_connections();
  TITAN_TRY(choose_gpu(cuda, request));
  TITAN_TRY(check_gpu(cuda));
  TITAN_TRY(titan_cuda_queues_create(cuda));
  TITAN_TRY(titan_cuda_recorder_create(cuda));
  if (cublasLtCreate(&cuda->blas) != CUBLAS_STATUS_SUCCESS)
    return titan_error(TITAN_ERROR_DEVICE, "cuBLASLt cannot be initialised on GPU %d (%s)", cuda->index,
                       cuda->properties.name);
  char reason[TITAN_DNN_REASON_BYTES], remark[TITAN_DNN_REASON_BYTES + 4] = "";
  const titan_dnn_request dnn = {.library = dnn_library, .stream = cuda->streams[TITAN_QUEUE_COMPUTE]};
  TITAN_TRY(titan_dnn_create(&dnn, &cuda->dnn, reason));
  if (cuda->dnn == NULL)
    snprintf(remark, sizeof remark, " (%s)", reason);
  describe(cuda, remark);
  identify(cuda);
  return TITAN_OK;
}

static titan_status create_empty(titan_device **out) {
  titan_cuda *cuda;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, 1, sizeof **out, out));
  titan_status status = titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, 1, sizeof *cuda, &cuda);
  if (status != TITAN_OK) {
    titan_memory_free(*out);
    return status;
  }
  **out = (titan_device){.name = "cuda",
                         .description = cuda->description,
                         .identity = cuda->identity,
                         .logits_bytes = TITAN_GPU_LOGITS_BYTES,
                         .alignment = ALIGNMENT,
                         .allocate = titan_cuda_allocate,
                         .free = titan_cuda_free,
                         .kernel = titan_cuda_kernel,
                         .vector = &titan_cuda_vector_functions,
                         .queues = &titan_cuda_queue_functions,
                         .memory = titan_cuda_memory,
                         .connect = titan_cuda_connect,
                         .group = titan_cuda_group,
                         .group_bytes = titan_cuda_group_bytes,
                         .destroy = destroy,
                         .implementation = cuda};
  return TITAN_OK;
}

titan_status titan_cuda_create(const titan_device_request *request, titan_device **out) {
  titan_device *device = NULL;
  *out = NULL;
  TITAN_TRY(create_empty(&device));
  titan_cuda_of(device)->deterministic = request->deterministic;
  device->threads = request->threads;
  titan_status status = open_gpu(titan_cuda_of(device), request);
  if (status == TITAN_OK)
    status = titan_device_create_cpu_of_level(request->threads, request->level, &device->host);
  if (status == TITAN_OK)
    status = titan_device_check(device);
  if (status != TITAN_OK)
    titan_device_destroy(&device);
  *out = device;
  return status;
}
