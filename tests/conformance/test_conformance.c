// SPDX-License-Identifier: Apache-2.0
// Property: on the instruction-set level that TITAN_CPU_ISA names, every operation (attention has its own program), in
// float32 and bfloat16, gives what graph/op.h states. Oracle: a plain float64 reference, whose gradients are themselves
// held against finite differences of its forwards. Tolerances: see runner.c and below.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four above first
#include <cmocka.h>

#include "base/cpu_isa.h"
#include "conformance.h"
#include "device/cpu/kernel.h"
#include "host_copy.h"

#include <dnnl.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SKIPPED = 77 };
static titan_device *devices[2];

static int run_visited(titan_op_call *call, void *context) {
  (void)context;
  return run_case(devices, call);
}

static void every_case_matches_its_float64_reference(void **state) {
  (void)state;
  int count = 0;
  int failures = for_each_case(run_visited, NULL, &count);
  printf("%s: %d cases, %d failures\n", devices[1]->description, count, failures);
  assert_true(count > 400);
  assert_int_equal(failures, 0);
}

// The cases of a kind have the seeds 0, 1, 2, ...: as many as there are shifts see each of them, one of them so large
// that its exponential is no float32.
static void every_operation_on_logits_saw_every_shift(void **state) {
  (void)state;
  double largest = 0;
  for (uint64_t seed = 0; seed < LOGITS_SHIFTS; seed++)
    largest = fmax(largest, logits_shift(seed));
  assert_true(isinf((float)exp(largest)));
  for (int kind = 0; kind < TITAN_OP_COUNT; kind++)
    if (reads_logits((titan_op_kind)kind) && cases_run((titan_op_kind)kind) < LOGITS_SHIFTS)
      fail_msg("%s has %d cases", titan_op_name((titan_op_kind)kind), cases_run((titan_op_kind)kind));
}

// Sum over the outputs that have a gradient of dy * output, in float64. backward_in: the backward's inputs, the dy
// among them.
static double forward_sum(const gradient_tie *tie, const titan_op_call *forward, const operand *in,
                          const operand *backward_in) {
  operand out[TITAN_MAX_OUTPUTS];
  make_outputs(forward, out);
  reference_of(forward->kind)(forward, in, out);
  double sum = 0;
  for (int k = 0; k < forward->output_count; k++)
    for (int64_t i = 0; tie->dy[k] > 0 && i < titan_tensor_elements(&forward->outputs[k]); i++)
      sum += backward_in[tie->dy[k] - 1].values[i] * out[k].values[i];
  free_operands(out, forward->output_count);
  return sum;
}

// Tolerance: central differences with step h have error h^2 f'''/6 and rounding 1e-16 / h; h = 1e-4 leaves 1e-7, and
// the statistics given to the backward are rounded to float32, which is worth 1e-6.
static int compare_with_differences(const gradient_tie *tie, const titan_op_call *forward, operand *in,
                                    const operand *backward_in, int input, const operand *gradient) {
  const double h = 1e-4;
  for (int64_t i = 0; i < titan_tensor_elements(&forward->inputs[input]); i++) {
    double *x = &in[input].values[i], saved = *x;
    *x = saved + h;
    double above = forward_sum(tie, forward, in, backward_in);
    *x = saved - h;
    double slope = (above - forward_sum(tie, forward, in, backward_in)) / (2 * h);
    *x = saved;
    if (!(fabs(slope - gradient->values[i]) <= 3e-6 * (gradient->terms[i] + 1))) {
      fprintf(stderr, "FAILED gradient reference of %s, input %d element %lld: %.9g, finite difference %.9g\n",
              titan_op_name(forward->kind), input, (long long)i, gradient->values[i], slope);
      return 1;
    }
  }
  return 0;
}

