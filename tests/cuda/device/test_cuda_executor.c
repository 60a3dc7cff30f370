// SPDX-License-Identifier: Apache-2.0
// The executor on the emulated GPU: operations have the times of the device's clock, and with debug.device_synchronous
// an error comes with the operation that it is of.
#include "base/clock.h"
#include "cuda/cuda.h"
#include "device/executor.h"
#include "device/queue.h"
#include "emulated.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define TRY(expression) assert_int_equal(expression, TITAN_OK)

// More operations than are timed at a time.
enum { OPERATIONS = 300, SIZE = 8, ELEMENTS = SIZE * SIZE };

typedef struct fixture {
  titan_device *device;
  titan_graph *graph;
  titan_executable *executable;
  void *in, *out, *scratch;
} fixture;

// silu(silu(... x)).
static fixture build(void) {
  fixture f = {0};
  titan_device_request request = {.threads = 1, .node_size = 1};
  titan_value x, y;
  TRY(titan_cpu_isa_choose(&request.level));
  TRY(titan_cuda_create(&request, &f.device));
  TRY(titan_graph_create("repeated", &f.graph));
  TRY(titan_graph_input(f.graph, "x", (titan_tensor_type){TITAN_FLOAT32, 2, {SIZE, SIZE}}, false, &x));
  y = x;
  for (int i = 0; i < OPERATIONS; i++)
    TRY(titan_graph_unary(f.graph, TITAN_OP_silu, y, &y));
  TRY(titan_graph_output_add(f.graph, "y", y));
  TRY(titan_executable_create(f.device, f.graph, false, &f.executable));
  TRY(titan_executable_prepare(f.executable));
  size_t bytes = ELEMENTS * sizeof(float);
  TRY(f.device->allocate(f.device, TITAN_SPACE_DEVICE, TITAN_MEMORY_GENERAL, bytes, &f.in));
  TRY(f.device->allocate(f.device, TITAN_SPACE_DEVICE, TITAN_MEMORY_GENERAL, bytes, &f.out));
  TRY(f.device->allocate(f.device, TITAN_SPACE_DEVICE, TITAN_MEMORY_SCRATCH,
                         titan_executable_plan(f.executable)->phases[TITAN_FORWARD].scratch_bytes, &f.scratch));
  TRY(f.device->vector->fill(f.device, ELEMENTS, f.in, 1));
  return f;
}

static titan_status run(fixture *f) {
  titan_bindings bindings = {.scratch = f->scratch, .externals = (void *[]){f->in, f->out}};
  return titan_executable_run(f->executable, TITAN_FORWARD, &bindings, NULL);
}

static void destroy(fixture *f) {
  titan_executable_destroy(&f->executable);
  titan_graph_destroy(&f->graph);
  f->device->free(f->device, TITAN_SPACE_DEVICE, f->in);
  f->device->free(f->device, TITAN_SPACE_DEVICE, f->out);
  f->device->free(f->device, TITAN_SPACE_DEVICE, f->scratch);
  titan_device_destroy(&f->device);
}

typedef struct seen {
  int count;
  double last, busy;
  bool in_order;
} seen;

static void watch(void *context, const titan_op_call *call, double begin, double end) {
  seen *s = context;
  assert_int_equal(call->kind, TITAN_OP_silu);
  s->in_order = s->in_order && begin >= s->last - 1e-5 && end >= begin; // times are float milliseconds
  s->count++;
  s->last = end;
  s->busy += end - begin;
}

static void operations_are_timed_by_the_devices_clock(void **state) {
  (void)state;
  fixture f = build();
  titan_op_timing table[TITAN_OP_COUNT];
  seen s = {.in_order = true};
  titan_executor_watch(watch, &s);
  titan_executor_timing_start();
  double begun = titan_clock_seconds();
  TRY(run(&f));
  double ended = titan_clock_seconds();
  titan_executor_timing_stop(table);
  titan_executor_watch(NULL, NULL);
  assert_int_equal(s.count, OPERATIONS);
  assert_true(s.in_order);
  assert_int_equal(table[TITAN_OP_silu].calls, OPERATIONS);
  // The device works only when the host waits, so that times of the host's calls would be none of the device's.
  assert_true(s.busy > 0 && s.busy <= ended - begun);
  assert_true(s.last <= ended + 1e-3);
  destroy(&f);
}

static void an_error_comes_later_or_with_its_operation(void **state) {
  (void)state;
  fixture f = build();
  TRY(run(&f));
  TRY(titan_queue_finish(f.device, TITAN_QUEUE_COMPUTE));
  titan_emulated_fail(cudaErrorIllegalAddress);
  assert_int_equal(run(&f), TITAN_OK);
  assert_int_equal(titan_queue_finish(f.device, TITAN_QUEUE_COMPUTE), TITAN_ERROR_DEVICE);
  assert_null(strstr(titan_error_message(), "silu"));
  titan_emulated_repair();
  titan_executor_synchronous(true);
  titan_emulated_fail(cudaErrorIllegalAddress);
  assert_int_equal(run(&f), TITAN_ERROR_DEVICE);
  assert_non_null(
      strstr(titan_error_message(), "graph repeated, operation silu: CUDA: work of the GPU failed: an illegal"));
  titan_emulated_repair();
  TRY(run(&f));
  titan_executor_synchronous(false);
  destroy(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(operations_are_timed_by_the_devices_clock),
                                     cmocka_unit_test(an_error_comes_later_or_with_its_operation)};
  int failures = cmocka_run_group_tests(tests, NULL, NULL);
  return failures != 0 || titan_memory_report_leaks() != 0;
}
