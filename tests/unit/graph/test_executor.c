// SPDX-License-Identifier: Apache-2.0
// Property: an executable prepares each instruction's kernel once and releases it once, runs as often as one likes with
// the same result, and computes the graph's mathematics. Oracles: a device that counts and passes on to the CPU device;
// the graph interpreted in float64. Tolerance of the latter: 1e-4 of the largest element of an output; float32 has
// 6e-8, sums of some hundred products and steep norms lose three digits.
#include "graph_test.h"
#include "interpret.h"
#include "random_graph.h"
#include "run.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static titan_device *cpu;

// --- a device that counts ---

enum { WORKSPACE = 200 };
static const char pattern = 0x5A;

static struct counts {
  int prepared, released, run, live, fail_prepare_at, fail_run_at;
  bool workspace_was_good;
} counts;

static size_t counting_workspace(titan_device *device, const titan_op_call *call) {
  const titan_kernel *kernel = cpu->kernel(cpu, call->kind);
  (void)device;
  return WORKSPACE + (kernel->workspace != NULL ? kernel->workspace(cpu, call) : 0);
}

static titan_status counting_prepare(titan_device *device, const titan_op_call *call, void **state) {
  (void)device;
  *state = NULL;
  if (++counts.prepared == counts.fail_prepare_at)
    return titan_error(TITAN_ERROR_DEVICE, "the kernel of %s cannot be prepared", titan_op_name(call->kind));
  TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_KERNEL_STATE, 1, sizeof(titan_op_call), state));
  memcpy(*state, call, sizeof *call);
  counts.live++;
  return TITAN_OK;
}

static void counting_release(titan_device *device, void *state) {
  (void)device;
  counts.released++;
  counts.live--;
  titan_memory_free(state);
}

// The last WORKSPACE bytes belong to this kernel; the CPU's own kernel gets what is before.
static titan_status counting_run(titan_device *device, const titan_op_call *call, void *state,
                                 const void *const *inputs, void *const *outputs, void *workspace) {
  (void)device;
  assert_memory_equal(state, call, sizeof *call); // the state made for this call
  if (++counts.run == counts.fail_run_at)
    return titan_error(TITAN_ERROR_DEVICE, "the kernel of %s fails", titan_op_name(call->kind));
  char *mine = (char *)workspace + counting_workspace(device, call) - WORKSPACE;
  const titan_kernel *kernel = cpu->kernel(cpu, call->kind);
  void *cpu_state = NULL;
  counts.workspace_was_good &= workspace != NULL && (uintptr_t)workspace % TITAN_PLAN_ALIGNMENT == 0;
  memset(mine, pattern, WORKSPACE);
  if (kernel->prepare != NULL)
    TITAN_TRY(kernel->prepare(cpu, call, &cpu_state));
  titan_status status = kernel->run(cpu, call, cpu_state, inputs, outputs, workspace);
  if (kernel->prepare != NULL)
    kernel->release(cpu, cpu_state);
  for (int i = 0; i < WORKSPACE; i++)
    counts.workspace_was_good &= mine[i] == pattern; // no operand lies in it
  return status;
}

static const titan_kernel *counting_kernel(titan_device *device, titan_op_kind kind) {
  static const titan_kernel kernel = {
      .workspace = counting_workspace, .prepare = counting_prepare, .run = counting_run, .release = counting_release};
  (void)device;
  return titan_op_is_view(kind) ? NULL : &kernel;
}

static titan_device counting_device(void) {
  titan_device device = *cpu;
  device.kernel = counting_kernel;
  counts = (struct counts){.workspace_was_good = true};
  return device;
}

static titan_graph *some_graph(random_source *random) {
  random_graph_options options = {.dtype = TITAN_FLOAT32, .steps = 12, .fused_norms = true, .differentiate = true};
  return random_graph_create(random, &options);
}

// A random graph that can be planned.
static titan_graph *planned_graph(random_source *random, titan_device *device, titan_executable **executable) {
  for (int tries = 0; tries < 50; tries++) {
    titan_graph *graph = some_graph(random);
    if (titan_executable_create(device, graph, false, executable) == TITAN_OK) {
      TRY(titan_executable_prepare(*executable));
      return graph;
    }
    titan_graph_destroy(&graph);
  }
  fail_msg("no graph could be planned: %s", titan_error_message());
  return NULL;
}

static int progress_calls;
static void count_progress(void) {
  progress_calls++;
}