static int check_gradient(titan_op_call *call, void *context) {
  int *checked = context;
  const gradient_tie *tie = gradient_tie_of(call);
  call->attributes.norm.fused |= call->kind == TITAN_OP_rms_norm_backward; // rounding has no derivative
  if (tie == NULL || titan_op_infer(call) != TITAN_OK || call->inputs[tie->dy[0] - 1].dtype != TITAN_FLOAT32 ||
      titan_tensor_elements(&call->outputs[0]) > 300)
    return 0;
  titan_op_call forward;
  forward_call_of(tie, call, &forward);
  operand in[TITAN_MAX_INPUTS], gradients[TITAN_MAX_OUTPUTS], forward_in[5], zeros;
  make_inputs(call, 1, in);
  make_outputs(call, gradients);
  reference_of(call->kind)(call, in, gradients);
  forward_inputs_of(tie, &forward, in, forward_in, &zeros);
  int failures = 0;
  for (int k = 0; k < call->output_count; k++)
    failures += compare_with_differences(tie, &forward, forward_in, in, tie->gradient_of[k], &gradients[k]);
  ++*checked;
  free_operands(&zeros, 1);
  free_operands(in, call->input_count);
  free_operands(gradients, call->output_count);
  return failures;
}

static void gradient_references_match_finite_differences(void **state) {
  (void)state;
  int count = 0, checked = 0;
  assert_int_equal(for_each_case(check_gradient, &checked, &count), 0);
  assert_true(checked > 20);
}

static void vector_functions_match_float64(void **state) {
  (void)state;
  for (int i = 0; i < 2; i++)
    assert_int_equal(check_vector_functions(devices[i]), 0);
}

static void fused_operations_give_bitwise_what_their_parts_give(void **state) {
  (void)state;
  for (int i = 0; i < 2; i++)
    assert_int_equal(check_fused_operations(devices[i]), 0);
}

static void numbers_that_are_not_finite_stay_so(void **state) {
  (void)state;
  for (int i = 0; i < 2; i++)
    assert_int_equal(check_nonfinite_inputs(devices[i]), 0);
}

// The norm of a gradient and the weights after a step must not depend on how many threads a rank has.
static void sums_do_not_depend_on_the_number_of_threads(void **state) {
  (void)state;
  enum { N = 100003 };
  static float x[N];
  for (int i = 0; i < N; i++)
    x[i] = (float)sin(i);
  double sums[2] = {0, 1};
  for (int i = 0; i < 2; i++)
    assert_int_equal(devices[i]->vector->sum_of_squares(devices[i], N, x, &sums[i]), TITAN_OK);
  assert_true(sums[0] == sums[1]);
}

static void tokens_and_labels_outside_the_vocabulary_are_data_errors(void **state) {
  (void)state;
  static const titan_op_kind kinds[] = {TITAN_OP_embedding, TITAN_OP_embedding_backward, TITAN_OP_cross_entropy};
  float numbers[64] = {0}, out[64], more[64];
  double workspace[16];
  if (strcmp(devices[0]->name, "cpu") != 0)
    skip(); // others need not look: batches are checked on the host (titan_runtime_check_batch)
  for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
    for (int wrong = -1; wrong <= 4; wrong += 5) {
      titan_op_call call = {.kind = kinds[k], .input_count = 2, .attributes.embedding.vocabulary = 4};
      int32_t indices[] = {0, wrong, 3};
      bool labels = kinds[k] == TITAN_OP_cross_entropy;
      call.inputs[labels] = (titan_tensor_type){TITAN_INT32, labels ? 1 : 2, {labels ? 3 : 1, 3}};
      call.inputs[!labels] = kinds[k] == TITAN_OP_embedding_backward
                                 ? (titan_tensor_type){TITAN_FLOAT32, 3, {1, 3, 4}}
                                 : (titan_tensor_type){TITAN_FLOAT32, 2, {labels ? 3 : 4, 4}};
      assert_int_equal(titan_op_infer(&call), TITAN_OK);
      const void *inputs[] = {labels ? (const void *)numbers : indices, labels ? (const void *)indices : numbers};
      const titan_kernel *kernel = devices[0]->kernel(devices[0], kinds[k]);
      assert_int_equal(kernel->run(devices[0], &call, NULL, inputs, (void *[]){out, more}, workspace),
                       labels && wrong < 0 ? TITAN_OK : TITAN_ERROR_DATA); // a label below 0 does not count
    }
}

static void an_unknown_instruction_set_is_a_usage_error(void **state) {
  (void)state;
  char *saved = strdup(titan_cpu_isa_name(TITAN_CPU_GENERIC));
  const char *present = getenv("TITAN_CPU_ISA");
  if (present != NULL) {
    free(saved);
    saved = strdup(present);
  }
  setenv("TITAN_CPU_ISA", "sse9", 1);
  titan_device *device;
  assert_int_equal(titan_device_create_cpu(1, &device), TITAN_ERROR_USAGE);
  assert_null(device);
  assert_non_null(strstr(titan_error_message(), "sse9"));
  if (present != NULL)
    setenv("TITAN_CPU_ISA", saved, 1);
  else
    unsetenv("TITAN_CPU_ISA");
  free(saved);
}

