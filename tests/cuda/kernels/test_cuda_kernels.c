// SPDX-License-Identifier: Apache-2.0
// Property: the CUDA device's own kernels of streams of numbers (not products, attention and collectives) give the bits
// that do not depend on the order in which blocks and threads take turns, and what graph/op.h states on long rows and
// many, and where operands are not aligned; shared memory is written and read with barriers between. Oracle: the
// float64 reference of the conformance tests and the emulator's faults. Tolerance: theirs; none between orders.
//
// Arguments name operations, or "vectors": only these are tested.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four above first
#include <cmocka.h>

#include "control.h"
#include "device/numbers.h"
#include "host_copy.h"
#include "wide_cases.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { ORDERS = 4 };

static titan_device *devices[2];
static char **names;
static int name_count;

static bool found; // a failure: the rest is left out where operations are named

static void finish_test(int failures) {
  found |= failures > 0;
  assert_int_equal(failures, 0);
}

static void skip_after_failure(void) {
  if (found && name_count > 0)
    skip();
}

static bool is_wanted(const char *name) {
  for (int i = 0; i < name_count; i++)
    if (strcmp(names[i], name) == 0)
      return true;
  return name_count == 0;
}

// Those whose kernels are tested here, and are wanted.
static bool is_tested(titan_op_kind kind) {
  static const titan_op_kind others[] = {TITAN_OP_matmul,    TITAN_OP_gather_matmul,      TITAN_OP_matmul_scatter,
                                         TITAN_OP_attention, TITAN_OP_attention_backward, TITAN_OP_rope_table};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++)
    if (kind == others[i])
      return false;
  return is_wanted(titan_op_name(kind));
}

static void set_order(int order) {
  static const titan_emulator_order orders[ORDERS] = {TITAN_EMULATOR_FORWARD, TITAN_EMULATOR_BACKWARD,
                                                      TITAN_EMULATOR_RANDOM, TITAN_EMULATOR_RANDOM};
  titan_emulator_set_order(orders[order], (uint64_t)order);
}

static int faults_of(const char *name) {
  char text[600];
  int count = titan_emulator_take_faults(text, sizeof text);
  if (count > 0)
    fprintf(stderr, "FAILED %s: %d faults, the first in %s\n", name, count, text);
  return count > 0;
}

static int match_reference(titan_op_call *call, void *context) {
  (void)context;
  return is_tested(call->kind) ? run_case(devices, call) + faults_of(titan_op_name(call->kind)) : 0;
}

// --- bits in every order ---

static void *zeroed(size_t bytes) {
  void *memory = NULL;
  if (posix_memalign(&memory, 64, bytes + 64) != 0)
    abort();
  memset(memory, 0, bytes + 64);
  return memory;
}

static titan_status run(const titan_op_call *call, void *const *inputs, void *const *outputs) {
  titan_device *device = devices[0];
  const titan_kernel *kernel = device->kernel(device, call->kind);
  const void *in[TITAN_MAX_INPUTS];
  void *workspace = zeroed(kernel->workspace != NULL ? kernel->workspace(device, call) : 0), *state = NULL;
  for (int i = 0; i < call->input_count; i++)
    in[i] = inputs[i];
  titan_status status = kernel->prepare != NULL ? kernel->prepare(device, call, &state) : TITAN_OK;
  if (status == TITAN_OK)
    status = kernel->run(device, call, state, in, outputs, workspace);
  if (kernel->release != NULL)
    kernel->release(device, state);
  free(workspace);
  return status;
}

// Runs the call in each order; outputs[order][i].
static int run_orders(const titan_op_call *call, void *const *inputs, void *outputs[ORDERS][TITAN_MAX_OUTPUTS]) {
  const char *name = titan_op_name(call->kind);
  int failures = 0;
  for (int order = 0; order < ORDERS; order++) {
    for (int i = 0; i < call->output_count; i++)
      outputs[order][i] = zeroed(titan_tensor_bytes(&call->outputs[i]));
    set_order(order);
    if (run(call, inputs, outputs[order]) != TITAN_OK) {
      fprintf(stderr, "FAILED %s: %s\n", name, titan_error_message());
      failures++;
    }
    failures += faults_of(name);
  }
  set_order(0);
  return failures;
}

