// SPDX-License-Identifier: Apache-2.0
// Recordings are CUDA graphs, made by stream capture. The capture begins in COMPUTE; the other queues follow it at the
// beginning, and it follows them at the end, so that all are captured and none is left over.
#include "cuda/cuda.h"
#include "cuda/nccl.h"
#include "device/queue.h"

// A mark of a recording: this bit, the recording's number, and the event's place.
static const uint64_t RECORDED = (uint64_t)1 << 63;
enum { PLACE_BITS = 32 };

struct titan_cuda_recorder {
  bool is_on;
  uint64_t number;     // of the present recording, or the last
  cudaEvent_t *events; // of its marks; used again by the next
  size_t count, created;
};

struct titan_recording {
  cudaGraphExec_t graph;
};

titan_status titan_cuda_recorder_create(titan_cuda *cuda) {
  return titan_memory_allocate_zeroed(TITAN_MEMORY_KERNEL_STATE, 1, sizeof *cuda->recorder, &cuda->recorder);
}

void titan_cuda_recorder_destroy(titan_cuda *cuda) {
  titan_cuda_recorder *r = cuda->recorder;
  if (r == NULL)
    return;
  for (size_t i = 0; i < r->created; i++)
    (void)cudaEventDestroy(r->events[i]);
  titan_memory_free(r->events);
  titan_memory_free(r);
  cuda->recorder = NULL;
  titan_cuda_nccl_replayed(NULL, (titan_mark){0});
}

bool titan_cuda_records(const titan_cuda *cuda) {
  return cuda->recorder->is_on;
}

bool titan_cuda_is_recorded(titan_mark mark) {
  return (mark.number & RECORDED) != 0;
}

// --- marks ---

static titan_status next_event(titan_cuda_recorder *r, cudaEvent_t *out) {
  if (r->count == r->created) {
    TITAN_TRY(
        titan_memory_resize(TITAN_MEMORY_KERNEL_STATE, (r->created + 1) * sizeof(cudaEvent_t), (void *)&r->events));
    TITAN_TRY(titan_cuda_check(cudaEventCreateWithFlags(&r->events[r->created], cudaEventDisableTiming),
                               "an event cannot be made"));
    r->created++;
  }
  *out = r->events[r->count];
  return TITAN_OK;
}

titan_status titan_cuda_record_mark(titan_cuda *cuda, cudaStream_t stream, titan_mark *out) {
  titan_cuda_recorder *r = cuda->recorder;
  cudaEvent_t event = NULL;
  *out = (titan_mark){0};
  TITAN_TRY(next_event(r, &event));
  TITAN_TRY(titan_cuda_check(cudaEventRecord(event, stream), "a mark cannot be recorded"));
  *out = (titan_mark){RECORDED | r->number << PLACE_BITS | r->count++};
  return TITAN_OK;
}

titan_status titan_cuda_record_after(titan_cuda *cuda, cudaStream_t stream, titan_mark mark) {
  const titan_cuda_recorder *r = cuda->recorder;
  uint64_t begin = RECORDED | r->number << PLACE_BITS;
  if (mark.number < begin) // older than the recording, which begins after it
    return TITAN_OK;
  return titan_cuda_check(cudaStreamWaitEvent(stream, r->events[mark.number - begin], 0),
                          "a queue's wait cannot be recorded");
}

// --- recordings ---

// What other threads of the process do with CUDA meanwhile is none of the capture's (cudaStreamCaptureModeThreadLocal).
titan_status titan_cuda_record(titan_device *device) {
  titan_cuda *cuda = titan_cuda_of(device);
  titan_cuda_recorder *r = cuda->recorder;
  titan_recording *none = NULL;
  if (r->is_on)
    return titan_error(TITAN_ERROR_INTERNAL, "CUDA: a recording begins in another");
  TITAN_TRY(
      titan_cuda_check(cudaStreamBeginCapture(cuda->streams[TITAN_QUEUE_COMPUTE], cudaStreamCaptureModeThreadLocal),
                       "work cannot be recorded"));
  r->is_on = true;
  r->count = 0;
  r->number++;
  titan_status status = titan_queue_fork(device, TITAN_QUEUE_COMPUTE);
  if (status != TITAN_OK)
    (void)titan_cuda_record_end(device, &none);
  return status;
}

// With the capture ended, whatever came before.
static titan_status end_capture(titan_device *device, cudaGraph_t *graph) {
  titan_cuda *cuda = titan_cuda_of(device);
  titan_status joined = titan_queue_join(device, TITAN_QUEUE_COMPUTE);
  cudaError_t error = cudaStreamEndCapture(cuda->streams[TITAN_QUEUE_COMPUTE], graph);
  cuda->recorder->is_on = false;
  (void)cudaGetLastError(); // it would come out of the next launch
  return joined != TITAN_OK ? joined : titan_cuda_check(error, "work cannot be recorded");
}

titan_status titan_cuda_record_end(titan_device *device, titan_recording **out) {
  cudaGraph_t graph = NULL;
  titan_recording *recording = NULL;
  *out = NULL;
  titan_status status = end_capture(device, &graph);
  if (status == TITAN_OK)
    status = titan_memory_allocate_zeroed(TITAN_MEMORY_KERNEL_STATE, 1, sizeof *recording, &recording);
  if (status == TITAN_OK)
    status = titan_cuda_check(cudaGraphInstantiate(&recording->graph, graph, 0), "a recording cannot be made");
  if (graph != NULL)
    (void)cudaGraphDestroy(graph);
  if (status == TITAN_OK)
    *out = recording;
  else
    titan_memory_free(recording);
  return status;
}

titan_status titan_cuda_replay(titan_device *device, titan_recording *recording) {
  titan_mark end;
  TITAN_TRY(titan_queue_join(device, TITAN_QUEUE_COMPUTE));
  TITAN_TRY(titan_cuda_check(cudaGraphLaunch(recording->graph, titan_cuda_stream(device)),
                             "recorded work cannot be started"));
  TITAN_TRY(titan_queue_fork(device, TITAN_QUEUE_COMPUTE));
  TITAN_TRY(titan_queue_mark(device, TITAN_QUEUE_COMPUTE, &end));
  titan_cuda_nccl_replayed(device, end);
  return TITAN_OK;
}

void titan_cuda_forget(titan_device *device, titan_recording *recording) {
  if (recording == NULL)
    return;
  (void)titan_device_drain(device); // what failed, a wait has told
  (void)cudaGraphExecDestroy(recording->graph);
  titan_memory_free(recording);
}
