// SPDX-License-Identifier: Apache-2.0
// Copies, marks and their order on the emulated GPU, which does what its streams and events allow in a random order: a
// mark that is missing gives another result under some of a number of orders, and what has its marks never does.
#include "cuda/cuda.h"
#include "device/queue.h"
#include "emulated.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { COUNT = 1000, ORDERS = 50 };

typedef struct fixture {
  titan_device *device;
  int *host, *other, *there, *beside; // two of the host, two of the GPU [COUNT]
} fixture;

static void *allocate(titan_device *device, titan_space space) {
  void *memory;
  assert_int_equal(device->allocate(device, space, TITAN_MEMORY_GENERAL, COUNT * sizeof(int), &memory), TITAN_OK);
  return memory;
}

static fixture open_device(void) {
  titan_device_request request = {.threads = 1, .node_size = 1};
  fixture f;
  assert_int_equal(titan_cpu_isa_choose(&request.level), TITAN_OK);
  assert_int_equal(titan_cuda_create(&request, &f.device), TITAN_OK);
  f.host = allocate(f.device, TITAN_SPACE_HOST);
  f.other = allocate(f.device, TITAN_SPACE_HOST);
  f.there = allocate(f.device, TITAN_SPACE_DEVICE);
  f.beside = allocate(f.device, TITAN_SPACE_EXCHANGE);
  for (int i = 0; i < COUNT; i++)
    f.host[i] = i;
  return f;
}

static void close_device(fixture *f) {
  f->device->free(f->device, TITAN_SPACE_HOST, f->host);
  f->device->free(f->device, TITAN_SPACE_HOST, f->other);
  f->device->free(f->device, TITAN_SPACE_DEVICE, f->there);
  f->device->free(f->device, TITAN_SPACE_EXCHANGE, f->beside);
  titan_device_destroy(&f->device);
}

static void copy(fixture *f, titan_queue queue, void *to, const void *from) {
  assert_int_equal(titan_queue_copy(f->device, queue, to, from, COUNT * sizeof(int)), TITAN_OK);
}

static void copies_go_between_all_spaces(void **state) {
  (void)state;
  fixture f = open_device();
  copy(&f, TITAN_QUEUE_COMPUTE, f.there, f.host);
  copy(&f, TITAN_QUEUE_COMPUTE, f.beside, f.there);
  copy(&f, TITAN_QUEUE_COMPUTE, f.other, f.beside);
  assert_int_equal(titan_queue_copy(f.device, TITAN_QUEUE_COMPUTE, f.other, f.beside, 0), TITAN_OK);
  assert_int_equal(titan_queue_finish(f.device, TITAN_QUEUE_COMPUTE), TITAN_OK);
  assert_memory_equal(f.host, f.other, COUNT * sizeof(int));
  close_device(&f);
}

// 10 rows of 3 numbers, from every 5 to every 7.
static void rows_are_copied_with_their_pitches(void **state) {
  (void)state;
  enum { ROWS = 10, WIDTH = 3, FROM = 5, TO = 7 };
  fixture f = open_device();
  copy(&f, TITAN_QUEUE_COPY, f.there, f.host);
  memset(f.other, 0, COUNT * sizeof(int));
  assert_int_equal(titan_queue_copy_rows(f.device, TITAN_QUEUE_COPY, f.other, TO * sizeof(int), f.there,
                                         FROM * sizeof(int), WIDTH * sizeof(int), ROWS),
                   TITAN_OK);
  assert_int_equal(titan_queue_copy_rows(f.device, TITAN_QUEUE_COPY, f.other, 0, f.there, 0, 0, ROWS), TITAN_OK);
  assert_int_equal(titan_queue_finish(f.device, TITAN_QUEUE_COPY), TITAN_OK);
  for (int i = 0; i < COUNT; i++)
    assert_int_equal(f.other[i], i < ROWS * TO && i % TO < WIDTH ? i / TO * FROM + i % TO : 0);
  close_device(&f);
}

// One queue brings numbers, another takes them back. Whether they were there when they were taken.
static bool numbers_travel(fixture *f, bool marked) {
  memset(f->other, 0, COUNT * sizeof(int));
  copy(f, TITAN_QUEUE_COMPUTE, f->there, f->other);
  assert_int_equal(titan_device_drain(f->device), TITAN_OK);
  copy(f, TITAN_QUEUE_COPY, f->there, f->host);
  if (marked)
    assert_int_equal(titan_queue_follow(f->device, TITAN_QUEUE_COMPUTE, TITAN_QUEUE_COPY), TITAN_OK);
  copy(f, TITAN_QUEUE_COMPUTE, f->other, f->there);
  assert_int_equal(titan_queue_finish(f->device, TITAN_QUEUE_COMPUTE), TITAN_OK);
  bool there = memcmp(f->other, f->host, COUNT * sizeof(int)) == 0;
  assert_int_equal(titan_device_drain(f->device), TITAN_OK);
  return there;
}

