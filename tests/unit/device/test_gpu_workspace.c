// SPDX-License-Identifier: Apache-2.0
// Workspaces of GPU kernels at the sizes of an 8B model's layer (B 1, L 8192, N 32, K 8, H 128). Oracle: what cuDNN 9
// asks for, by chip, and a pencil.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four above first
#include <cmocka.h>

#include "device/device_table.h"
#include "device/gpu_workspace.h"

enum { L = 8192, N = 32, H = 128 };
static const size_t q_float32 = (size_t)L * N * H * 4, rows_float32 = (size_t)L * N * 4;

static titan_op_call backward_call(int64_t kv_heads, titan_dtype dtype) {
  const titan_tensor_type q = {dtype, 4, {1, L, N, H}}, kv = {dtype, 4, {1, L, kv_heads, H}},
                          lse = {TITAN_FLOAT32, 3, {1, N, L}};
  return (titan_op_call){.kind = TITAN_OP_attention_backward,
                         .input_count = 6,
                         .output_count = 3,
                         .inputs = {q, kv, kv, q, lse, q},
                         .outputs = {q, kv, kv}};
}

static size_t attention_backward(int64_t kv_heads, titan_dtype dtype, int capability) {
  const titan_op_call call = backward_call(kv_heads, dtype);
  return titan_gpu_workspace(&call, capability);
}

static void the_gradient_of_attention_takes_what_cudnn_asks_for(void **state) {
  (void)state;
  assert_int_equal(q_float32, 134217728);
  // Its own buffers: the gradient of q, and a sum a row; then cuDNN's, by chip and sharing of heads.
  size_t ours = q_float32 + rows_float32;
  assert_int_equal(attention_backward(32, TITAN_BFLOAT16, 90), ours + 256);
  assert_int_equal(attention_backward(8, TITAN_BFLOAT16, 90), ours + q_float32 + 256);
  assert_int_equal(attention_backward(32, TITAN_BFLOAT16, 100), ours);
  assert_int_equal(attention_backward(8, TITAN_BFLOAT16, 100), ours + q_float32 + 128);
  assert_int_equal(attention_backward(32, TITAN_BFLOAT16, 80), ours + q_float32 + 128);
  assert_int_equal(attention_backward(8, TITAN_BFLOAT16, 80), ours + 2 * q_float32 + 128);
  assert_int_equal(attention_backward(8, TITAN_FLOAT32, 90), rows_float32);
  assert_int_equal(attention_backward(8, TITAN_BFLOAT16, 0), q_float32 + rows_float32);
}

static void products_beside_transfers_hold_what_travels(void **state) {
  (void)state;
  const titan_tensor_type x = {TITAN_BFLOAT16, 2, {3, 5}}, weight = {TITAN_BFLOAT16, 2, {5, 7}},
                          whole = {TITAN_BFLOAT16, 2, {12, 5}};
  titan_op_call gather = {.kind = TITAN_OP_gather_matmul, .input_count = 2, .inputs = {x, weight}};
  gather.attributes.collective.ranks = 4;
  gather.attributes.products[0].output = TITAN_BFLOAT16;
  assert_int_equal(titan_op_infer(&gather), TITAN_OK);
  assert_int_equal(titan_gpu_workspace(&gather, 90), 256 + (32 << 20)); // 4 x 3 x 5 x 2 bytes, rounded up
  assert_int_equal(titan_gpu_workspace(&gather, 0), 256);
  titan_op_call scatter = {.kind = TITAN_OP_matmul_scatter, .input_count = 2, .inputs = {whole, weight}};
  scatter.attributes.collective.ranks = 4;
  scatter.attributes.matmul.output = TITAN_FLOAT32;
  assert_int_equal(titan_op_infer(&scatter), TITAN_OK);
  assert_int_equal(titan_gpu_workspace(&scatter, 90), 512 + (32 << 20)); // (4 + 1) x 3 x 7 x 4 bytes, rounded up
}

// Per kv head, whose four query heads have 4 L^2 scores in bfloat16: 512 MiB.
static void a_deterministic_gradient_stores_the_scores_of_few_heads(void **state) {
  (void)state;
  const titan_op_call call = backward_call(8, TITAN_BFLOAT16);
  const titan_gpu_attention way =
      titan_gpu_attention_of(&call, (titan_gpu_kind){.capability = 90, .dnn = true, .deterministic = true});
  assert_true(way.dnn);
  assert_int_equal(way.kv_heads, 1);
  assert_int_equal(way.sums, rows_float32);
  assert_int_equal(way.dq_sum, 0);
  assert_int_equal(way.library, ((size_t)512 << 20) + q_float32 / 8 + 256);
}

static void a_deterministic_device_of_the_table_plans_for_it(void **state) {
  (void)state;
  const titan_op_call call = backward_call(8, TITAN_BFLOAT16);
  for (int deterministic = 0; deterministic < 2; deterministic++) {
    const titan_gpu_kind gpu = {.capability = 90, .dnn = true, .deterministic = deterministic};
    titan_device *device;
    assert_int_equal(titan_device_create_meta(titan_device_facts_find("h100-80g"), deterministic, &device), TITAN_OK);
    assert_int_equal(device->kernel(device, call.kind)->workspace(device, &call),
                     titan_gpu_attention_workspace(&call, gpu));
    titan_device_destroy(&device);
  }
}

static void without_cudnn_the_gradient_needs_a_sum_a_row(void **state) {
  (void)state;
  const titan_op_call call = backward_call(8, TITAN_BFLOAT16);
  assert_int_equal(titan_gpu_attention_workspace(&call, (titan_gpu_kind){.capability = 90}), rows_float32);
}

static void each_device_of_the_table_gives_its_workspaces(void **state) {
  (void)state;
  static const struct {
    const char *name;
    size_t product;
  } rows[] = {{"h100-80g", (size_t)32 << 20}, {"a100-40g", (size_t)32 << 20}, {"mi300x-192g", 0}};
  const titan_tensor_type matrix = {TITAN_BFLOAT16, 2, {512, 512}};
  const titan_op_call call = {
      .kind = TITAN_OP_matmul, .input_count = 2, .output_count = 1, .inputs = {matrix, matrix}, .outputs = {matrix}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    titan_device *device;
    assert_int_equal(titan_device_create_meta(titan_device_facts_find(rows[i].name), false, &device), TITAN_OK);
    assert_int_equal(device->kernel(device, TITAN_OP_matmul)->workspace(device, &call), rows[i].product);
    assert_true(device->logits_bytes == (size_t)1 << 30);
    titan_device_destroy(&device);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(the_gradient_of_attention_takes_what_cudnn_asks_for),
                                     cmocka_unit_test(products_beside_transfers_hold_what_travels),
                                     cmocka_unit_test(a_deterministic_gradient_stores_the_scores_of_few_heads),
                                     cmocka_unit_test(a_deterministic_device_of_the_table_plans_for_it),
                                     cmocka_unit_test(without_cudnn_the_gradient_needs_a_sum_a_row),
                                     cmocka_unit_test(each_device_of_the_table_gives_its_workspaces)};
  int failures = cmocka_run_group_tests(tests, NULL, NULL);
  return failures != 0 || titan_memory_report_leaks() != 0;
}
