// SPDX-License-Identifier: Apache-2.0
// Property: the CPU kernels attention and attention_backward give what their contract in graph/op.h says, at every
// instruction-set level that this machine has, whatever the number of threads.
// Oracle: the definition in float64 (reference.c), whose gradients are themselves checked against finite differences.
// Tolerance: of float32, 1e-5 of the greatest element of the output, or of the inputs where all is cancelled (sums of
// at most 257 terms, each rounded to 6e-8; where scores are large their own rounding, 6e-8 of the score, is the
// relative error of a probability). Of bfloat16, one rounding of the output (2^-8 of the element at most) on top.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four above first
#include <cmocka.h>

#include "base/cpu_isa.h"
#include "base/random.h"
#include "device/cpu/kernel.h"
#include "reference.h"

#include <math.h>
#include <stdio.h>

enum { Q, KEYS, V, O, LSE, DO, DQ, DK, DV, TENSORS };
static const char *const tensor_names[TENSORS] = {"q", "k", "v", "o", "lse", "do", "dq", "dk", "dv"};

typedef struct attention_case {
  attention_sizes sizes;
  titan_dtype dtype;
  double magnitude; // of the elements of q
  int64_t count[TENSORS];
  double *exact[TENSORS]; // inputs as the kernel sees them, outputs of the reference
  void *given[TENSORS];   // in the dtype of the call; lse in float32
} attention_case;

// The levels with kernels of their own that this machine runs.
static int level_count(void) {
  int best = titan_cpu_isa_best();
  return best < TITAN_CPU_AMX ? best + 1 : TITAN_CPU_AMX;
}

static const titan_kernel *kernel_of(int level, titan_op_kind kind) {
  return titan_cpu_kernels_of((titan_cpu_isa)level)[kind];
}

static titan_dtype dtype_of(const attention_case *test, int tensor) {
  return tensor == LSE ? TITAN_FLOAT32 : test->dtype;
}

static double element(const void *data, titan_dtype dtype, int64_t i) {
  return dtype == TITAN_BFLOAT16 ? (double)titan_bf16_to_float(((const titan_bf16 *)data)[i])
                                 : (double)((const float *)data)[i];
}

static void *allocate(size_t bytes) {
  void *data;
  assert_int_equal(titan_memory_allocate(TITAN_MEMORY_GENERAL, bytes, &data), TITAN_OK);
  return data;
}

// Gives a tensor the values of exact[], rounded to its type, and puts the rounded values back.
static void round_to_type(attention_case *test, int tensor) {
  for (int64_t i = 0; i < test->count[tensor]; i++) {
    if (dtype_of(test, tensor) == TITAN_BFLOAT16)
      ((titan_bf16 *)test->given[tensor])[i] = titan_bf16_from_float((float)test->exact[tensor][i]);
    else
      ((float *)test->given[tensor])[i] = (float)test->exact[tensor][i];
    test->exact[tensor][i] = element(test->given[tensor], dtype_of(test, tensor), i);
  }
}

static void fill_random(attention_case *test, int tensor, double magnitude) {
  float *values = allocate((size_t)test->count[tensor] * sizeof(float));
  titan_random_normal(titan_random_stream_create(11, tensor_names[tensor]), 0, (uint64_t)test->count[tensor], 0,
                      magnitude, -INFINITY, INFINITY, values);
  for (int64_t i = 0; i < test->count[tensor]; i++)
    test->exact[tensor][i] = values[i];
  titan_memory_free(values);
  round_to_type(test, tensor);
}

// Inputs of both calls and what they should give. The backward's o and lse are the reference's, rounded.
static attention_case case_create(attention_sizes sizes, titan_dtype dtype, double magnitude) {
  attention_case test = {.sizes = sizes, .dtype = dtype, .magnitude = magnitude};
  const int64_t positions = sizes.batch * sizes.length;
  for (int i = 0; i < TENSORS; i++) {
    const bool of_keys = i == KEYS || i == V || i == DK || i == DV;
    test.count[i] = positions * (of_keys ? sizes.kv_heads : sizes.heads) * (i == LSE ? 1 : sizes.head_size);
    test.exact[i] = allocate((size_t)test.count[i] * sizeof(double));
    test.given[i] = allocate((size_t)test.count[i] * titan_dtype_bytes(dtype_of(&test, i)));
  }
  fill_random(&test, Q, magnitude);
  fill_random(&test, KEYS, 1);
  fill_random(&test, V, 1);
  fill_random(&test, DO, 1);
  reference_attention(sizes, test.exact[Q], test.exact[KEYS], test.exact[V], test.exact[O], test.exact[LSE]);
  return test;
}