static int give_the_same_bits(titan_op_call *call, void *context) {
  (void)context;
  operand in[TITAN_MAX_INPUTS];
  void *inputs[TITAN_MAX_INPUTS], *outputs[ORDERS][TITAN_MAX_OUTPUTS];
  if (!is_tested(call->kind))
    return 0;
  if (titan_op_infer(call) != TITAN_OK)
    fail_msg("%s", titan_error_message());
  make_inputs(call, 7, in);
  for (int i = 0; i < call->input_count; i++) {
    inputs[i] = zeroed(titan_tensor_bytes(&call->inputs[i]));
    store_values(call->inputs[i].dtype, in[i].values, titan_tensor_elements(&call->inputs[i]), inputs[i]);
  }
  int failures = run_orders(call, inputs, outputs);
  for (int i = 0; i < call->output_count; i++)
    for (int order = 1; order < ORDERS; order++)
      if (memcmp(outputs[order][i], outputs[0][i], titan_tensor_bytes(&call->outputs[i])) != 0) {
        fprintf(stderr, "FAILED %s: output %d depends on the order of threads (%d)\n", titan_op_name(call->kind), i,
                order);
        failures++;
      }
  for (int order = 0; order < ORDERS; order++)
    for (int i = 0; i < call->output_count; i++)
      free(outputs[order][i]);
  for (int i = 0; i < call->input_count; i++)
    free(inputs[i]);
  free_operands(in, call->input_count);
  return failures;
}

static void long_rows_and_many_match_the_float64_reference(void **state) {
  (void)state;
  skip_after_failure();
  finish_test(for_each_wide_case(match_reference, NULL));
}

static void bits_do_not_depend_on_the_order_of_threads(void **state) {
  (void)state;
  int count = 0;
  finish_test(for_each_case(give_the_same_bits, NULL, &count));
  finish_test(for_each_wide_case(give_the_same_bits, NULL));
}

static void operands_need_not_be_aligned(void **state) {
  (void)state;
  int count = 0;
  skip_after_failure();
  titan_staged_shift(sizeof(float));
  int failures = for_each_case(match_reference, NULL, &count);
  titan_staged_shift(0);
  finish_test(failures);
}

static void vector_functions_match_float64_in_every_order(void **state) {
  (void)state;
  for (int order = 0; order < ORDERS && is_wanted("vectors"); order++) {
    set_order(order);
    int failures = check_vector_functions(devices[0]) + faults_of("vector functions");
    set_order(0);
    assert_int_equal(failures, 0);
  }
}

// --- a step's numbers ---

static const double flags_of_a_rank[TITAN_NUMBERS] = {0, 0, 1, 0, 0, 4711, 0};

static titan_numbers_request request_of(titan_numbers_stage stage, const float *losses, const double *squares) {
  return (titan_numbers_request){.stage = stage,
                                 .losses = losses,
                                 .squares = squares,
                                 .loss_count = 3,
                                 .square_count = 2,
                                 .divisor = 77,
                                 .flags = flags_of_a_rank,
                                 .replicas = 2,
                                 .max_norm = 1.5,
                                 .token_ranks = 1};
}

static void numbers_of_a_step_are_those_of_the_host(void **state) {
  (void)state;
  const float losses[][3] = {{10.5f, 3.25f, 7}, {NAN, 1, 2}};
  const double squares[] = {4.25, 1e-3};
  for (int k = 0; k < 2 && is_wanted("vectors"); k++) {
    titan_step_numbers here = {.loss = 0}, there = {.loss = 0};
    titan_step_state state_here = {.bad = 0}, state_there = {.bad = 0};
    for (int stage = TITAN_NUMBERS_OWN; stage <= TITAN_NUMBERS_OVER_TENSOR; stage++) {
      titan_numbers_request request = request_of((titan_numbers_stage)stage, losses[k], squares);
      titan_step_numbers_apply(&request, &here, &state_here);
      assert_int_equal(devices[0]->vector->numbers(devices[0], &request, &there, &state_there), TITAN_OK);
      assert_memory_equal(&here, &there, sizeof here);
      assert_memory_equal(&state_here, &state_there, sizeof state_here);
    }
    assert_int_equal(state_there.bad, k);
  }
}

// Else a missing barrier would not be found.
static void accesses_to_shared_memory_are_watched(void **state) {
  (void)state;
#ifdef TITAN_EMULATOR_IS_WATCHED
  assert_true(titan_emulator_watches());
#else
  skip();
#endif
}

static int create_devices(void **state) {
  (void)state;
  titan_emulator_collect_faults(true);
  for (int i = 0; i < 2; i++)
    if (test_kernel_device_create(1, &devices[i]) != TITAN_OK) {
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

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(vector_functions_match_float64_in_every_order),
      cmocka_unit_test(numbers_of_a_step_are_those_of_the_host),
      cmocka_unit_test(bits_do_not_depend_on_the_order_of_threads),
      cmocka_unit_test(operands_need_not_be_aligned),
      cmocka_unit_test(long_rows_and_many_match_the_float64_reference),
      cmocka_unit_test(accesses_to_shared_memory_are_watched),
  };
  names = argv + 1;
  name_count = argc - 1;
  setenv("TITAN_TEST_DEVICE", "emulated", 1);
  int failed = cmocka_run_group_tests(tests, create_devices, destroy_devices);
  return failed != 0 || titan_memory_report_leaks() != 0;
}
