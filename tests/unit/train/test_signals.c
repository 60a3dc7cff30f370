// SPDX-License-Identifier: Apache-2.0
// Property: a signal that asks a run to end is noted without a handler on a thread that computes: products go on
// unharmed under a rain of them, where a handler's frame would be written into what oneDNN's kernels point the stack
// register at. Before the run watches, the signal ends the process as it does by default. Oracle: products of ones,
// which are exact; the allocator, which ends the process when its lists are written over. Tolerance: none.
#include "graph_test.h"
#include "leaks.h"

#include "device/device.h"
#include "train/signals.h"

#include <omp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const int endings[] = {SIGTERM, SIGUSR1, SIGUSR2, SIGHUP, SIGXCPU, SIGINT};
enum { ENDINGS = sizeof endings / sizeof *endings };

static bool blocks_all(void) {
  sigset_t set;
  bool all = true;
  pthread_sigmask(SIG_BLOCK, NULL, &set);
  for (int i = 0; i < ENDINGS; i++)
    all &= sigismember(&set, endings[i]) == 1;
  return all;
}

// Ctest may have been started with some of them ignored, which is for a test of its own.
static void restore_all(void) {
  for (int i = 0; i < ENDINGS; i++)
    signal(endings[i], SIG_DFL);
}

static void child_was_ended_by(pid_t child, int number) {
  int status = 0;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFSIGNALED(status) && WTERMSIG(status) == number);
}

static void unwatched_signals_end_the_process(void **state) {
  (void)state;
  for (int i = 0; i < ENDINGS; i++) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
      restore_all();
      if (titan_signals_begin() == TITAN_OK)
        kill(getpid(), endings[i]);
      sleep(60); // far above what it takes: it only turns a signal that is ignored into a failure
      _exit(1);
    }
    child_was_ended_by(child, endings[i]);
  }
}

static void a_second_interrupt_ends_the_process(void **state) {
  (void)state;
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    restore_all();
    if (titan_signals_begin() != TITAN_OK)
      _exit(1);
    titan_signals_watch(NULL);
    titan_signals_raise(SIGTERM);
    titan_signals_raise(SIGINT);
    if (titan_signals_received() != SIGTERM) // the first one counts
      _exit(1);
    for (int i = 0; i < 600; i++) { // those at nearly the same time are taken for one
      kill(getpid(), SIGINT);
      usleep(100000);
    }
    _exit(2);
  }
  child_was_ended_by(child, SIGINT);
}

// What a child's log says of a SIGTERM, with a promise that holds or that has ended.
static size_t said_of_a_signal(bool ended) {
  FILE *log = tmpfile();
  assert_non_null(log);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    restore_all();
    if (dup2(fileno(log), STDERR_FILENO) < 0 || titan_signals_begin() != TITAN_OK)
      _exit(1);
    titan_signals_watch("the run ends");
    if (ended)
      titan_signals_end_promise();
    titan_signals_raise(SIGTERM);
    _exit(titan_signals_received() == SIGTERM ? 0 : 1);
  }
  int status = -1;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
  char text[512];
  rewind(log);
  size_t length = fread(text, 1, sizeof text - 1, log);
  text[length] = '\0';
  fclose(log);
  assert_true(ended || strstr(text, "SIGTERM: the run ends") != NULL);
  return length;
}

static void a_run_that_is_over_says_nothing_of_a_signal(void **state) {
  (void)state;
  assert_true(said_of_a_signal(false) > 0);
  assert_int_equal(said_of_a_signal(true), 0);
}

static void ignored_signals_stay_ignored_and_pipes_may_break(void **state) {
  (void)state;
  pid_t child = fork();
  int status = 0;
  assert_true(child >= 0);
  if (child == 0) {
    int ends[2];
    restore_all();
    signal(SIGHUP, SIG_IGN);
    if (titan_signals_begin() != TITAN_OK)
      _exit(1);
    titan_signals_watch(NULL);
    titan_signals_raise(SIGHUP);
    bool fine = titan_signals_received() == 0 && pipe(ends) == 0 && close(ends[0]) == 0 && write(ends[1], "x", 1) < 0;
    _exit(fine ? 0 : 2);
  }
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static atomic_bool enough;

static void *rain(void *unused) {
  (void)unused;
  while (!atomic_load(&enough)) {
    kill(getpid(), SIGUSR1);
    usleep(50);
  }
  return NULL;
}

// [M,K] x [N,K]^T of ones, float32.
static void multiply(titan_device *device, int64_t m, int64_t n, int64_t k) {
  titan_op_call call = {.kind = TITAN_OP_matmul, .input_count = 2};
  call.inputs[0] = (titan_tensor_type){TITAN_FLOAT32, 2, {m, k}};
  call.inputs[1] = (titan_tensor_type){TITAN_FLOAT32, 2, {n, k}};
  call.attributes.matmul.transpose_b = true;
  call.attributes.matmul.output = TITAN_FLOAT32;
  TRY(titan_op_infer(&call));
  float *a, *b, *c;
  TRY(titan_memory_allocate(TITAN_MEMORY_GENERAL, (size_t)(m * k) * sizeof *a, &a));
  TRY(titan_memory_allocate(TITAN_MEMORY_GENERAL, (size_t)(n * k) * sizeof *b, &b));
  TRY(titan_memory_allocate(TITAN_MEMORY_GENERAL, (size_t)(m * n) * sizeof *c, &c));
  for (int64_t i = 0; i < m * k; i++)
    a[i] = 1;
  for (int64_t i = 0; i < n * k; i++)
    b[i] = 1;
  TRY(device->kernel(device, TITAN_OP_matmul)->run(device, &call, NULL, (const void *[]){a, b}, (void *[]){c}, NULL));
  for (int64_t i = 0; i < m * n; i++)
    assert_true(c[i] == (float)k);
  titan_memory_free(a);
  titan_memory_free(b);
  titan_memory_free(c);
}

static void products_are_unharmed_by_signals(void **state) {
  (void)state;
  titan_device *device;
  pthread_t thread;
  int blocking = 0, threads = 0;
  assert_int_equal(titan_signals_received(), 0);
  restore_all();
  TRY(titan_signals_begin());
  titan_signals_watch(NULL);
#pragma omp parallel num_threads(3) reduction(+ : blocking, threads)
  {
    threads++;
    blocking += blocks_all();
  }
  assert_int_equal(blocking, threads);
  TRY(titan_device_create_cpu(1, &device));
  assert_int_equal(pthread_create(&thread, NULL, rain, NULL), 0);
  static const int64_t sizes[][3] = {{64, 256, 256}, {16, 768, 256}, {64, 100, 2256}, {33, 7, 33}};
  for (int i = 0; i < 2000; i++)
    multiply(device, sizes[i % 4][0], sizes[i % 4][1], sizes[i % 4][2]);
  atomic_store(&enough, true);
  pthread_join(thread, NULL);
  assert_int_equal(titan_signals_received(), SIGUSR1);
  assert_string_equal(titan_signals_name(titan_signals_received()), "SIGUSR1");
  titan_device_destroy(&device);
  titan_signals_end();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(unwatched_signals_end_the_process),
      cmocka_unit_test(a_second_interrupt_ends_the_process),
      cmocka_unit_test(a_run_that_is_over_says_nothing_of_a_signal),
      cmocka_unit_test(ignored_signals_stay_ignored_and_pipes_may_break),
      cmocka_unit_test(products_are_unharmed_by_signals),
  };
  return cmocka_run_group_tests(tests, NULL, expect_no_leaks);
}
