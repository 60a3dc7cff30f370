// SPDX-License-Identifier: Apache-2.0
// Speed of each CPU kernel at the shapes of the debug model (batch 8, length 2,048: 16,384 rows) and of llama2 271M,
// beside what the same process reaches at best: matrix products of 4096 x 4096 x 4096, a float32 addition of long
// vectors, and for streaming kernels a memory copy of as many bytes. Usage: kernels [threads] [operation].
// TITAN_CPU_ISA lowers the instruction set.
#include "calls.h"

#include "base/clock.h"
#include "device/device.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 8, LENGTH = 2048, ROWS = BATCH * LENGTH, DIM = 256, FFN = 768, VOCABULARY = 2256, CHUNK = 2048 };

static titan_device *device;
static const char *only;
static double gemm_ceiling[2], bandwidth_ceiling; // FLOP/s for float32 and bfloat16; bytes/s

static void check(titan_status status) {
  if (status == TITAN_OK)
    return;
  fprintf(stderr, "%s\n", titan_error_message());
  exit(titan_status_exit_code(status));
}

// Small numbers of the type; integers are token numbers.
static void *operand(const titan_tensor_type *type) {
  void *data;
  check(device->allocate(device, TITAN_SPACE_DEVICE, TITAN_MEMORY_SCRATCH, titan_tensor_bytes(type), &data));
  uint32_t random = 1;
  for (int64_t i = 0; i < titan_tensor_elements(type); i++) {
    random = random * 1664525u + 1013904223u;
    float value = (float)(random >> 8) * 0x1p-24f - 0.5f;
    if (type->dtype == TITAN_FLOAT32)
      ((float *)data)[i] = value;
    else if (type->dtype == TITAN_BFLOAT16)
      ((titan_bf16 *)data)[i] = titan_bf16_from_float(value);
    else
      ((int32_t *)data)[i] = (int32_t)((random >> 8) % 2000);
  }
  return data;
}

// The least of several rounds' seconds per run; a round lasts 50 ms at least.
static double fastest(const titan_kernel *kernel, const titan_op_call *call, void *state, const void *const *inputs,
                      void *const *outputs, void *workspace) {
  double best = 1e30;
  for (int round = 0; round < 6; round++) {
    int runs = 0;
    double begin = titan_clock_seconds(), seconds;
    do {
      check(kernel->run(device, call, state, inputs, outputs, workspace));
      runs++;
      seconds = titan_clock_seconds() - begin;
    } while (seconds < 0.05);
    if (round > 0 && seconds / runs < best) // the first round touches the memory
      best = seconds / runs;
  }
  return best;
}

static double measure(titan_op_call *call) {
  check(titan_op_infer(call));
  const titan_kernel *kernel = device->kernel(device, call->kind);
  void *inputs[TITAN_MAX_INPUTS], *outputs[TITAN_MAX_OUTPUTS], *workspace, *state = NULL;
  for (int i = 0; i < call->input_count; i++)
    inputs[i] = operand(&call->inputs[i]);
  for (int i = 0; i < call->output_count; i++)
    outputs[i] = operand(&call->outputs[i]);
  if (call->kind == TITAN_OP_matmul && call->input_count == 3) { // accumulates in place, as plans do
    device->free(device, TITAN_SPACE_DEVICE, outputs[0]);
    outputs[0] = inputs[2];
  }
  size_t bytes = kernel->workspace != NULL ? kernel->workspace(device, call) : 0;
  check(device->allocate(device, TITAN_SPACE_DEVICE, TITAN_MEMORY_SCRATCH, bytes, &workspace));
  if (kernel->prepare != NULL)
    check(kernel->prepare(device, call, &state));
  double seconds = fastest(kernel, call, state, (const void *const *)inputs, outputs, workspace);
  if (kernel->release != NULL)
    kernel->release(device, state);
  device->free(device, TITAN_SPACE_DEVICE, workspace);
  for (int i = 0; i < call->input_count; i++)
    device->free(device, TITAN_SPACE_DEVICE, inputs[i]);
  for (int i = 0; i < call->output_count; i++)
    if (call->kind != TITAN_OP_matmul || call->input_count < 3)
      device->free(device, TITAN_SPACE_DEVICE, outputs[i]);
  return seconds;
}

