// SPDX-License-Identifier: Apache-2.0
// Speed of attention, forward and backward, at every instruction-set level that this machine has, beside a float32
// matrix product of 4096 x 4096 x 4096 in the same process with the same threads. Counted are the products that a
// training step counts: two forward, four backward, of the lower triangle; computing the scores again and the
// exponentials are overhead. Usage: attention [threads]
#include "base/clock.h"
#include "base/cpu_isa.h"
#include "device/cpu/kernel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The levels with kernels of their own that this machine runs.
static int level_count(void) {
  int best = titan_cpu_isa_best();
  return best < TITAN_CPU_AMX ? best + 1 : TITAN_CPU_AMX;
}

static const titan_kernel *kernel_of(int level, titan_op_kind kind) {
  return titan_cpu_kernels_of((titan_cpu_isa)level)[kind];
}

typedef struct shape {
  int64_t batch, length, heads, kv_heads, head_size;
} shape;

static titan_device *device;

static void check(titan_status status) {
  if (status == TITAN_OK)
    return;
  fprintf(stderr, "%s\n", titan_error_message());
  exit(titan_status_exit_code(status));
}

static void *operand(const titan_tensor_type *type) {
  void *data;
  check(device->allocate(device, TITAN_SPACE_DEVICE, TITAN_MEMORY_SCRATCH, titan_tensor_bytes(type), &data));
  uint32_t random = 1;
  for (int64_t i = 0; i < titan_tensor_elements(type); i++) {
    random = random * 1664525u + 1013904223u;
    const float value = (float)(random >> 8) * 0x1p-23f - 1.0f;
    if (type->dtype == TITAN_FLOAT32)
      ((float *)data)[i] = value;
    else
      ((titan_bf16 *)data)[i] = titan_bf16_from_float(value);
  }
  return data;
}

// The least seconds of all runs but the first; the outputs are left in `outputs`.
static double fastest(int runs, const titan_kernel *kernel, const titan_op_call *call, const void *const *inputs,
                      void **outputs) {
  void *workspace, *state = NULL;
  check(device->allocate(device, TITAN_SPACE_DEVICE, TITAN_MEMORY_SCRATCH,
                         kernel->workspace ? kernel->workspace(device, call) : 0, &workspace));
  if (kernel->prepare != NULL)
    check(kernel->prepare(device, call, &state));
  double best = 1e30;
  for (int run = 0; run < runs; run++) {
    const double begin = titan_clock_seconds();
    check(kernel->run(device, call, state, inputs, outputs, workspace));
    const double seconds = titan_clock_seconds() - begin;
    if (run > 0 && seconds < best) // the first run touches the memory
      best = seconds;
  }
  if (kernel->release != NULL)
    kernel->release(device, state);
  device->free(device, TITAN_SPACE_DEVICE, workspace);
  return best;
}

static double matmul_ceiling(void) {
  titan_op_call call = {.kind = TITAN_OP_matmul, .input_count = 2, .output_count = 1};
  call.attributes.matmul.output = TITAN_FLOAT32;
  call.inputs[0] = call.inputs[1] = call.outputs[0] = (titan_tensor_type){TITAN_FLOAT32, 2, {4096, 4096}};
  void *a = operand(&call.inputs[0]), *b = operand(&call.inputs[1]), *c = operand(&call.outputs[0]);
  const double seconds =
      fastest(3, device->kernel(device, TITAN_OP_matmul), &call, (const void *const[]){a, b}, (void *[]){c});
  device->free(device, TITAN_SPACE_DEVICE, a);
  device->free(device, TITAN_SPACE_DEVICE, b);
  device->free(device, TITAN_SPACE_DEVICE, c);
  return 2 * 4096.0 * 4096.0 * 4096.0 / seconds;
}

static void report(shape s, titan_dtype dtype, double ceiling) {
  const titan_tensor_type query = {dtype, 4, {s.batch, s.length, s.heads, s.head_size}};
  const titan_tensor_type key = {dtype, 4, {s.batch, s.length, s.kv_heads, s.head_size}};
  const titan_tensor_type lse = {TITAN_FLOAT32, 3, {s.batch, s.heads, s.length}};
  const titan_op_call forward = {TITAN_OP_attention, .input_count = 3, .output_count = 2, .inputs = {query, key, key},
                                 .outputs = {query, lse}};
  const titan_op_call backward = {TITAN_OP_attention_backward, .input_count = 6, .output_count = 3,
                                  .inputs = {query, key, key, query, lse, query}, .outputs = {query, key, key}};
  void *tensors[9]; // q, k, v, o, lse, do, dq, dk, dv
  for (int i = 0; i < 9; i++)
    tensors[i] = operand(i < 6 ? &backward.inputs[i] : &backward.outputs[i - 6]);
  const double product = 2.0 * (double)(s.batch * s.heads * s.head_size) * (double)s.length * (double)s.length / 2;
  for (int i = 0; i < level_count(); i++) {
    const double f = fastest(5, kernel_of(i, TITAN_OP_attention), &forward, (const void *const *)tensors, tensors + 3);
    const double b =
        fastest(5, kernel_of(i, TITAN_OP_attention_backward), &backward, (const void *const *)tensors, tensors + 6);
    printf("%lldx%lldx%lld/%lldx%-4lld %-8s %-11s %8.1f %8.1f ms %7.1f %7.1f %7.1f GFLOP/s  %4.2f %4.2f %4.2f\n",
           (long long)s.batch, (long long)s.length, (long long)s.heads, (long long)s.kv_heads, (long long)s.head_size,
           titan_dtype_name(dtype), titan_cpu_isa_name((titan_cpu_isa)i), f * 1e3, b * 1e3, 2 * product / f * 1e-9,
           4 * product / b * 1e-9, 6 * product / (f + b) * 1e-9, 2 * product / f / ceiling, 4 * product / b / ceiling,
           6 * product / (f + b) / ceiling);
    fflush(stdout);
  }
  for (int i = 0; i < 9; i++)
    device->free(device, TITAN_SPACE_DEVICE, tensors[i]);
}

int main(int argc, char **argv) {
  check(titan_device_create_cpu(argc > 1 ? atoi(argv[1]) : 1, &device));
  printf("%s\n", device->description);
  printf(
      "batch x length x heads/kv heads x head size; milliseconds forward, backward; GFLOP/s forward, backward, both; "
      "the same as shares of the matrix product\n");
  const shape shapes[] = {
      {8, 2048, 16, 16, 16}, {2, 2048, 8, 8, 32}, {1, 2048, 8, 4, 64}, {1, 2048, 8, 2, 128}, {1, 2048, 2, 1, 256}};
  for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
    const double ceiling = matmul_ceiling(); // again for each shape: a machine's speed changes while it is measured
    printf("matrix product %.1f GFLOP/s\n", ceiling * 1e-9);
    for (int type = 0; type < 2; type++)
      report(shapes[i], type == 0 ? TITAN_FLOAT32 : TITAN_BFLOAT16, ceiling);
  }
  titan_device_destroy(&device);
  return 0;
}
