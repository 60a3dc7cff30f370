// SPDX-License-Identifier: Apache-2.0
// Property: the CUDA device's own attention and its gradient give what graph/op.h says, in float32 and bfloat16, at all
// sizes of tiles and heads; every order of threads and blocks gives the same bits; no thread reads shared memory that
// another writes without a barrier (a fault ends the program); what the kernels refuse has a message.
// Oracle: the definition in float64 (conformance/attention/reference.c, held against finite differences there).
// Tolerance: 1e-5 of the greatest element of an output, as of the CPU's kernels; one rounding on top in bfloat16, where
// heads of at most 128 elements go through bfloat16 within too: probabilities and gradients of scores, 2^-9 each of
// terms that cancel, 1e-2 in all.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four above first
#include <cmocka.h>

#include "base/log.h"
#include "cases.h"
#include "conformance.h"
#include "control.h"
#include "cuda/cuda.h"
#include "staged.h"

#include <string.h>

static titan_device *device;

static int create_device(void **state) {
  titan_device_request request = {.threads = 1, .node_size = 1};
  titan_device *inner;
  (void)state;
  return titan_cpu_isa_choose(&request.level) == TITAN_OK && titan_cuda_create(&request, &inner) == TITAN_OK &&
                 titan_staged_create(inner, &device) == TITAN_OK
             ? 0
             : -1;
}

static int destroy_device(void **state) {
  (void)state;
  titan_device_destroy(&device);
  return titan_memory_report_leaks() == 0 ? 0 : -1;
}

// Around tiles of 64 rows and chunks of 64 columns, vectors of 4 elements, and groups of query heads.
static const attention_sizes sizes[] = {
    {1, 1, 1, 1, 1},     {2, 5, 4, 2, 6},   {1, 77, 2, 1, 20},  {1, 64, 2, 2, 64},   {2, 65, 3, 1, 33},
    {1, 130, 4, 2, 128}, {1, 70, 2, 1, 96}, {1, 66, 2, 1, 256}, {1, 129, 1, 1, 130}, {3, 63, 6, 3, 16},
};

static void check(cuda_case *test, titan_op_kind kind, double tolerance) {
  const attention_sizes *s = &test->sizes;
  if (test->dtype == TITAN_BFLOAT16 && s->head_size <= 128)
    tolerance = 1e-2;
  if (case_run(test, device, kind) != TITAN_OK)
    fail_msg("%s", titan_error_message());
  const double distance = case_distance(test, kind);
  if (!(distance <= tolerance))
    fail_msg("%s of %s [%d,%d,%d/%d,%d]: %.3g from the reference, %.3g at most", titan_op_name(kind),
             titan_dtype_name(test->dtype), (int)s->batch, (int)s->length, (int)s->heads, (int)s->kv_heads,
             (int)s->head_size, distance, tolerance);
}

static void check_all(titan_dtype dtype) {
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    cuda_case test;
    case_create(&test, sizes[i], dtype, 1);
    check(&test, TITAN_OP_attention, 1e-5);
    check(&test, TITAN_OP_attention_backward, 1e-5);
    case_destroy(&test);
  }
}

static void float32_is_the_definition_at_all_sizes(void **state) {
  (void)state;
  check_all(TITAN_FLOAT32);
  assert_true(titan_emulator_grids() > 0);
}

static void bfloat16_is_the_definition_at_all_sizes(void **state) {
  (void)state;
  check_all(TITAN_BFLOAT16);
}

// Scores of some hundreds: all but one probability of a row vanish, and their exponentials are no float32 without the
// maximum.
static void large_scores_saturate_without_harm(void **state) {
  (void)state;
  cuda_case test;
  case_create(&test, (attention_sizes){1, 130, 2, 1, 32}, TITAN_FLOAT32, 100);
  check(&test, TITAN_OP_attention, 1e-4);
  check(&test, TITAN_OP_attention_backward, 1e-3);
  case_destroy(&test);
}