static void report_product(const char *what, titan_op_call call) {
  if (only != NULL && strcmp(only, "matmul") != 0)
    return;
  titan_dtype dtype = call.inputs[0].dtype;
  double seconds = measure(&call), flops = titan_op_cost_of(&call).flops;
  printf("%-32s %-9s %9.3f ms %9.1f GFLOP/s  %5.2f of 4096^3, %5.2f of float32's\n", what, titan_dtype_name(dtype),
         seconds * 1e3, flops / seconds * 1e-9, flops / seconds / gemm_ceiling[dtype == TITAN_BFLOAT16],
         flops / seconds / gemm_ceiling[0]);
  fflush(stdout);
}

// A linear layer [rows, in] -> [rows, out]: forward, gradient of the input, gradient of the weight (accumulated).
static void report_linear(titan_dtype dtype, int64_t rows, int64_t in, int64_t out, bool head) {
  char name[64];
  snprintf(name, sizeof name, "%lldx%lld->%lld", (long long)rows, (long long)in, (long long)out);
  char text[3][80];
  for (int i = 0; i < 3; i++)
    snprintf(text[i], sizeof text[i], "%s %s", i == 0 ? "forward" : i == 1 ? "dx" : "dw", name);
  report_product(text[0], product(dtype, head ? TITAN_FLOAT32 : dtype, rows, out, in, false, true));
  report_product(text[1], product(dtype, dtype, rows, in, out, false, false));
  report_product(text[2], product(dtype, TITAN_FLOAT32, out, in, rows, true, false));
  titan_op_call accumulated = product(dtype, TITAN_FLOAT32, out, in, rows, true, false);
  accumulated.input_count = 3;
  accumulated.inputs[2] = tensor(TITAN_FLOAT32, 2, out, in, 0, 0);
  snprintf(text[2], sizeof text[2], "dw += %s", name);
  report_product(text[2], accumulated);
}

// Seconds of copying so many bytes in all (half of them read, half written), a part by each thread.
static double copy(double bytes) {
  titan_tensor_type half = tensor(TITAN_FLOAT32, 1, (int64_t)(bytes / 8), 0, 0, 0);
  char *from = operand(&half), *to = operand(&half);
  size_t part = titan_tensor_bytes(&half) / (size_t)device->threads;
  double best = 1e30;
  for (int round = 0; round < 8; round++) {
    double begin = titan_clock_seconds();
#pragma omp parallel for num_threads(device->threads) schedule(static, 1)
    for (int i = 0; i < device->threads; i++)
      memcpy(to + (size_t)i * part, from + (size_t)i * part, part);
    double seconds = titan_clock_seconds() - begin;
    best = round > 0 && seconds < best ? seconds : best;
  }
  device->free(device, TITAN_SPACE_DEVICE, from);
  device->free(device, TITAN_SPACE_DEVICE, to);
  return best;
}

// In turns with a copy of as many bytes, so that both see the same machine.
static void report_stream(titan_op_call call) {
  if (only != NULL && strcmp(only, titan_op_name(call.kind)) != 0)
    return;
  check(titan_op_infer(&call));
  double bytes = titan_op_cost_of(&call).bytes, seconds = 1e30, copied = 1e30;
  for (int turn = 0; turn < 3; turn++) {
    double copy_seconds = copy(bytes), kernel_seconds = measure(&call);
    seconds = kernel_seconds < seconds ? kernel_seconds : seconds;
    copied = copy_seconds < copied ? copy_seconds : copied;
  }
  titan_dtype dtype = call.output_count > 0 ? call.outputs[0].dtype : TITAN_FLOAT32;
  for (int i = 0; i < call.input_count; i++)
    if (call.inputs[i].dtype == TITAN_BFLOAT16)
      dtype = TITAN_BFLOAT16;
  printf("%-32s %-9s %9.3f ms %9.2f GB/s     %5.2f of a long addition, %5.2f of a copy\n", titan_op_name(call.kind),
         titan_dtype_name(dtype), seconds * 1e3, bytes / seconds * 1e-9, bytes / seconds / bandwidth_ceiling,
         copied / seconds);
  fflush(stdout);
}