static void each_instruction_is_prepared_once_and_released_once(void **state) {
  (void)state;
  random_source random = {1};
  titan_device device = counting_device();
  titan_executable *executable;
  titan_graph *graph = planned_graph(&random, &device, &executable);
  const titan_plan *plan = titan_executable_plan(executable);
  int instructions = plan->phases[TITAN_FORWARD].count + plan->phases[TITAN_BACKWARD].count;
  counts.run = 0;
  assert_int_equal(counts.live, instructions);
  int prepared = counts.prepared;
  value_bytes expected = value_bytes_create(graph, &random, RANDOM_GRAPH_VOCABULARY);
  run_directly(cpu, &expected);
  check_plan(executable, &expected, 3);
  assert_int_equal(counts.prepared, prepared);
  assert_int_equal(counts.run, 3 * instructions);
  assert_true(counts.workspace_was_good);
  titan_executable_destroy(&executable);
  assert_int_equal(counts.live, 0);
  assert_null(executable);
  titan_executable_destroy(&executable); // NULL is fine
  value_bytes_destroy(&expected);
  titan_graph_destroy(&graph);
}

static void a_kernel_that_cannot_be_prepared_fails_the_preparation_and_leaves_nothing(void **state) {
  (void)state;
  random_source random = {1};
  titan_device device = counting_device();
  titan_executable *executable;
  titan_graph *graph = planned_graph(&random, &device, &executable);
  titan_executable_destroy(&executable);
  int all = counts.released;
  for (int at = 1; at <= all; at += 7) {
    counts = (struct counts){.fail_prepare_at = at};
    TRY(titan_executable_create(&device, graph, false, &executable));
    assert_int_equal(counts.prepared, 0);
    assert_int_equal(titan_executable_prepare(executable), TITAN_ERROR_DEVICE);
    titan_executable_destroy(&executable);
    assert_int_equal(counts.released, at - 1);
    assert_int_equal(counts.live, 0);
  }
  titan_graph_destroy(&graph);
}

static void a_failing_kernel_ends_the_run(void **state) {
  (void)state;
  titan_device device = counting_device();
  titan_graph *graph;
  titan_value x;
  TRY(titan_graph_create("chain", &graph));
  TRY(titan_graph_input(graph, "x", (titan_tensor_type){TITAN_FLOAT32, 1, {8}}, false, &x));
  for (int i = 0; i < 5; i++)
    TRY(titan_graph_unary(graph, TITAN_OP_silu, x, &x));
  TRY(titan_graph_output_add(graph, "y", x));
  titan_executable *executable;
  TRY(titan_executable_create(&device, graph, false, &executable));
  titan_bindings none = {0};
  assert_int_equal(titan_executable_run(executable, TITAN_FORWARD, &none, NULL), TITAN_ERROR_INTERNAL);
  TRY(titan_executable_prepare(executable));
  float in[8] = {1, 2, 3, 4, 5, 6, 7, 8}, out[8];
  void *scratch;
  TRY(titan_memory_allocate(TITAN_MEMORY_GENERAL,
                            titan_executable_plan(executable)->phases[TITAN_FORWARD].scratch_bytes, &scratch));
  titan_bindings bindings = {.scratch = scratch, .externals = (void *[]){in, out}};
  progress_calls = 0;
  TRY(titan_executable_run(executable, TITAN_FORWARD, &bindings, count_progress));
  assert_int_equal(progress_calls, 5);
  counts.run = progress_calls = 0;
  counts.fail_run_at = 3;
  assert_int_equal(titan_executable_run(executable, TITAN_FORWARD, &bindings, count_progress), TITAN_ERROR_DEVICE);
  assert_int_equal(counts.run, 3);
  assert_int_equal(progress_calls, 2);
  titan_memory_free(scratch);
  titan_executable_destroy(&executable);
  titan_graph_destroy(&graph);
}

static titan_comm *group_seen;

static titan_status note_group(titan_device *device, const titan_op_call *call, void *state, titan_comm *group,
                               const void *const *inputs, void *const *outputs, void *workspace) {
  (void)device, (void)call, (void)state, (void)inputs, (void)outputs, (void)workspace;
  group_seen = group;
  return TITAN_OK;
}

static const titan_kernel *grouped_kernel(titan_device *device, titan_op_kind kind) {
  static const titan_kernel kernel = {.run_in_group = note_group};
  (void)device;
  return titan_op_is_view(kind) ? NULL : &kernel;
}

