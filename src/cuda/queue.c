// SPDX-License-Identifier: Apache-2.0
// Queues are streams, and marks are events in a ring: mark n is in slot n % RING. A slot is used again when its mark
// has been reached, so that a mark which is older than the ring is known to be the past.
#include "base/clock.h"
#include "cuda/cuda.h"
#include "cuda/nccl.h"

#include <sched.h>
#include <time.h>

enum { RING = 4096 };

struct titan_cuda_marks {
  cudaEvent_t events[RING];
  uint64_t last;                        // number of the last mark
  cudaEvent_t instants[TITAN_INSTANTS]; // with times; made when they are first used
};

titan_status titan_cuda_stream_create(bool exchanges, cudaStream_t *out) {
  int low = 0, high = 0; // a smaller number is a higher priority
  TITAN_TRY(titan_cuda_check(cudaDeviceGetStreamPriorityRange(&low, &high), "priorities of streams cannot be read"));
  return titan_cuda_check(cudaStreamCreateWithPriority(out, cudaStreamNonBlocking, exchanges ? high : low),
                          "a stream cannot be made");
}

titan_status titan_cuda_queues_create(titan_cuda *cuda) {
  for (int queue = 0; queue < TITAN_QUEUES; queue++)
    TITAN_TRY(titan_cuda_stream_create(queue != TITAN_QUEUE_COMPUTE, &cuda->streams[queue]));
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_KERNEL_STATE, 1, sizeof *cuda->marks, &cuda->marks));
  for (int i = 0; i < RING; i++)
    TITAN_TRY(titan_cuda_check(cudaEventCreateWithFlags(&cuda->marks->events[i], cudaEventDisableTiming),
                               "an event cannot be made"));
  return TITAN_OK;
}

void titan_cuda_queues_destroy(titan_cuda *cuda) {
  for (int i = 0; cuda->marks != NULL && i < RING; i++)
    if (cuda->marks->events[i] != NULL)
      (void)cudaEventDestroy(cuda->marks->events[i]);
  for (int i = 0; cuda->marks != NULL && i < TITAN_INSTANTS; i++)
    if (cuda->marks->instants[i] != NULL)
      (void)cudaEventDestroy(cuda->marks->instants[i]);
  titan_memory_free(cuda->marks);
  cuda->marks = NULL;
  for (int queue = 0; queue < TITAN_QUEUES; queue++)
    if (cuda->streams[queue] != NULL)
      (void)cudaStreamDestroy(cuda->streams[queue]);
}

// What was recorded is done when the recording is replayed, which all queues wait for.
static bool is_past(const titan_cuda_marks *marks, titan_mark mark) {
  return mark.number == 0 || titan_cuda_is_recorded(mark) || mark.number + RING <= marks->last;
}

titan_status titan_cuda_mark(titan_device *device, cudaStream_t stream, titan_mark *out) {
  titan_cuda *cuda = titan_cuda_of(device);
  titan_cuda_marks *marks = cuda->marks;
  if (titan_cuda_records(cuda))
    return titan_cuda_record_mark(cuda, stream, out);
  uint64_t number = marks->last + 1;
  cudaEvent_t event = marks->events[number % RING];
  *out = (titan_mark){0};
  if (number > RING) // the mark that had the slot
    TITAN_TRY(titan_cuda_check(cudaEventSynchronize(event), "work of the GPU failed"));
  TITAN_TRY(titan_cuda_check(cudaEventRecord(event, stream), "a mark cannot be made"));
  marks->last = number;
  *out = (titan_mark){number};
  return TITAN_OK;
}

titan_status titan_cuda_after(titan_device *device, cudaStream_t stream, titan_mark mark) {
  titan_cuda *cuda = titan_cuda_of(device);
  const titan_cuda_marks *marks = cuda->marks;
  if (titan_cuda_records(cuda))
    return titan_cuda_record_after(cuda, stream, mark);
  if (is_past(marks, mark))
    return TITAN_OK;
  return titan_cuda_check(cudaStreamWaitEvent(stream, marks->events[mark.number % RING], 0),
                          "a queue cannot wait for a mark");
}

static titan_status cuda_mark(titan_device *device, titan_queue queue, titan_mark *out) {
  return titan_cuda_mark(device, titan_cuda_of(device)->streams[queue], out);
}

static titan_status cuda_after(titan_device *device, titan_queue queue, titan_mark mark) {
  return titan_cuda_after(device, titan_cuda_of(device)->streams[queue], mark);
}

// The host sleeps between two looks once it has waited for longer than a kernel takes, and tells the flight recorder
// each second what it waits for.
static const double SLEEPS_AFTER = 0.001, TELLS_EACH = 1;

static void pause_host(double waited) {
  static const struct timespec nap = {.tv_nsec = 50000};
  if (waited < SLEEPS_AFTER)
    sched_yield();
  else
    nanosleep(&nap, NULL);
}

