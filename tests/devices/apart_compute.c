// SPDX-License-Identifier: Apache-2.0
// Kernels and vector functions: the CPU's, later.
#include "apart_private.h"

#include <string.h>

// --- kernels ---

static const titan_kernel *cpu_kernel_of(titan_device *device, titan_op_kind kind) {
  titan_device *cpu = apart_of(device)->cpu;
  return cpu->kernel(cpu, kind);
}

static size_t kernel_workspace(titan_device *device, const titan_op_call *call) {
  const titan_kernel *kernel = cpu_kernel_of(device, call->kind);
  return kernel->workspace != NULL ? kernel->workspace(apart_of(device)->cpu, call) : 0;
}

// What the CPU's kernel prepared, and how it is released.
typedef struct prepared {
  const titan_kernel *kernel;
  void *state;
} prepared;

static titan_status kernel_prepare(titan_device *device, const titan_op_call *call, void **state) {
  prepared *p;
  *state = NULL;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_KERNEL_STATE, 1, sizeof *p, &p));
  p->kernel = cpu_kernel_of(device, call->kind);
  *state = p;
  return p->kernel->prepare != NULL ? p->kernel->prepare(apart_of(device)->cpu, call, &p->state) : TITAN_OK;
}

static void kernel_release(titan_device *device, void *state) {
  prepared *p = state;
  if (p->state != NULL && p->kernel->release != NULL)
    p->kernel->release(apart_of(device)->cpu, p->state);
  titan_memory_free(p);
}

static titan_status run_kernel(apart *a, apart_op *op) {
  const titan_kernel *kernel = op->of.kernel.kernel;
  return kernel->run != NULL
             ? kernel->run(a->cpu, op->of.kernel.call, op->of.kernel.state, op->of.kernel.inputs, op->of.kernel.outputs,
                           op->of.kernel.workspace)
             : kernel->run_in_group(a->cpu, op->of.kernel.call, op->of.kernel.state, op->of.kernel.group,
                                    op->of.kernel.inputs, op->of.kernel.outputs, op->of.kernel.workspace);
}

static titan_status kernel_run_in_group(titan_device *device, const titan_op_call *call, void *state, titan_comm *group,
                                        const void *const *inputs, void *const *outputs, void *workspace) {
  apart_op *op = NULL;
  TITAN_TRY(apart_add(apart_of(device), TITAN_QUEUE_COMPUTE, run_kernel, &op));
  const prepared *p = state;
  op->exchange = group != NULL;
  op->of.kernel.kernel = cpu_kernel_of(device, call->kind);
  op->of.kernel.call = call;
  op->of.kernel.state = p != NULL ? p->state : NULL;
  memcpy(op->of.kernel.inputs, inputs, (size_t)call->input_count * sizeof *inputs);
  memcpy(op->of.kernel.outputs, outputs, (size_t)call->output_count * sizeof *outputs);
  op->of.kernel.workspace = workspace;
  op->of.kernel.group = group != NULL ? apart_host_group(group) : NULL;
  return TITAN_OK;
}

static titan_status kernel_run(titan_device *device, const titan_op_call *call, void *state, const void *const *inputs,
                               void *const *outputs, void *workspace) {
  return kernel_run_in_group(device, call, state, NULL, inputs, outputs, workspace);
}

const titan_kernel *apart_kernel(titan_device *device, titan_op_kind kind) {
  static const titan_kernel alone = {
      .workspace = kernel_workspace, .prepare = kernel_prepare, .run = kernel_run, .release = kernel_release};
  static const titan_kernel in_group = {.workspace = kernel_workspace,
                                        .prepare = kernel_prepare,
                                        .run_in_group = kernel_run_in_group,
                                        .release = kernel_release};
  const titan_kernel *kernel = cpu_kernel_of(device, kind);
  if (kernel == NULL)
    return NULL;
  return kernel->run != NULL ? &alone : &in_group;
}

// --- vector functions ---

static titan_status run_adam(apart *a, apart_op *op) {
  void *const *slots = op->of.vector.slots;
  return a->cpu->vector->adam(a->cpu, op->of.vector.state, op->of.vector.decay, op->of.vector.n, slots[0], slots[1],
                              slots[2], op->of.vector.from, op->of.vector.to, op->of.vector.to_dtype);
}