static void a_collective_gets_the_group_of_its_dimension_from_the_bindings(void **state) {
  (void)state;
  titan_device device = *cpu;
  device.kernel = grouped_kernel;
  TRY(titan_device_check(&device));
  char cp, tp; // stand for groups, which the executor only hands on
  titan_comm *const groups[TITAN_PLACEMENT_DIMENSIONS] = {(titan_comm *)&cp, (titan_comm *)&tp};
  titan_comm *const without_tp[TITAN_PLACEMENT_DIMENSIONS] = {(titan_comm *)&cp, NULL};
  for (int dimension = 0; dimension < TITAN_PLACEMENT_DIMENSIONS; dimension++) {
    titan_graph *graph;
    titan_value x, y;
    titan_executable *executable;
    titan_op_attributes attributes = {.collective = {.dimension = dimension, .ranks = 1}};
    TRY(titan_graph_create("grouped", &graph));
    TRY(titan_graph_input(graph, "x", (titan_tensor_type){TITAN_FLOAT32, 1, {8}}, false, &x));
    TRY(titan_graph_apply(graph, TITAN_OP_all_reduce, &attributes, 1, &x, &y));
    TRY(titan_graph_output_add(graph, "y", y));
    TRY(titan_executable_create(&device, graph, false, &executable));
    TRY(titan_executable_prepare(executable));
    float in[8] = {0}, out[8];
    titan_bindings bindings = {.externals = (void *[]){in, out}, .groups = groups};
    TRY(titan_executable_run(executable, TITAN_FORWARD, &bindings, NULL));
    assert_ptr_equal(group_seen, groups[dimension]);
    bindings.groups = NULL;
    assert_int_equal(titan_executable_run(executable, TITAN_FORWARD, &bindings, NULL), TITAN_ERROR_INTERNAL);
    bindings.groups = without_tp;
    assert_int_equal(titan_executable_run(executable, TITAN_FORWARD, &bindings, NULL),
                     dimension == TITAN_PLACEMENT_TP ? TITAN_ERROR_INTERNAL : TITAN_OK);
    titan_executable_destroy(&executable);
    titan_graph_destroy(&graph);
  }
}

static const titan_kernel *kernel_with_both(titan_device *device, titan_op_kind kind) {
  static const titan_kernel kernel = {.run = counting_run, .run_in_group = note_group};
  return kind == TITAN_OP_all_reduce ? &kernel : cpu->kernel(device, kind);
}

static const titan_kernel *kernel_with_neither(titan_device *device, titan_op_kind kind) {
  static const titan_kernel kernel = {.workspace = counting_workspace};
  return kind == TITAN_OP_all_reduce ? &kernel : cpu->kernel(device, kind);
}

static void a_kernel_has_exactly_one_of_its_two_ways_to_run(void **state) {
  (void)state;
  titan_device device = *cpu;
  TRY(titan_device_check(&device));
  device.kernel = kernel_with_both;
  assert_int_equal(titan_device_check(&device), TITAN_ERROR_INTERNAL);
  assert_non_null(strstr(titan_error_message(), "all_reduce has both run and run_in_group"));
  device.kernel = kernel_with_neither;
  assert_int_equal(titan_device_check(&device), TITAN_ERROR_INTERNAL);
  assert_non_null(strstr(titan_error_message(), "all_reduce is missing"));
}

static void nothing_is_allocated_while_running(void **state) {
  (void)state;
  random_source random = {3};
  titan_executable *executable;
  titan_graph *graph = planned_graph(&random, cpu, &executable);
  value_bytes expected = value_bytes_create(graph, &random, RANDOM_GRAPH_VOCABULARY);
  run_directly(cpu, &expected);
  check_plan(executable, &expected, 1);
  // check_plan's own buffers are the most that is live: a second time may not need more
  titan_memory_reset_peaks();
  check_plan(executable, &expected, 1);
  size_t peak = titan_memory_usage_total().peak_bytes;
  titan_memory_reset_peaks();
  check_plan(executable, &expected, 3);
  assert_int_equal(titan_memory_usage_total().peak_bytes, peak);
  assert_int_equal(titan_memory_usage_of(TITAN_MEMORY_KERNEL_STATE).peak_bytes,
                   titan_memory_usage_of(TITAN_MEMORY_KERNEL_STATE).live_bytes);
  titan_executable_destroy(&executable);
  value_bytes_destroy(&expected);
  titan_graph_destroy(&graph);
}