static void case_make_gradients(attention_case *test) {
  round_to_type(test, O);
  round_to_type(test, LSE);
  reference_attention_backward(test->sizes, test->exact[Q], test->exact[KEYS], test->exact[V], test->exact[O],
                               test->exact[LSE], test->exact[DO], test->exact[DQ], test->exact[DK], test->exact[DV]);
}

static void case_destroy(attention_case *test) {
  for (int i = 0; i < TENSORS; i++) {
    titan_memory_free(test->exact[i]);
    titan_memory_free(test->given[i]);
  }
}

static titan_tensor_type type_of(const attention_case *test, int tensor) {
  const attention_sizes *s = &test->sizes;
  if (tensor == LSE)
    return (titan_tensor_type){TITAN_FLOAT32, 3, {s->batch, s->heads, s->length}};
  const bool of_keys = tensor == KEYS || tensor == V || tensor == DK || tensor == DV;
  return (titan_tensor_type){test->dtype, 4, {s->batch, s->length, of_keys ? s->kv_heads : s->heads, s->head_size}};
}

// Runs one kernel on `threads` threads. outputs[i] are new memory, filled with NaN before; so is the workspace, whose
// end is watched.
static void run_kernel(const attention_case *test, titan_op_kind kind, const titan_kernel *kernel, int threads,
                       void **outputs) {
  const bool forward = kind == TITAN_OP_attention;
  titan_device device = {.name = "cpu", .threads = threads};
  titan_op_call call = {.kind = kind, .input_count = forward ? 3 : 6, .output_count = forward ? 2 : 3};
  const void *inputs[6];
  for (int i = 0; i < call.input_count; i++) {
    inputs[i] = test->given[Q + i];
    call.inputs[i] = type_of(test, Q + i);
  }
  for (int i = 0; i < call.output_count; i++) {
    call.outputs[i] = type_of(test, (forward ? O : DQ) + i);
    outputs[i] = allocate(titan_tensor_bytes(&call.outputs[i]));
    memset(outputs[i], 0xff, titan_tensor_bytes(&call.outputs[i]));
  }
  const size_t bytes = kernel->workspace(&device, &call);
  unsigned char *workspace = allocate(bytes + 64);
  memset(workspace, 0xff, bytes);
  memset(workspace + bytes, 0x5a, 64);
  assert_int_equal(kernel->run(&device, &call, NULL, inputs, outputs, workspace), TITAN_OK);
  for (int i = 0; i < 64; i++)
    assert_int_equal(workspace[bytes + (size_t)i], 0x5a);
  titan_memory_free(workspace);
}

static void compare(const attention_case *test, const char *level, int tensor, const void *got, double tolerance) {
  double greatest = 0;
  for (int64_t i = 0; i < test->count[tensor]; i++)
    greatest = fmax(greatest, fabs(test->exact[tensor][i]));
  const double rounding = dtype_of(test, tensor) == TITAN_BFLOAT16 ? 1.0 / 256 : 0;
  for (int64_t i = 0; i < test->count[tensor]; i++) {
    const double want = test->exact[tensor][i], value = element(got, dtype_of(test, tensor), i);
    const double allowed = tolerance * fmax(greatest, tensor == DK ? test->magnitude : 1) + rounding * fabs(want);
    if (!(fabs(value - want) <= allowed))
      fail_msg("%s %s B %d L %d N %d K %d H %d %s: element %d of %s is %.9g, expected %.9g within %.3g", level,
               titan_dtype_name(test->dtype), (int)test->sizes.batch, (int)test->sizes.length, (int)test->sizes.heads,
               (int)test->sizes.kv_heads, (int)test->sizes.head_size, test->magnitude > 1 ? "large scores" : "", (int)i,
               tensor_names[tensor], value, want, allowed);
  }
}

static void check_outputs(const attention_case *test, const char *level, int first, int count, void **outputs,
                          double tolerance) {
  for (int i = 0; i < count; i++) {
    compare(test, level, first + i, outputs[i], tolerance);
    titan_memory_free(outputs[i]);
  }
}

