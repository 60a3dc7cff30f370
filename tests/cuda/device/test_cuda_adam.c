// SPDX-License-Identifier: Apache-2.0
// Adam of many spans in one launch, on the emulated GPU. Oracle: the same spans one by one, to the bit.
#include "cuda/cuda.h"
#include "device/queue.h"
#include "emulated.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TRY(call) assert_int_equal(call, TITAN_OK)

// Of each span: master, both moments, gradient and copy, one after another in memory of the GPU.
enum { VECTORS = 5, MOST = 3000 };

typedef struct fixture {
  titan_device *device;
  titan_step_state *state;
  float *memory, *host, *other; // memory: of the GPU
  size_t floats;
} fixture;

static void *allocate(titan_device *device, titan_space space, size_t bytes) {
  void *memory;
  TRY(device->allocate(device, space, TITAN_MEMORY_GENERAL, bytes, &memory));
  return memory;
}

static fixture open_device(void) {
  titan_device_request request = {.threads = 1, .node_size = 1};
  fixture f = {.floats = (size_t)TITAN_ADAM_SPANS * VECTORS * MOST};
  TRY(titan_cpu_isa_choose(&request.level));
  TRY(titan_cuda_create(&request, &f.device));
  f.state = allocate(f.device, TITAN_SPACE_DEVICE, sizeof *f.state);
  f.memory = allocate(f.device, TITAN_SPACE_DEVICE, f.floats * sizeof(float));
  f.host = allocate(f.device, TITAN_SPACE_HOST, f.floats * sizeof(float));
  f.other = allocate(f.device, TITAN_SPACE_HOST, f.floats * sizeof(float));
  return f;
}

static void close_device(fixture *f) {
  f->device->free(f->device, TITAN_SPACE_DEVICE, f->state);
  f->device->free(f->device, TITAN_SPACE_DEVICE, f->memory);
  f->device->free(f->device, TITAN_SPACE_HOST, f->host);
  f->device->free(f->device, TITAN_SPACE_HOST, f->other);
  titan_device_destroy(&f->device);
}

// Lengths from nothing to several blocks. `offset`: of each vector from where it would be aligned, in elements.
static void place(const fixture *f, int count, int offset, titan_adam_span *spans) {
  static const int64_t lengths[] = {1, 1024, 0, 2999 - 8, 5, 1025, 640};
  for (int i = 0; i < count; i++) {
    float *at = f->memory + (size_t)i * VECTORS * MOST + offset;
    spans[i] = (titan_adam_span){.decay = {.weight_decay = 0.1f * (float)(i % 3), .decoupled = i % 2 == 0},
                                 .n = lengths[i % 7],
                                 .master = at,
                                 .exp_avg = at + MOST,
                                 .exp_avg_sq = at + 2 * MOST,
                                 .gradient = at + 3 * MOST,
                                 .compute = i % 5 == 4 ? NULL : (void *)(at + 4 * MOST)};
  }
}

static void bring_values(fixture *f, bool bad) {
  static titan_step_state state;
  uint32_t random = 1;
  for (size_t i = 0; i < f->floats; i++)
    f->host[i] = (float)((random = random * 1664525 + 1013904223) >> 8) / (float)(1 << 24);
  state = (titan_step_state){
      .constants = {1e-2f, 0.9f, 0.95f, 1e-8f, 1 - 0.81f, 1 - 0.9025f}, .gradient_scale = 0.5f, .bad = bad};
  TRY(titan_queue_copy(f->device, TITAN_QUEUE_COMPUTE, f->memory, f->host, f->floats * sizeof(float)));
  TRY(titan_queue_copy(f->device, TITAN_QUEUE_COMPUTE, f->state, &state, sizeof state));
}

static void take_values(fixture *f, float *to) {
  TRY(titan_queue_copy(f->device, TITAN_QUEUE_COMPUTE, to, f->memory, f->floats * sizeof(float)));
  TRY(titan_queue_finish(f->device, TITAN_QUEUE_COMPUTE));
}

static void check(fixture *f, int count, int offset, titan_dtype dtype, bool bad) {
  titan_adam_span spans[TITAN_ADAM_SPANS];
  const titan_vector_functions *vector = f->device->vector;
  place(f, count, offset, spans);
  bring_values(f, bad);
  for (int i = 0; i < count; i++) {
    const titan_adam_span *s = &spans[i];
    TRY(vector->adam(f->device, f->state, s->decay, s->n, s->master, s->exp_avg, s->exp_avg_sq, s->gradient, s->compute,
                     dtype));
  }
  take_values(f, f->other);
  bring_values(f, bad);
  if (count > 0)
    assert_true(bad == (memcmp(f->host, f->other, f->floats * sizeof(float)) == 0));
  TRY(vector->adam_spans(f->device, f->state, count, spans, dtype));
  take_values(f, f->host);
  assert_memory_equal(f->host, f->other, f->floats * sizeof(float));
}

static void spans_at_once_are_those_one_by_one(void **state) {
  (void)state;
  fixture f = open_device();
  check(&f, TITAN_ADAM_SPANS, 0, TITAN_FLOAT32, false);
  check(&f, TITAN_ADAM_SPANS, 0, TITAN_BFLOAT16, false);
  check(&f, 7, 1, TITAN_FLOAT32, false); // not aligned
  check(&f, 7, 3, TITAN_BFLOAT16, false);
  check(&f, 1, 0, TITAN_FLOAT32, false);
  check(&f, 0, 0, TITAN_FLOAT32, false);
  check(&f, 7, 0, TITAN_FLOAT32, true); // a bad step changes nothing
  close_device(&f);
}

static void more_spans_than_there_is_room_for_are_refused(void **state) {
  (void)state;
  fixture f = open_device();
  titan_adam_span spans[1] = {{.n = 0}};
  assert_int_equal(f.device->vector->adam_spans(f.device, f.state, TITAN_ADAM_SPANS + 1, spans, TITAN_FLOAT32),
                   TITAN_ERROR_INTERNAL);
  close_device(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(spans_at_once_are_those_one_by_one),
                                     cmocka_unit_test(more_spans_than_there_is_room_for_are_refused)};
  int failures = cmocka_run_group_tests(tests, NULL, NULL);
  return failures != 0 || titan_memory_report_leaks() != 0;
}