static void timing_counts_calls_and_work_while_it_is_on(void **state) {
  (void)state;
  titan_op_timing table[TITAN_OP_COUNT];
  titan_graph *graph;
  titan_value x, y;
  TRY(titan_graph_create("timed", &graph));
  TRY(titan_graph_input(graph, "x", (titan_tensor_type){TITAN_FLOAT32, 2, {8, 8}}, false, &x));
  TRY(titan_graph_matmul(graph, x, false, x, true, TITAN_FLOAT32, &y));
  TRY(titan_graph_unary(graph, TITAN_OP_silu, y, &y));
  TRY(titan_graph_output_add(graph, "y", y));
  titan_executable *executable;
  TRY(titan_executable_create(cpu, graph, false, &executable));
  TRY(titan_executable_prepare(executable));
  float in[64] = {0}, out[64], scratch[64];
  titan_bindings bindings = {.scratch = scratch, .externals = (void *[]){in, out}};
  TRY(titan_executable_run(executable, TITAN_FORWARD, &bindings, NULL));
  titan_executor_timing_start();
  TRY(titan_executable_run(executable, TITAN_FORWARD, &bindings, NULL));
  TRY(titan_executable_run(executable, TITAN_FORWARD, &bindings, NULL));
  titan_executor_timing_stop(table);
  TRY(titan_executable_run(executable, TITAN_FORWARD, &bindings, NULL));
  assert_int_equal(table[TITAN_OP_matmul].calls, 2);
  assert_int_equal(table[TITAN_OP_silu].calls, 2);
  assert_int_equal(table[TITAN_OP_add].calls, 0);
  assert_float_equal(table[TITAN_OP_matmul].flops, 2 * 2.0 * 8 * 8 * 8, 0);
  assert_true(table[TITAN_OP_matmul].seconds >= 0);
  titan_executor_timing_start();
  titan_executor_timing_stop(table);
  assert_int_equal(table[TITAN_OP_matmul].calls, 0);
  titan_executable_destroy(&executable);
  titan_graph_destroy(&graph);
}

// --- against float64 ---

static void expect_near(const titan_graph *graph, titan_value value, const float *single, const double *reference) {
  int64_t count = titan_tensor_elements(&titan_graph_value(graph, value)->type);
  double largest = 0, worst = 0;
  for (int64_t i = 0; i < count; i++) {
    double error = fabs((double)single[i] - reference[i]);
    largest = fmax(largest, fabs(reference[i]));
    worst = error > worst || isnan(error) ? error : worst;
  }
  if (!(worst <= 1e-4 * largest + 1e-6))
    fail_msg("%s: off by %g, largest element %g", titan_graph_value(graph, value)->name, worst, largest);
}

static void outputs_are_those_of_the_mathematics(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 60; seed++) {
    random_source random = {seed};
    titan_graph *graph = some_graph(&random);
    value_bytes bytes = value_bytes_create(graph, &random, RANDOM_GRAPH_VOCABULARY);
    double **values = interpret_allocate(graph);
    for (int v = 0; v < titan_graph_value_count(graph); v++) {
      const titan_value_info *info = titan_graph_value(graph, v);
      for (int64_t i = 0; info->producer < 0 && i < titan_tensor_elements(&info->type); i++)
        values[v][i] = info->type.dtype == TITAN_INT32 ? ((int32_t *)bytes.data[v])[i] : ((float *)bytes.data[v])[i];
    }
    run_directly(cpu, &bytes);
    interpret(graph, TITAN_BACKWARD, values);
    for (int i = 0; i < titan_graph_output_count(graph); i++) {
      titan_value value = titan_graph_output_at(graph, i)->value;
      expect_near(graph, value, bytes.data[value], values[value]);
    }
    interpret_free(graph, values);
    value_bytes_destroy(&bytes);
    titan_graph_destroy(&graph);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_instruction_is_prepared_once_and_released_once),
      cmocka_unit_test(a_kernel_that_cannot_be_prepared_fails_the_preparation_and_leaves_nothing),
      cmocka_unit_test(a_failing_kernel_ends_the_run),
      cmocka_unit_test(a_collective_gets_the_group_of_its_dimension_from_the_bindings),
      cmocka_unit_test(a_kernel_has_exactly_one_of_its_two_ways_to_run),
      cmocka_unit_test(nothing_is_allocated_while_running),
      cmocka_unit_test(timing_counts_calls_and_work_while_it_is_on),
      cmocka_unit_test(outputs_are_those_of_the_mathematics),
  };
  if (titan_device_create_cpu(1, &cpu) != TITAN_OK) {
    fprintf(stderr, "%s\n", titan_error_message());
    return 1;
  }
  int failures = cmocka_run_group_tests(tests, NULL, NULL);
  titan_device_destroy(&cpu);
  return failures != 0 || titan_memory_report_leaks() != 0;
}