static void check_case(attention_sizes sizes, titan_dtype dtype, double magnitude, double tolerance) {
  attention_case test = case_create(sizes, dtype, magnitude);
  void *outputs[3];
  for (int i = 0; i < level_count(); i++) {
    run_kernel(&test, TITAN_OP_attention, kernel_of(i, TITAN_OP_attention), 1 + i % 2, outputs);
    check_outputs(&test, titan_cpu_isa_name((titan_cpu_isa)i), O, 2, outputs, tolerance);
  }
  case_make_gradients(&test);
  for (int i = 0; i < level_count(); i++) {
    run_kernel(&test, TITAN_OP_attention_backward, kernel_of(i, TITAN_OP_attention_backward), 1 + i % 2, outputs);
    check_outputs(&test, titan_cpu_isa_name((titan_cpu_isa)i), DQ, 3, outputs, tolerance);
  }
  case_destroy(&test);
}

// Lengths around the tiles' edges, head sizes whole and partial in vectors, ratios of query to kv heads.
static const int64_t lengths[] = {1, 2, 7, 63, 64, 65, 130, 257};
static const int64_t head_sizes[] = {16, 18, 24, 32, 64, 80, 96, 128, 200, 256};
static const struct {
  int64_t batch, heads, kv_heads;
} heads[] = {{1, 1, 1}, {2, 4, 2}, {3, 2, 2}, {1, 4, 1}, {1, 6, 2}, {2, 3, 3}};

static void check_all_sizes(titan_dtype dtype) {
  int turn = 0;
  for (size_t l = 0; l < sizeof lengths / sizeof lengths[0]; l++)
    for (size_t h = 0; h < sizeof head_sizes / sizeof head_sizes[0]; h++, turn++) {
      const size_t pick = lengths[l] > 200 && head_sizes[h] > 100 ? 0 : (size_t)turn % (sizeof heads / sizeof heads[0]);
      const attention_sizes sizes = {heads[pick].batch, lengths[l], heads[pick].heads, heads[pick].kv_heads,
                                     head_sizes[h]};
      check_case(sizes, dtype, 1, 1e-5);
    }
}

static void float32_is_the_definition_at_all_sizes(void **state) {
  (void)state;
  check_all_sizes(TITAN_FLOAT32);
}

static void bfloat16_is_the_definition_rounded_once(void **state) {
  (void)state;
  check_all_sizes(TITAN_BFLOAT16);
}

// Scores up to a few hundred: no running sum without a maximum would survive. A score of 300 is rounded by up to 3e-5
// and lse with it, which is the relative error of a probability; hence 3e-4.
static void large_scores_saturate_without_harm(void **state) {
  (void)state;
  const int64_t sizes[] = {1, 65, 257};
  for (int i = 0; i < 3; i++) {
    check_case((attention_sizes){1, sizes[i], 2, 1, 16}, TITAN_FLOAT32, 60, 3e-4);
    check_case((attention_sizes){1, sizes[i], 2, 1, 64}, TITAN_FLOAT32, 60, 3e-4);
    check_case((attention_sizes){1, sizes[i], 2, 1, 18}, TITAN_BFLOAT16, 60, 3e-4);
  }
}

// Scores of a hundred thousand: one key takes all; lse is the score itself to its last bits.
static void extreme_scores_pick_one_key(void **state) {
  (void)state;
  attention_case test = case_create((attention_sizes){1, 130, 1, 1, 32}, TITAN_FLOAT32, 1e5);
  void *outputs[3];
  for (int i = 0; i < level_count(); i++) {
    run_kernel(&test, TITAN_OP_attention, kernel_of(i, TITAN_OP_attention), 1, outputs);
    check_outputs(&test, titan_cpu_isa_name((titan_cpu_isa)i), O, 2, outputs, 1e-5);
  }
  case_make_gradients(&test);
  for (int i = 0; i < level_count(); i++) {
    run_kernel(&test, TITAN_OP_attention_backward, kernel_of(i, TITAN_OP_attention_backward), 1, outputs);
    for (int tensor = 0; tensor < 3; tensor++) {
      for (int64_t j = 0; j < test.count[DQ + tensor]; j++)
        assert_true(isfinite(((float *)outputs[tensor])[j]));
      titan_memory_free(outputs[tensor]);
    }
  }
  case_destroy(&test);
}