static titan_op_call with(titan_op_kind kind, titan_op_attributes attributes, int count,
                          const titan_tensor_type *types) {
  titan_op_call call = {.kind = kind, .attributes = attributes, .input_count = count};
  memcpy(call.inputs, types, (size_t)count * sizeof *types);
  return call;
}
#define TYPES(...)                                                                                                     \
  (sizeof((titan_tensor_type[]){__VA_ARGS__}) / sizeof(titan_tensor_type)), (titan_tensor_type[]) {                    \
    __VA_ARGS__                                                                                                        \
  }

static void report_streams(titan_dtype dtype) {
  titan_tensor_type x = tensor(dtype, 3, BATCH, LENGTH, DIM, 0), h = tensor(dtype, 3, BATCH, LENGTH, FFN, 0);
  titan_tensor_type w = tensor(dtype, 1, DIM, 0, 0, 0), row = tensor(TITAN_FLOAT32, 1, ROWS, 0, 0, 0);
  titan_tensor_type tokens = tensor(TITAN_INT32, 2, BATCH, LENGTH, 0, 0);
  titan_tensor_type q = tensor(dtype, 4, BATCH, LENGTH, 16, 16), angles = tensor(TITAN_FLOAT32, 3, LENGTH, 8, 2, 0);
  titan_op_attributes none = {0}, norm = {.norm = {1e-5f, false}};
  report_stream(with(TITAN_OP_add, none, TYPES(x, x)));
  report_stream(with(TITAN_OP_mul, none, TYPES(h, h)));
  report_stream(with(TITAN_OP_silu, none, TYPES(h)));
  report_stream(with(TITAN_OP_silu_backward, none, TYPES(h, h)));
  titan_tensor_type gate_up = tensor(dtype, 3, BATCH, LENGTH, 2 * FFN, 0);
  report_stream(with(TITAN_OP_swiglu, none, TYPES(gate_up)));
  report_stream(with(TITAN_OP_swiglu_backward, none, TYPES(h, gate_up)));
  report_stream(with(TITAN_OP_rms_norm, norm, TYPES(x, w)));
  report_stream(with(TITAN_OP_rms_norm_backward, norm, TYPES(x, x, w, row)));
  report_stream(with(TITAN_OP_add_rms_norm, norm, TYPES(x, x, w)));
  report_stream(with(TITAN_OP_rms_norm_backward, norm, TYPES(x, x, w, row, x)));
  report_stream(with(TITAN_OP_layer_norm, norm, TYPES(x, w)));
  report_stream(with(TITAN_OP_layer_norm_backward, norm, TYPES(x, x, row, row, w)));
  report_stream(with(TITAN_OP_rope, none, TYPES(q, angles)));
  titan_tensor_type qkv = tensor(dtype, 3, BATCH, LENGTH, 3 * DIM, 0);
  titan_op_attributes heads = {.heads = {BATCH, LENGTH, 16, 16, 16, qkv}};
  report_stream(with(TITAN_OP_split_heads, heads, TYPES(qkv, angles)));
  report_stream(with(TITAN_OP_join_heads, heads, TYPES(q, q, q, angles)));
  report_stream(with(TITAN_OP_embedding, none, TYPES(tokens, tensor(dtype, 2, VOCABULARY, DIM, 0, 0))));
  titan_op_attributes embedding = {.embedding = {.vocabulary = VOCABULARY}};
  report_stream(with(TITAN_OP_embedding_backward, embedding, TYPES(tokens, x)));
}

