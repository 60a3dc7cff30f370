// SPDX-License-Identifier: Apache-2.0
// Property: the graphs that the CUDA device gives to cuDNN mean attention and its gradient, with and without
// determinism, all heads at once and some after the others; cuDNN gets every operand, aligned, and no more workspace
// than was planned; a configuration that needs too much or cannot be built is passed over; where cuDNN is too old or
// has no engine, the own kernels compute. Oracles: a stand-in that computes graphs as they are described, and the
// definition in float64. Tolerance: probabilities and the gradients of scores are rounded to bfloat16 before the second
// product, 2^-9 each of terms that cancel: 1e-2 of the greatest element.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four above first
#include <cmocka.h>

#include "base/log.h"
#include "cases.h"
#include "control.h"
#include "cuda/cuda.h"
#include "staged.h"
#include "stand_in.h"

#include <string.h>

static const double tolerance = 1e-2;

static titan_device *create(bool deterministic) {
  titan_device_request request = {.threads = 1, .node_size = 1, .deterministic = deterministic};
  titan_device *inner = NULL, *device = NULL;
  if (titan_cpu_isa_choose(&request.level) != TITAN_OK || titan_cuda_create(&request, &inner) != TITAN_OK ||
      titan_staged_create(inner, &device) != TITAN_OK)
    fail_msg("%s", titan_error_message());
  return device;
}

// Returns how many plans the device has run, and that it has run no kernels of its own then.
static int run(titan_device *device, attention_sizes sizes, titan_dtype dtype, titan_op_kind kind) {
  cuda_case test;
  case_create(&test, sizes, dtype, 1);
  const int runs = stand_in()->runs;
  const uint64_t grids = titan_emulator_grids();
  if (case_run(&test, device, kind) != TITAN_OK)
    fail_msg("%s", titan_error_message());
  if (stand_in()->failures > 0)
    fail_msg("the stand-in: %s", stand_in()->last_failure);
  const double distance = case_distance(&test, kind);
  if (!(distance <= tolerance))
    fail_msg("%s [%d,%d,%d/%d,%d]: %.3g from the reference", titan_op_name(kind), (int)sizes.batch, (int)sizes.length,
             (int)sizes.heads, (int)sizes.kv_heads, (int)sizes.head_size, distance);
  case_destroy(&test);
  assert_true((stand_in()->runs > runs) != (titan_emulator_grids() > grids));
  return stand_in()->runs - runs;
}

static const attention_sizes sizes[] = {{1, 1, 1, 1, 8}, {2, 37, 4, 2, 16}, {1, 64, 3, 3, 24}, {2, 19, 6, 2, 128}};

static void the_graphs_mean_attention(void **state) {
  (void)state;
  for (int deterministic = 0; deterministic < 2; deterministic++) {
    titan_device *device = create(deterministic);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
      assert_int_equal(run(device, sizes[i], TITAN_BFLOAT16, TITAN_OP_attention), 1);
      assert_int_equal(run(device, sizes[i], TITAN_BFLOAT16, TITAN_OP_attention_backward), 1);
    }
    titan_device_destroy(&device);
    assert_int_equal(stand_in()->handles, 0);
    assert_int_equal(stand_in()->descriptors, 0);
  }
}

// So many sequences, that the scores of one kv head alone keep to what a deterministic gradient may store.
static void a_deterministic_gradient_goes_over_the_kv_heads(void **state) {
  (void)state;
  titan_device *device = create(true);
  assert_int_equal(run(device, (attention_sizes){12000, 2, 6, 3, 8}, TITAN_BFLOAT16, TITAN_OP_attention_backward), 3);
  titan_device_destroy(&device);
}

