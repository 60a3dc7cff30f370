// SPDX-License-Identifier: Apache-2.0
// Property: on the GPU of this machine, attention and its gradient give what graph/op.h says, in float32 and bfloat16,
// whichever library or kernel serves the call.
// Oracle: the definition in float64 (conformance/attention/reference.c).
// Tolerance: 1e-5 of the greatest element of an output in float32; 1e-2 in bfloat16, whose probabilities and gradients
// of scores are rounded within.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four above first
#include <cmocka.h>

#include "cases.h"
#include "device_test.h"
#include "digest.h"

// Own kernels: odd sizes. cuDNN: heads of multiples of 8, the shapes of Llama's heads among them.
static const attention_sizes sizes[] = {{1, 1, 1, 1, 1},     {2, 5, 4, 2, 6},     {1, 77, 2, 1, 20},
                                        {2, 65, 3, 1, 33},   {3, 63, 6, 3, 16},   {1, 130, 4, 2, 128},
                                        {1, 70, 2, 1, 96},   {1, 66, 2, 1, 256},  {2, 128, 4, 1, 64},
                                        {1, 257, 8, 2, 128}, {2, 200, 16, 16, 16}};

static void check(cuda_case *test, titan_op_kind kind) {
  const attention_sizes *s = &test->sizes;
  const double tolerance = test->dtype == TITAN_BFLOAT16 ? 1e-2 : 1e-5,
               distance = case_run(test, device, kind) == TITAN_OK ? case_distance(test, kind) : 1e30;
  if (!(distance <= tolerance))
    fail_msg("%s of %s [%d,%d,%d/%d,%d]: %.3g from the reference, %.3g at most; %s", titan_op_name(kind),
             titan_dtype_name(test->dtype), (int)s->batch, (int)s->length, (int)s->heads, (int)s->kv_heads,
             (int)s->head_size, distance, tolerance, titan_error_message());
  for (int tensor = kind == TITAN_OP_attention ? O : DQ; tensor <= (kind == TITAN_OP_attention ? LSE : DV); tensor++)
    note_digest(titan_op_name(kind), tensor, test->got[tensor], titan_tensor_bytes(&test->types[tensor]));
}

static void attention_is_the_definition(void **state) {
  const titan_dtype dtype = *(const titan_dtype *)*state;
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    cuda_case test;
    case_create(&test, sizes[i], dtype, 1);
    check(&test, TITAN_OP_attention);
    check(&test, TITAN_OP_attention_backward);
    case_destroy(&test);
  }
}

static int begin_staged(void **state) {
  (void)state;
  if (test_kernel_device_create(1, &device) == TITAN_OK)
    return 0;
  fprintf(stderr, "%s\n", titan_error_message());
  return -1;
}

int main(void) {
  static titan_dtype dtypes[] = {TITAN_FLOAT32, TITAN_BFLOAT16};
  const struct CMUnitTest tests[] = {
      {"attention_is_the_definition in float32", attention_is_the_definition, NULL, NULL, &dtypes[0]},
      {"attention_is_the_definition in bfloat16", attention_is_the_definition, NULL, NULL, &dtypes[1]},
  };
  int failed = cmocka_run_group_tests(tests, begin_staged, end_device);
  return failed != 0 || titan_memory_report_leaks() != 0;
}