static void report_loss(void) {
  titan_tensor_type logits = tensor(TITAN_FLOAT32, 2, CHUNK, VOCABULARY, 0, 0);
  titan_tensor_type row = tensor(TITAN_FLOAT32, 1, CHUNK, 0, 0, 0), labels = tensor(TITAN_INT32, 1, CHUNK, 0, 0, 0);
  titan_tensor_type one = tensor(TITAN_FLOAT32, 1, 1, 0, 0, 0);
  titan_op_attributes attributes = {.cross_entropy = {.output = TITAN_FLOAT32}};
  report_stream(with(TITAN_OP_cross_entropy, attributes, TYPES(logits, labels)));
  report_stream(with(TITAN_OP_cross_entropy_backward, attributes, TYPES(logits, row, labels, one)));
  attributes.cross_entropy.output = TITAN_BFLOAT16;
  report_stream(with(TITAN_OP_cross_entropy_backward, attributes, TYPES(logits, row, labels, one)));
}

static void report_adam(titan_dtype dtype) {
  enum { N = 1 << 23 };
  if (only != NULL && strcmp(only, "adam") != 0)
    return;
  titan_tensor_type vector = tensor(TITAN_FLOAT32, 1, N, 0, 0, 0);
  float *operands[5];
  for (int i = 0; i < 5; i++)
    operands[i] = operand(&vector);
  device->vector->fill(device, N, operands[2], 0.5f);
  titan_step_state step = {.constants = {1e-3f, 0.9f, 0.95f, 1e-8f, 0.1f, 0.05f}, .gradient_scale = 1};
  titan_adam_decay decay = {0.1f, true};
  double best = 1e30;
  for (int i = 0; i < 12; i++) {
    double begin = titan_clock_seconds();
    device->vector->adam(device, &step, decay, N, operands[0], operands[1], operands[2], operands[3],
                         dtype == TITAN_FLOAT32 ? operands[0] : operands[4], dtype);
    double seconds = titan_clock_seconds() - begin;
    best = seconds < best ? seconds : best;
  }
  double bytes = N * (28.0 + (dtype == TITAN_BFLOAT16 ? 2.0 : 0.0));
  printf("%-32s %-9s %9.3f ms %9.2f GB/s     %5.2f of a long addition\n", "adam (8M parameters)",
         titan_dtype_name(dtype), best * 1e3, bytes / best * 1e-9, bytes / best / bandwidth_ceiling);
  for (int i = 0; i < 5; i++)
    device->free(device, TITAN_SPACE_DEVICE, operands[i]);
}

static void find_ceilings(void) {
  enum { SIDE = 4096 };
  for (int t = 0; t < 2 && (only == NULL || strcmp(only, "matmul") == 0); t++) {
    titan_dtype dtype = t == 0 ? TITAN_FLOAT32 : TITAN_BFLOAT16;
    titan_op_call call = product(dtype, dtype, SIDE, SIDE, SIDE, false, false);
    gemm_ceiling[t] = 2.0 * SIDE * SIDE * (double)SIDE / measure(&call);
    printf("%s 4096^3: %.1f GFLOP/s\n", titan_dtype_name(dtype), gemm_ceiling[t] * 1e-9);
  }
  titan_tensor_type vector = tensor(TITAN_FLOAT32, 1, 1 << 24, 0, 0, 0);
  titan_op_call add = with(TITAN_OP_add, (titan_op_attributes){0}, TYPES(vector, vector));
  double seconds = measure(&add);
  bandwidth_ceiling = titan_op_cost_of(&add).bytes / seconds;
  printf("addition of 16M float32: %.2f GB/s\n", bandwidth_ceiling * 1e-9);
}

int main(int argc, char **argv) {
  static const titan_dtype types[] = {TITAN_FLOAT32, TITAN_BFLOAT16};
  check(titan_device_create_cpu(argc > 1 ? atoi(argv[1]) : 2, &device));
  only = argc > 2 ? argv[2] : NULL;
  printf("%s\n", device->description);
  find_ceilings();
  for (int t = 0; t < 2; t++) {
    report_linear(types[t], ROWS, DIM, DIM, false);
    report_linear(types[t], ROWS, DIM, FFN, false);
    report_linear(types[t], ROWS, FFN, DIM, false);
    report_linear(types[t], CHUNK, DIM, VOCABULARY, true);
    report_linear(types[t], 2048, 1024, 2816, false);
    report_streams(types[t]);
    report_adam(types[t]);
  }
  report_loss();
  titan_device_destroy(&device);
  return titan_memory_report_leaks() != 0;
}