// Where an operation of NCCL may have failed, or may wait for a rank that never comes.
static titan_status wait_and_look(cudaEvent_t event) {
  double begun = titan_clock_seconds(), waited = 0, tells_at = TELLS_EACH;
  titan_status status = TITAN_OK;
  cudaError_t error;
  while ((error = cudaEventQuery(event)) == cudaErrorNotReady && status == TITAN_OK) {
    (void)cudaGetLastError();
    status = titan_cuda_nccl_check();
    waited = titan_clock_seconds() - begun;
    if (waited > tells_at) {
      tells_at = waited + TELLS_EACH;
      titan_cuda_nccl_waits();
    }
    pause_host(waited);
  }
  titan_cuda_nccl_waited();
  return status != TITAN_OK ? status : titan_cuda_check(error, "work of the GPU failed");
}

static titan_status cuda_wait(titan_device *device, titan_mark mark) {
  const titan_cuda_marks *marks = titan_cuda_of(device)->marks;
  if (titan_cuda_records(titan_cuda_of(device)))
    return titan_error(TITAN_ERROR_INTERNAL, "CUDA: the host waits for work that is being recorded");
  if (is_past(marks, mark))
    return TITAN_OK;
  cudaEvent_t event = marks->events[mark.number % RING];
  if (titan_cuda_nccl_is_used())
    return wait_and_look(event);
  return titan_cuda_check(cudaEventSynchronize(event), "work of the GPU failed");
}

static bool cuda_reached(titan_device *device, titan_mark mark) {
  const titan_cuda_marks *marks = titan_cuda_of(device)->marks;
  if (titan_cuda_records(titan_cuda_of(device)))
    return mark.number == 0; // CUDA may not be asked
  if (is_past(marks, mark))
    return true;
  cudaError_t error = cudaEventQuery(marks->events[mark.number % RING]);
  (void)cudaGetLastError(); // "not ready" is no error of the next launch
  return error != cudaErrorNotReady;
}

static titan_status cuda_copy(titan_device *device, titan_queue queue, void *to, const void *from, size_t bytes) {
  if (bytes == 0 || to == from)
    return TITAN_OK;
  return titan_cuda_check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, titan_cuda_of(device)->streams[queue]),
                          "a copy cannot be made");
}

static titan_status cuda_copy_rows(titan_device *device, titan_queue queue, void *to, size_t to_pitch, const void *from,
                                   size_t from_pitch, size_t row_bytes, size_t rows) {
  if (row_bytes == 0 || rows == 0)
    return TITAN_OK;
  if (rows == 1 || (to_pitch == row_bytes && from_pitch == row_bytes))
    return cuda_copy(device, queue, to, from, row_bytes * rows);
  return titan_cuda_check(cudaMemcpy2DAsync(to, to_pitch, from, from_pitch, row_bytes, rows, cudaMemcpyDefault,
                                            titan_cuda_of(device)->streams[queue]),
                          "rows cannot be copied");
}

static titan_status cuda_instant(titan_device *device, int slot) {
  titan_cuda *cuda = titan_cuda_of(device);
  cudaEvent_t *event = &cuda->marks->instants[slot];
  if (*event == NULL)
    TITAN_TRY(titan_cuda_check(cudaEventCreate(event), "an event cannot be made"));
  return titan_cuda_check(cudaEventRecord(*event, cuda->streams[TITAN_QUEUE_COMPUTE]), "a time cannot be taken");
}

static titan_status cuda_seconds(titan_device *device, int from, int to, double *out) {
  const titan_cuda_marks *marks = titan_cuda_of(device)->marks;
  float milliseconds = 0;
  TITAN_TRY(titan_cuda_check(cudaEventSynchronize(marks->instants[from]), "work of the GPU failed"));
  TITAN_TRY(titan_cuda_check(cudaEventSynchronize(marks->instants[to]), "work of the GPU failed"));
  TITAN_TRY(titan_cuda_check(cudaEventElapsedTime(&milliseconds, marks->instants[from], marks->instants[to]),
                             "times cannot be compared"));
  *out = (double)milliseconds / 1e3;
  return TITAN_OK;
}

const titan_queue_functions titan_cuda_queue_functions = {.mark = cuda_mark,
                                                          .after = cuda_after,
                                                          .wait = cuda_wait,
                                                          .reached = cuda_reached,
                                                          .copy = cuda_copy,
                                                          .copy_rows = cuda_copy_rows,
                                                          .instant = cuda_instant,
                                                          .seconds = cuda_seconds,
                                                          .record = titan_cuda_record,
                                                          .record_end = titan_cuda_record_end,
                                                          .replay = titan_cuda_replay,
                                                          .forget = titan_cuda_forget};