// Bitwise: tasks are cut by the threads, sums are not. Shapes with more and with fewer heads than threads, and long
// enough for several segments.
static void check_threads(const attention_case *test, titan_op_kind kind, const titan_kernel *kernel,
                          const char *level) {
  const int threads[] = {2, 3, 5, 13};
  const int first = kind == TITAN_OP_attention ? O : DQ, count = kind == TITAN_OP_attention ? 2 : 3;
  void *one[3], *many[3];
  run_kernel(test, kind, kernel, 1, one);
  for (int t = 0; t < 4; t++) {
    run_kernel(test, kind, kernel, threads[t], many);
    for (int i = 0; i < count; i++) {
      const titan_tensor_type type = type_of(test, first + i);
      assert_memory_equal(one[i], many[i], titan_tensor_bytes(&type));
      titan_memory_free(many[i]);
    }
  }
  check_outputs(test, level, first, count, one, 1e-5);
}

static void the_number_of_threads_changes_no_bit(void **state) {
  (void)state;
  const attention_sizes shapes[] = {{1, 700, 1, 1, 16}, {1, 700, 4, 2, 16}, {2, 333, 6, 3, 24}, {1, 257, 2, 1, 128}};
  for (int s = 0; s < 4; s++) {
    attention_case test = case_create(shapes[s], s == 2 ? TITAN_BFLOAT16 : TITAN_FLOAT32, 1);
    for (int i = 0; i < level_count(); i++)
      check_threads(&test, TITAN_OP_attention, kernel_of(i, TITAN_OP_attention), titan_cpu_isa_name((titan_cpu_isa)i));
    case_make_gradients(&test);
    for (int i = 0; i < level_count(); i++)
      check_threads(&test, TITAN_OP_attention_backward, kernel_of(i, TITAN_OP_attention_backward),
                    titan_cpu_isa_name((titan_cpu_isa)i));
    case_destroy(&test);
  }
}

static double loss_of(const attention_case *test, double *o, double *lse) {
  reference_attention(test->sizes, test->exact[Q], test->exact[KEYS], test->exact[V], o, lse);
  double loss = 0;
  for (int64_t i = 0; i < test->count[O]; i++)
    loss += o[i] * test->exact[DO][i];
  return loss;
}

// Central differences of step 1e-5 in float64: truncation 1e-10, rounding 1e-11; 1e-7 leaves room.
static void the_reference_gradients_are_finite_differences(void **state) {
  (void)state;
  attention_case test = case_create((attention_sizes){2, 5, 4, 2, 6}, TITAN_FLOAT32, 1);
  reference_attention_backward(test.sizes, test.exact[Q], test.exact[KEYS], test.exact[V], test.exact[O],
                               test.exact[LSE], test.exact[DO], test.exact[DQ], test.exact[DK], test.exact[DV]);
  double *o = allocate((size_t)test.count[O] * sizeof(double)),
         *lse = allocate((size_t)test.count[LSE] * sizeof(double));
  for (int tensor = Q; tensor <= V; tensor++)
    for (int64_t i = 0; i < test.count[tensor]; i++) {
      const double x = test.exact[tensor][i], step = 1e-5;
      test.exact[tensor][i] = x + step;
      const double above = loss_of(&test, o, lse);
      test.exact[tensor][i] = x - step;
      const double below = loss_of(&test, o, lse);
      test.exact[tensor][i] = x;
      const double difference = (above - below) / (2 * step), gradient = test.exact[DQ + tensor][i];
      if (!(fabs(difference - gradient) <= 1e-7))
        fail_msg("element %d of d%s: %.12g, by differences %.12g", (int)i, tensor_names[tensor], gradient, difference);
    }
  titan_memory_free(o);
  titan_memory_free(lse);
  case_destroy(&test);
}

static int nothing_is_left(void **state) {
  (void)state;
  return titan_memory_report_leaks() == 0 ? 0 : -1;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_reference_gradients_are_finite_differences),
      cmocka_unit_test(float32_is_the_definition_at_all_sizes),
      cmocka_unit_test(bfloat16_is_the_definition_rounded_once),
      cmocka_unit_test(large_scores_saturate_without_harm),
      cmocka_unit_test(extreme_scores_pick_one_key),
      cmocka_unit_test(the_number_of_threads_changes_no_bit),
  };
  return cmocka_run_group_tests(tests, NULL, nothing_is_left);
}
