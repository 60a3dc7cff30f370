// SPDX-License-Identifier: Apache-2.0
// Recorded work on the emulated GPU: it is done as often as it is replayed, in the order of its marks, between what the
// queues got before and after; and CUDA's rules of stream capture, which the emulated runtime keeps, come out as
// errors.
#include "cuda/cuda.h"
#include "device/queue.h"
#include "emulated.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define TRY(call) assert_int_equal(call, TITAN_OK)

enum { COUNT = 1000, ORDERS = 50 };

typedef struct fixture {
  titan_device *device;
  int *host, *other, *there, *beside; // two of the host, two of the GPU [COUNT]
} fixture;

static void *allocate(titan_device *device, titan_space space) {
  void *memory;
  TRY(device->allocate(device, space, TITAN_MEMORY_GENERAL, COUNT * sizeof(int), &memory));
  return memory;
}

static void fill(int *to, int first) {
  for (int i = 0; i < COUNT; i++)
    to[i] = first + i;
}

static fixture open_device(void) {
  titan_device_request request = {.threads = 1, .node_size = 1};
  fixture f;
  TRY(titan_cpu_isa_choose(&request.level));
  TRY(titan_cuda_create(&request, &f.device));
  f.host = allocate(f.device, TITAN_SPACE_HOST);
  f.other = allocate(f.device, TITAN_SPACE_HOST);
  f.there = allocate(f.device, TITAN_SPACE_DEVICE);
  f.beside = allocate(f.device, TITAN_SPACE_DEVICE);
  return f;
}

static void close_device(fixture *f) {
  f->device->free(f->device, TITAN_SPACE_HOST, f->host);
  f->device->free(f->device, TITAN_SPACE_HOST, f->other);
  f->device->free(f->device, TITAN_SPACE_DEVICE, f->there);
  f->device->free(f->device, TITAN_SPACE_DEVICE, f->beside);
  titan_device_destroy(&f->device);
}

static void copy(fixture *f, titan_queue queue, void *to, const void *from) {
  TRY(titan_queue_copy(f->device, queue, to, from, COUNT * sizeof(int)));
}

static titan_recording *end(fixture *f) {
  titan_recording *recording = NULL;
  TRY(f->device->queues->record_end(f->device, &recording));
  assert_non_null(recording);
  return recording;
}

// From `there` to `beside` in one queue, and back to the host in another.
static titan_recording *record_way(fixture *f, bool marked) {
  TRY(f->device->queues->record(f->device));
  copy(f, TITAN_QUEUE_GATHER, f->beside, f->there);
  if (marked)
    TRY(titan_queue_follow(f->device, TITAN_QUEUE_COMPUTE, TITAN_QUEUE_GATHER));
  copy(f, TITAN_QUEUE_COMPUTE, f->other, f->beside);
  return end(f);
}

static void recorded_work_is_done_at_each_replay(void **state) {
  (void)state;
  fixture f = open_device();
  memset(f.other, 0, COUNT * sizeof(int));
  titan_recording *recording = record_way(&f, true);
  TRY(titan_device_drain(f.device));
  assert_int_equal(f.other[1], 0); // recording does nothing
  for (int time = 1; time <= 3; time++) {
    fill(f.host, 1000 * time);
    copy(&f, TITAN_QUEUE_COPY, f.there, f.host);
    TRY(f.device->queues->replay(f.device, recording));
    TRY(titan_queue_finish(f.device, TITAN_QUEUE_COMPUTE));
    assert_memory_equal(f.host, f.other, COUNT * sizeof(int));
  }
  f.device->queues->forget(f.device, recording);
  f.device->queues->forget(f.device, NULL);
  close_device(&f);
}

// Whether the numbers of a replay came to the host. What is copied before and after it is put into other queues.
static bool numbers_travel(fixture *f, titan_recording *recording, int first) {
  fill(f->other, -first);
  copy(f, TITAN_QUEUE_COMPUTE, f->beside, f->other);
  TRY(titan_device_drain(f->device));
  fill(f->host, first);
  copy(f, TITAN_QUEUE_COPY, f->there, f->host);
  TRY(f->device->queues->replay(f->device, recording));
  copy(f, TITAN_QUEUE_REDUCE, f->there, f->other); // after the replay, which wrote both
  copy(f, TITAN_QUEUE_REDUCE, f->host, f->there);
  TRY(titan_device_drain(f->device));
  assert_memory_equal(f->host, f->other, COUNT * sizeof(int));
  return f->other[COUNT - 1] == first + COUNT - 1;
}