static void equal_calls_share_a_plan(void **state) {
  (void)state;
  titan_device *device = create(false);
  const titan_kernel *kernel = device->kernel(device, TITAN_OP_attention_backward);
  void *states[3];
  int descriptors[3];
  for (int i = 0; i < 3; i++) {
    cuda_case test;
    case_create(&test, (attention_sizes){1, i < 2 ? 9 : 10, 2, 1, 16}, TITAN_BFLOAT16, 1);
    const titan_op_call call = case_call(&test, TITAN_OP_attention_backward);
    assert_int_equal(kernel->prepare(device, &call, &states[i]), TITAN_OK);
    descriptors[i] = stand_in()->descriptors;
    case_destroy(&test);
  }
  assert_int_equal(descriptors[0], descriptors[1]);
  assert_true(descriptors[2] > descriptors[1]);
  kernel->release(device, states[0]);
  assert_int_equal(stand_in()->descriptors, descriptors[2]);
  kernel->release(device, states[2]);
  assert_int_equal(stand_in()->descriptors, descriptors[1]);
  kernel->release(device, states[1]);
  assert_int_equal(stand_in()->descriptors, 0);
  titan_device_destroy(&device);
}

static void float32_and_odd_heads_are_for_the_own_kernels(void **state) {
  (void)state;
  titan_device *device = create(false);
  for (int backward = 0; backward < 2; backward++) {
    const titan_op_kind kind = backward ? TITAN_OP_attention_backward : TITAN_OP_attention;
    assert_int_equal(run(device, (attention_sizes){1, 9, 2, 1, 16}, TITAN_FLOAT32, kind), 0);
    assert_int_equal(run(device, (attention_sizes){1, 9, 2, 1, 20}, TITAN_BFLOAT16, kind), 0);
  }
  titan_device_destroy(&device);
}

static char lines[4096];

static void keep_line(void *context, const char *text) {
  (void)context;
  strncat(lines, text, sizeof lines - strlen(lines) - 2);
  strcat(lines, "\n");
}

static void without_an_engine_the_own_kernels_compute_and_the_log_says_so(void **state) {
  (void)state;
  titan_device *device = create(false);
  titan_log_watch(TITAN_LOG_INFO, keep_line, NULL);
  assert_int_equal(run(device, (attention_sizes){1, 9, 2, 1, 16}, TITAN_BFLOAT16, TITAN_OP_attention), 1);
  stand_in()->no_engine = true;
  assert_int_equal(run(device, (attention_sizes){1, 9, 2, 1, 24}, TITAN_BFLOAT16, TITAN_OP_attention_backward), 0);
  stand_in()->no_engine = false;
  titan_log_watch(TITAN_LOG_INFO, NULL, NULL);
  titan_device_destroy(&device);
  assert_non_null(strstr(lines, "attention of bfloat16 [1,9,2,16], 1 kv heads: cuDNN, engine 7, 1 kv heads at a time, "
                                "256 bytes of workspace"));
  assert_non_null(strstr(lines, "attention_backward of bfloat16 [1,9,2,24], 1 kv heads: own kernels ("));
  assert_non_null(strstr(lines, "cuDNN has no engine for it"));
}

static void an_old_cudnn_is_not_used_and_the_description_says_so(void **state) {
  (void)state;
  stand_in()->version = 90700;
  titan_device *device = create(false);
  stand_in()->version = 0;
  assert_non_null(strstr(device->description, "no cuDNN (cuDNN is version 9.7.0, older than 9.8)"));
  assert_int_equal(run(device, (attention_sizes){1, 9, 2, 1, 16}, TITAN_BFLOAT16, TITAN_OP_attention), 0);
  titan_device_destroy(&device);
}

static int nothing_is_left(void **state) {
  (void)state;
  return titan_memory_report_leaks() == 0 ? 0 : -1;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_graphs_mean_attention),
      cmocka_unit_test(a_deterministic_gradient_goes_over_the_kv_heads),
      cmocka_unit_test(equal_calls_share_a_plan),
      cmocka_unit_test(float32_and_odd_heads_are_for_the_own_kernels),
      cmocka_unit_test(without_an_engine_the_own_kernels_compute_and_the_log_says_so),
      cmocka_unit_test(an_old_cudnn_is_not_used_and_the_description_says_so),
  };
  return cmocka_run_group_tests(tests, NULL, nothing_is_left);
}