static void check_orders(titan_dtype dtype, titan_op_kind kind) {
  static const titan_emulator_order orders[] = {TITAN_EMULATOR_BACKWARD, TITAN_EMULATOR_RANDOM, TITAN_EMULATOR_RANDOM};
  cuda_case first, other;
  case_create(&first, (attention_sizes){2, 131, 4, 2, 72}, dtype, 1);
  case_create(&other, first.sizes, dtype, 1);
  check(&first, kind, 1e-5);
  for (int i = 0; i < 3; i++) {
    titan_emulator_set_order(orders[i], (uint64_t)i);
    check(&other, kind, 1e-5);
    for (int tensor = kind == TITAN_OP_attention ? O : DQ; tensor <= (kind == TITAN_OP_attention ? LSE : DV); tensor++)
      assert_memory_equal(first.got[tensor], other.got[tensor], titan_tensor_bytes(&first.types[tensor]));
  }
  titan_emulator_set_order(TITAN_EMULATOR_FORWARD, 0);
  case_destroy(&first);
  case_destroy(&other);
}

static void the_order_of_threads_changes_no_bit(void **state) {
  (void)state;
  for (int bfloat16 = 0; bfloat16 < 2; bfloat16++) {
    check_orders(bfloat16 ? TITAN_BFLOAT16 : TITAN_FLOAT32, TITAN_OP_attention);
    check_orders(bfloat16 ? TITAN_BFLOAT16 : TITAN_FLOAT32, TITAN_OP_attention_backward);
  }
}

// A NaN, or a score that overflows, reaches the queries that see it and nothing else (conformance/nonfinite.c).
static void numbers_that_are_not_finite_reach_who_sees_them(void **state) {
  (void)state;
  assert_int_equal(check_nonfinite_inputs(device), 0);
}

static void heads_that_are_too_wide_are_refused(void **state) {
  (void)state;
  cuda_case test;
  case_create(&test, (attention_sizes){1, 3, 1, 1, 260}, TITAN_FLOAT32, 1);
  for (int backward = 0; backward < 2; backward++) {
    assert_int_equal(case_run(&test, device, backward ? TITAN_OP_attention_backward : TITAN_OP_attention),
                     TITAN_ERROR_DEVICE);
    assert_non_null(
        strstr(titan_error_message(), "heads of 260 elements, and the CUDA device has kernels for at most"));
  }
  case_destroy(&test);
}

// --- the log ---

static char lines[4096];

static void keep_line(void *context, const char *text) {
  (void)context;
  strncat(lines, text, sizeof lines - strlen(lines) - 2);
  strcat(lines, "\n");
}

static void the_log_says_which_attention_is_used(void **state) {
  (void)state;
  cuda_case test;
  titan_log_watch(TITAN_LOG_INFO, keep_line, NULL);
  for (int bfloat16 = 0; bfloat16 < 2; bfloat16++) {
    case_create(&test, (attention_sizes){1, 8, 2, 1, 8}, bfloat16 ? TITAN_BFLOAT16 : TITAN_FLOAT32, 1);
    check(&test, TITAN_OP_attention, 1e-5);
    case_destroy(&test);
  }
  titan_log_watch(TITAN_LOG_INFO, NULL, NULL);
  assert_non_null(strstr(lines, "attention of float32 [1,8,2,8], 1 kv heads: own kernels (float32)"));
  assert_non_null(strstr(lines, "attention of bfloat16 [1,8,2,8], 1 kv heads: own kernels ("));
  assert_non_null(strstr(lines, "there is no cuDNN"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(float32_is_the_definition_at_all_sizes),
      cmocka_unit_test(bfloat16_is_the_definition_at_all_sizes),
      cmocka_unit_test(large_scores_saturate_without_harm),
      cmocka_unit_test(the_order_of_threads_changes_no_bit),
      cmocka_unit_test(numbers_that_are_not_finite_reach_who_sees_them),
      cmocka_unit_test(heads_that_are_too_wide_are_refused),
      cmocka_unit_test(the_log_says_which_attention_is_used),
  };
  return cmocka_run_group_tests(tests, create_device, destroy_device);
}