static void marks_of_a_recording_order_its_queues(void **state) {
  (void)state;
  fixture f = open_device();
  titan_recording *marked = record_way(&f, true), *unmarked = record_way(&f, false);
  int without = 0;
  for (int order = 0; order < ORDERS; order++) {
    assert_true(numbers_travel(&f, marked, 10000 + order));
    without += numbers_travel(&f, unmarked, 20000 + order);
  }
  assert_in_range(without, 1, ORDERS - 1); // the emulator shows both orders
  f.device->queues->forget(f.device, marked);
  f.device->queues->forget(f.device, unmarked);
  close_device(&f);
}

static void marks_of_another_time_are_the_past(void **state) {
  (void)state;
  fixture f = open_device();
  titan_mark before, inside;
  fill(f.host, 1);
  copy(&f, TITAN_QUEUE_COPY, f.there, f.host);
  TRY(titan_queue_mark(f.device, TITAN_QUEUE_COPY, &before));
  TRY(f.device->queues->record(f.device));
  TRY(titan_queue_after(f.device, TITAN_QUEUE_COMPUTE, before));
  copy(&f, TITAN_QUEUE_COMPUTE, f.other, f.there);
  TRY(titan_queue_mark(f.device, TITAN_QUEUE_COMPUTE, &inside));
  assert_false(f.device->queues->reached(f.device, inside));
  titan_recording *recording = end(&f);
  assert_true(f.device->queues->reached(f.device, inside));
  TRY(titan_queue_after(f.device, TITAN_QUEUE_COPY, inside));
  TRY(titan_queue_wait(f.device, inside));
  TRY(f.device->queues->replay(f.device, recording));
  TRY(titan_queue_finish(f.device, TITAN_QUEUE_COMPUTE));
  assert_memory_equal(f.host, f.other, COUNT * sizeof(int));
  f.device->queues->forget(f.device, recording);
  close_device(&f);
}

static void fails_with(titan_status status, titan_status wanted, const char *text) {
  assert_int_equal(status, wanted);
  if (strstr(titan_error_message(), text) == NULL)
    fail_msg("\"%s\" is not in \"%s\"", text, titan_error_message());
}

static void what_cannot_be_recorded_is_an_error(void **state) {
  (void)state;
  fixture f = open_device();
  const titan_queue_functions *queues = f.device->queues;
  titan_recording *recording = NULL;
  titan_mark before;
  void *memory = NULL;
  TRY(titan_queue_mark(f.device, TITAN_QUEUE_COMPUTE, &before));
  TRY(queues->record(f.device));
  fails_with(queues->wait(f.device, before), TITAN_ERROR_INTERNAL, "the host waits for work that is being recorded");
  fails_with(queues->record(f.device), TITAN_ERROR_INTERNAL, "a recording begins in another");
  fails_with(f.device->allocate(f.device, TITAN_SPACE_DEVICE, TITAN_MEMORY_GENERAL, 8, &memory), TITAN_ERROR_DEVICE,
             "operation not permitted when stream is capturing (cudaErrorStreamCaptureUnsupported)");
  fails_with(queues->record_end(f.device, &recording), TITAN_ERROR_DEVICE,
             "operation failed due to a previous error during capture (cudaErrorStreamCaptureInvalidated)");
  assert_null(recording);
  recording = record_way(&f, true); // the next one is none the worse
  queues->forget(f.device, recording);
  close_device(&f);
}

// --- CUDA's own rules ---

typedef struct capture {
  titan_device *device;
  cudaStream_t origin, other;
  cudaEvent_t event;
} capture;