static titan_status adam(titan_device *device, const titan_step_state *state, titan_adam_decay decay, int64_t n,
                         float *master, float *exp_avg, float *exp_avg_sq, const float *gradient, void *compute,
                         titan_dtype dtype) {
  apart_op *op = NULL;
  TITAN_TRY(apart_add(apart_of(device), TITAN_QUEUE_COMPUTE, run_adam, &op));
  op->of.vector.state = state;
  op->of.vector.decay = decay;
  op->of.vector.n = n;
  op->of.vector.slots[0] = master;
  op->of.vector.slots[1] = exp_avg;
  op->of.vector.slots[2] = exp_avg_sq;
  op->of.vector.from = gradient;
  op->of.vector.to = compute;
  op->of.vector.to_dtype = dtype;
  return TITAN_OK;
}

static titan_status add_vector(titan_device *device, titan_status (*run)(apart *a, apart_op *op), int64_t n,
                               const void *from, void *to, apart_op **op) {
  TITAN_TRY(apart_add(apart_of(device), TITAN_QUEUE_COMPUTE, run, op));
  (*op)->of.vector.n = n;
  (*op)->of.vector.from = from;
  (*op)->of.vector.to = to;
  return TITAN_OK;
}

static titan_status run_sum_of_squares(apart *a, apart_op *op) {
  return a->cpu->vector->sum_of_squares(a->cpu, op->of.vector.n, op->of.vector.from, op->of.vector.to);
}

static titan_status sum_of_squares(titan_device *device, int64_t n, const float *x, double *sum) {
  apart_op *op = NULL;
  return add_vector(device, run_sum_of_squares, n, x, sum, &op);
}

static titan_status run_convert(apart *a, apart_op *op) {
  return a->cpu->vector->convert(a->cpu, op->of.vector.n, op->of.vector.from, op->of.vector.from_dtype,
                                 op->of.vector.to, op->of.vector.to_dtype);
}

static titan_status convert(titan_device *device, int64_t n, const void *from, titan_dtype from_dtype, void *to,
                            titan_dtype to_dtype) {
  apart_op *op = NULL;
  TITAN_TRY(add_vector(device, run_convert, n, from, to, &op));
  op->of.vector.from_dtype = from_dtype;
  op->of.vector.to_dtype = to_dtype;
  return TITAN_OK;
}

static titan_status run_fill(apart *a, apart_op *op) {
  return a->cpu->vector->fill(a->cpu, op->of.vector.n, op->of.vector.to, op->of.vector.a);
}

static titan_status fill(titan_device *device, int64_t n, float *x, float value) {
  apart_op *op = NULL;
  TITAN_TRY(add_vector(device, run_fill, n, NULL, x, &op));
  op->of.vector.a = value;
  return TITAN_OK;
}

static titan_status run_accumulate(apart *a, apart_op *op) {
  return a->cpu->vector->accumulate(a->cpu, op->of.vector.n, op->of.vector.to, op->of.vector.from);
}

static titan_status accumulate(titan_device *device, int64_t n, float *y, const float *x) {
  apart_op *op = NULL;
  return add_vector(device, run_accumulate, n, x, y, &op);
}

static titan_status run_scaled_add(apart *a, apart_op *op) {
  return a->cpu->vector->scaled_add(a->cpu, op->of.vector.state, op->of.vector.n, op->of.vector.to, op->of.vector.a,
                                    op->of.vector.from, op->of.vector.b, op->of.vector.factor);
}

static titan_status scaled_add(titan_device *device, const titan_step_state *state, int64_t n, float *y, float a,
                               const float *x, float b, titan_state_factor factor) {
  apart_op *op = NULL;
  TITAN_TRY(add_vector(device, run_scaled_add, n, x, y, &op));
  op->of.vector.state = state;
  op->of.vector.a = a;
  op->of.vector.b = b;
  op->of.vector.factor = factor;
  return TITAN_OK;
}

static titan_status run_numbers(apart *a, apart_op *op) {
  return a->cpu->vector->numbers(a->cpu, &op->of.numbers.request, op->of.numbers.numbers, op->of.numbers.state);
}

static titan_status numbers(titan_device *device, const titan_numbers_request *request, titan_step_numbers *out,
                            titan_step_state *state) {
  apart_op *op = NULL;
  TITAN_TRY(apart_add(apart_of(device), TITAN_QUEUE_COMPUTE, run_numbers, &op));
  op->of.numbers.request = *request;
  op->of.numbers.numbers = out;
  op->of.numbers.state = state;
  return TITAN_OK;
}

const titan_vector_functions apart_vector = {.adam = adam,
                                             .sum_of_squares = sum_of_squares,
                                             .convert = convert,
                                             .fill = fill,
                                             .accumulate = accumulate,
                                             .scaled_add = scaled_add,
                                             .numbers = numbers};