static void a_queue_goes_on_after_a_mark_of_another(void **state) {
  (void)state;
  fixture f = open_device();
  int without = 0;
  for (int order = 0; order < ORDERS; order++) {
    assert_true(numbers_travel(&f, true));
    without += numbers_travel(&f, false);
  }
  assert_in_range(without, 1, ORDERS - 1); // the emulator shows both orders
  close_device(&f);
}

static void a_mark_is_reached_when_its_queue_has_come_there(void **state) {
  (void)state;
  fixture f = open_device();
  titan_mark first, second;
  copy(&f, TITAN_QUEUE_COPY, f.there, f.host);
  assert_int_equal(titan_queue_mark(f.device, TITAN_QUEUE_COPY, &first), TITAN_OK);
  copy(&f, TITAN_QUEUE_COPY, f.other, f.there);
  assert_int_equal(titan_queue_mark(f.device, TITAN_QUEUE_COPY, &second), TITAN_OK);
  assert_false(f.device->queues->reached(f.device, first));
  assert_true(f.device->queues->reached(f.device, (titan_mark){0}));
  assert_int_equal(titan_queue_wait(f.device, second), TITAN_OK);
  assert_true(f.device->queues->reached(f.device, first));
  assert_memory_equal(f.host, f.other, COUNT * sizeof(int));
  close_device(&f);
}

// More marks than there are events.
static void old_marks_stay_true(void **state) {
  (void)state;
  enum { MARKS = 10000 };
  fixture f = open_device();
  titan_mark first, mark, last = {0};
  copy(&f, TITAN_QUEUE_COPY, f.there, f.host);
  assert_int_equal(titan_queue_mark(f.device, TITAN_QUEUE_COPY, &first), TITAN_OK);
  for (int i = 0; i < MARKS; i++) {
    assert_int_equal(titan_queue_mark(f.device, (titan_queue)(i % TITAN_QUEUES), &mark), TITAN_OK);
    assert_true(mark.number > last.number);
    last = mark;
  }
  assert_true(f.device->queues->reached(f.device, first));
  assert_int_equal(titan_queue_after(f.device, TITAN_QUEUE_COMPUTE, first), TITAN_OK);
  assert_int_equal(titan_queue_wait(f.device, first), TITAN_OK);
  copy(&f, TITAN_QUEUE_COMPUTE, f.other, f.there);
  assert_int_equal(titan_queue_finish(f.device, TITAN_QUEUE_COMPUTE), TITAN_OK);
  assert_memory_equal(f.host, f.other, COUNT * sizeof(int));
  close_device(&f);
}

static void work_that_fails_comes_out_of_a_wait(void **state) {
  (void)state;
  fixture f = open_device();
  titan_emulated_fail(cudaErrorIllegalAddress);
  copy(&f, TITAN_QUEUE_COMPUTE, f.there, f.host);
  assert_int_equal(titan_queue_finish(f.device, TITAN_QUEUE_COMPUTE), TITAN_ERROR_DEVICE);
  assert_non_null(strstr(titan_error_message(), "an illegal memory access was encountered (cudaErrorIllegalAddress)"));
  assert_int_equal(titan_cuda_launched("a kernel"), TITAN_ERROR_DEVICE); // it stays
  titan_emulated_repair();
  close_device(&f);
}

static void a_copy_out_of_a_block_is_refused(void **state) {
  (void)state;
  fixture f = open_device();
  assert_int_equal(titan_queue_copy(f.device, TITAN_QUEUE_COMPUTE, f.host, f.there, COUNT * sizeof(int) + 1),
                   TITAN_ERROR_DEVICE);
  assert_non_null(strstr(titan_error_message(), "invalid argument"));
  titan_emulated_repair();
  close_device(&f);
}

static void host_code_cannot_touch_device_memory(void **state) {
  (void)state;
  fixture f = open_device();
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) {
    signal(SIGSEGV, SIG_DFL); // cmocka's would go on with the next test
    volatile int touched = f.there[3];
    _exit(touched == 0);
  }
  int status = 0;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
  close_device(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(copies_go_between_all_spaces),
                                     cmocka_unit_test(rows_are_copied_with_their_pitches),
                                     cmocka_unit_test(a_queue_goes_on_after_a_mark_of_another),
                                     cmocka_unit_test(a_mark_is_reached_when_its_queue_has_come_there),
                                     cmocka_unit_test(old_marks_stay_true),
                                     cmocka_unit_test(work_that_fails_comes_out_of_a_wait),
                                     cmocka_unit_test(a_copy_out_of_a_block_is_refused),
                                     cmocka_unit_test(host_code_cannot_touch_device_memory)};
  int failures = cmocka_run_group_tests(tests, NULL, NULL);
  return failures != 0 || titan_memory_report_leaks() != 0;
}