#ifdef __x86_64__
// oneDNN's names of our levels.
static dnnl_cpu_isa_t dnnl_level(titan_cpu_isa isa) {
  static const dnnl_cpu_isa_t levels[] = {dnnl_cpu_isa_sse41, dnnl_cpu_isa_sse41, dnnl_cpu_isa_avx2,
                                          dnnl_cpu_isa_avx512_core, dnnl_cpu_isa_avx512_core_bf16};
  return levels[isa];
}
#endif

// The level that was asked for is in use: in the device's own kernels, in oneDNN, and in what the log says.
static void the_level_asked_for_is_the_one_in_use(void **state) {
  (void)state;
  const char *wanted = getenv("TITAN_CPU_ISA");
  char text[64];
  if (wanted == NULL)
    wanted = titan_cpu_isa_name(titan_cpu_isa_best());
  if (strcmp(devices[0]->name, "cpu") != 0)
    skip(); // kernels of another device
  snprintf(text, sizeof text, ", %s, ", wanted);
  assert_string_equal(devices[0]->level, wanted);
  assert_non_null(strstr(devices[0]->description, text));
  const titan_kernel *kernel = devices[0]->kernel(devices[0], TITAN_OP_add);
  for (int isa = TITAN_CPU_GENERIC; isa < TITAN_CPU_AMX; isa++) {
    bool is_asked_for = strcmp(titan_cpu_isa_name((titan_cpu_isa)isa), wanted) == 0;
    const titan_kernel *const *kernels = titan_cpu_kernels_of((titan_cpu_isa)isa);
    bool is_in_use = kernels != NULL && kernel == kernels[TITAN_OP_add];
    if (strcmp(wanted, "amx") == 0)
      is_asked_for = isa == TITAN_CPU_AVX512_BF16;
#ifdef __x86_64__
    else if (is_asked_for)
      assert_int_equal(dnnl_get_effective_cpu_isa(), dnnl_level((titan_cpu_isa)isa));
#endif
    assert_int_equal(is_in_use, is_asked_for);
  }
}

static int create_devices(void **state) {
  (void)state;
  for (int i = 0; i < 2; i++)
    if (test_kernel_device_create(i + 1, &devices[i]) != TITAN_OK) {
      fprintf(stderr, "%s\n", titan_error_message());
      return -1;
    }
  return 0;
}

static int destroy_devices(void **state) {
  (void)state;
  for (int i = 0; i < 2; i++)
    titan_device_destroy(&devices[i]);
  return 0;
}

static bool level_is_missing(void) {
  const char *wanted = getenv("TITAN_CPU_ISA");
  for (int isa = TITAN_CPU_GENERIC; wanted != NULL && isa <= TITAN_CPU_AMX; isa++)
    if (strcmp(wanted, titan_cpu_isa_name((titan_cpu_isa)isa)) == 0 && isa > (int)titan_cpu_isa_best()) {
      printf("SKIPPED: this machine has no %s; its best level is %s\n", wanted,
             titan_cpu_isa_name(titan_cpu_isa_best()));
      return true;
    }
  return false;
}

int main(void) {
  if (level_is_missing())
    return SKIPPED;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(gradient_references_match_finite_differences),
      cmocka_unit_test(every_case_matches_its_float64_reference),
      cmocka_unit_test(every_operation_on_logits_saw_every_shift),
      cmocka_unit_test(vector_functions_match_float64),
      cmocka_unit_test(fused_operations_give_bitwise_what_their_parts_give),
      cmocka_unit_test(numbers_that_are_not_finite_stay_so),
      cmocka_unit_test(sums_do_not_depend_on_the_number_of_threads),
      cmocka_unit_test(tokens_and_labels_outside_the_vocabulary_are_data_errors),
      cmocka_unit_test(the_level_asked_for_is_the_one_in_use),
      cmocka_unit_test(an_unknown_instruction_set_is_a_usage_error),
  };
  int failed = cmocka_run_group_tests(tests, create_devices, destroy_devices);
  return failed != 0 || titan_memory_report_leaks() != 0;
}