static capture begin(fixture *f) {
  titan_cuda *cuda = titan_cuda_of(f->device);
  capture c = {f->device, cuda->streams[TITAN_QUEUE_COMPUTE], cuda->streams[TITAN_QUEUE_COPY], NULL};
  assert_int_equal(cudaEventCreateWithFlags(&c.event, cudaEventDisableTiming), cudaSuccess);
  assert_int_equal(cudaStreamBeginCapture(c.origin, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  return c;
}

static void ends_with(capture *c, cudaError_t wanted) {
  cudaGraph_t graph = NULL;
  assert_int_equal(cudaStreamEndCapture(c->origin, &graph), wanted);
  assert_true((graph != NULL) == (wanted == cudaSuccess));
  if (graph != NULL)
    assert_int_equal(cudaGraphDestroy(graph), cudaSuccess);
  (void)cudaEventDestroy(c->event);
  (void)cudaGetLastError();
}

static void fork_other(capture *c) {
  assert_int_equal(cudaEventRecord(c->event, c->origin), cudaSuccess);
  assert_int_equal(cudaStreamWaitEvent(c->other, c->event, 0), cudaSuccess);
}

static void a_stream_that_does_not_come_back_ends_a_capture(void **state) {
  (void)state;
  fixture f = open_device();
  capture c = begin(&f);
  fork_other(&c);
  copy(&f, TITAN_QUEUE_COPY, f.there, f.host);
  ends_with(&c, cudaErrorStreamCaptureUnjoined);
  c = begin(&f);
  fork_other(&c);
  copy(&f, TITAN_QUEUE_COPY, f.there, f.host);
  assert_int_equal(cudaEventRecord(c.event, c.other), cudaSuccess);
  assert_int_equal(cudaStreamWaitEvent(c.origin, c.event, 0), cudaSuccess);
  ends_with(&c, cudaSuccess);
  close_device(&f);
}

static void calls_that_wait_end_a_capture(void **state) {
  (void)state;
  fixture f = open_device();
  for (int kind = 0; kind < 5; kind++) {
    capture c = begin(&f);
    fork_other(&c);
    const cudaError_t got[] = {
        kind == 0 ? cudaStreamSynchronize(c.origin) : cudaSuccess, kind == 1 ? cudaDeviceSynchronize() : cudaSuccess,
        kind == 2 ? cudaStreamQuery(c.other) : cudaSuccess, kind == 3 ? cudaEventQuery(c.event) : cudaSuccess,
        kind == 4 ? cudaEventSynchronize(c.event) : cudaSuccess};
    assert_int_equal(got[kind], kind < 3 ? cudaErrorStreamCaptureUnsupported : cudaErrorCapturedEvent);
    ends_with(&c, cudaErrorStreamCaptureInvalidated);
  }
  close_device(&f);
}

static void what_was_not_captured_is_not_waited_for(void **state) {
  (void)state;
  fixture f = open_device();
  cudaGraph_t graph = NULL;
  cudaEvent_t before;
  assert_int_equal(cudaStreamBeginCapture(NULL, cudaStreamCaptureModeThreadLocal), cudaErrorStreamCaptureUnsupported);
  assert_int_equal(cudaEventCreateWithFlags(&before, cudaEventDisableTiming), cudaSuccess);
  capture c = begin(&f);
  assert_int_equal(cudaEventRecord(before, c.other), cudaSuccess); // of a stream that is not captured
  assert_int_equal(cudaStreamWaitEvent(c.origin, before, 0), cudaErrorStreamCaptureIsolation);
  ends_with(&c, cudaErrorStreamCaptureInvalidated);
  c = begin(&f);
  fork_other(&c);
  assert_int_equal(cudaStreamEndCapture(c.other, &graph), cudaErrorStreamCaptureUnmatched);
  ends_with(&c, cudaErrorStreamCaptureInvalidated);
  assert_int_equal(cudaStreamEndCapture(c.origin, &graph), cudaErrorIllegalState);
  (void)cudaEventDestroy(before);
  (void)cudaGetLastError();
  close_device(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(recorded_work_is_done_at_each_replay),
                                     cmocka_unit_test(marks_of_a_recording_order_its_queues),
                                     cmocka_unit_test(marks_of_another_time_are_the_past),
                                     cmocka_unit_test(what_cannot_be_recorded_is_an_error),
                                     cmocka_unit_test(a_stream_that_does_not_come_back_ends_a_capture),
                                     cmocka_unit_test(calls_that_wait_end_a_capture),
                                     cmocka_unit_test(what_was_not_captured_is_not_waited_for)};
  int failures = cmocka_run_group_tests(tests, NULL, NULL);
  return failures != 0 || titan_memory_report_leaks() != 0;
}
