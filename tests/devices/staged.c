// SPDX-License-Identifier: Apache-2.0
#include "staged.h"

#include "device/numbers.h"
#include "device/queue.h"

#include <string.h>

enum { GUARD = 64, GUARD_BYTE = 0x5c, MOST_OPERANDS = TITAN_MAX_INPUTS + TITAN_MAX_OUTPUTS + 1 };

typedef struct staged {
  titan_device *inner;
} staged;

// What a call reads and writes, on the host and on the device.
typedef struct operand {
  void *host;
  unsigned char *memory; // of the device, with its guards
  unsigned char *image;  // in TITAN_SPACE_HOST: what is copied
  size_t front;          // bytes of the guard before it
  size_t bytes;
  bool written;
  bool scratch; // its contents stay on the device: only the guards are copied
} operand;

typedef struct operands {
  titan_device *inner;
  operand list[MOST_OPERANDS];
  int count;
  titan_status status;
} operands;

static size_t shift_bytes;

void titan_staged_shift(size_t bytes) {
  shift_bytes = bytes;
}

static titan_device *inner_of(const titan_device *device) {
  return ((const staged *)device->implementation)->inner;
}

// Of scratch memory, whose image is the two guards alone.
static titan_status copy_guards(titan_device *inner, const operand *o, bool there) {
  for (size_t i = 0; i < 2; i++) {
    unsigned char *image = o->image + i * GUARD, *memory = o->memory + i * (GUARD + o->bytes);
    TITAN_TRY(titan_queue_copy(inner, TITAN_QUEUE_COMPUTE, there ? memory : image, there ? image : memory, GUARD));
  }
  return TITAN_OK;
}

static titan_status send(titan_device *inner, operand *o) {
  size_t bytes = o->front + o->bytes + GUARD, image_bytes = o->scratch ? 2 * (size_t)GUARD : bytes;
  TITAN_TRY(inner->allocate(inner, TITAN_SPACE_DEVICE, TITAN_MEMORY_SCRATCH, bytes, &o->memory));
  TITAN_TRY(inner->allocate(inner, TITAN_SPACE_HOST, TITAN_MEMORY_SCRATCH, image_bytes, &o->image));
  if (o->scratch) {
    memset(o->image, GUARD_BYTE, 2 * (size_t)GUARD);
    return copy_guards(inner, o, true);
  }
  memset(o->image, GUARD_BYTE, bytes);
  memcpy(o->image + o->front, o->host, o->bytes);
  return titan_queue_copy(inner, TITAN_QUEUE_COMPUTE, o->memory, o->image, bytes);
}

// The address on the device; an operand that is named twice is one.
static void *add_operand(operands *all, const void *host, size_t bytes, bool written, bool scratch) {
  if (host == NULL || all->status != TITAN_OK)
    return NULL;
  for (int i = 0; i < all->count; i++)
    if (all->list[i].host == host) {
      all->list[i].written |= written;
      if (bytes > all->list[i].bytes)
        all->status = titan_error(TITAN_ERROR_INTERNAL, "an output is longer than the input whose memory it takes");
      return all->list[i].memory + all->list[i].front;
    }
  operand *o = &all->list[all->count++];
  *o = (operand){.host = (void *)(uintptr_t)host,
                 .front = GUARD + (scratch ? 0 : shift_bytes),
                 .bytes = bytes,
                 .written = written,
                 .scratch = scratch};
  all->status = send(all->inner, o);
  return all->status == TITAN_OK ? o->memory + o->front : NULL;
}

static void *add(operands *all, const void *host, size_t bytes, bool written) {
  return add_operand(all, host, bytes, written, false);
}

static titan_status compare(const operand *o, int index) {
  size_t after = o->front + (o->scratch ? 0 : o->bytes);
  for (size_t i = 0; i < o->front + GUARD; i++)
    if (o->image[i < o->front ? i : after + i - o->front] != GUARD_BYTE)
      return titan_error(TITAN_ERROR_INTERNAL, "wrote beyond operand %d of the call", index);
  if (!o->written && memcmp(o->image + o->front, o->host, o->bytes) != 0)
    return titan_error(TITAN_ERROR_INTERNAL, "wrote to operand %d of the call, an input", index);
  return TITAN_OK;
}

// After the call with status `status`: copies back, compares and frees.
static titan_status finish(operands *all, titan_status status) {
  titan_device *inner = all->inner;
  status = all->status != TITAN_OK ? all->status : status;
  for (int i = 0; i < all->count && status == TITAN_OK; i++) {
    operand *o = &all->list[i];
    status = o->scratch
                 ? copy_guards(inner, o, false)
                 : titan_queue_copy(inner, TITAN_QUEUE_COMPUTE, o->image, o->memory, o->front + o->bytes + GUARD);
  }
  titan_status drained = titan_device_drain(inner);
  status = status == TITAN_OK ? drained : status;
  for (int i = 0; i < all->count && status == TITAN_OK; i++) {
    operand *o = &all->list[i];
    status = compare(o, i);
    if (o->written && !o->scratch)
      memcpy(o->host, o->image + o->front, o->bytes);
  }
  for (int i = 0; i < all->count; i++) {
    inner->free(inner, TITAN_SPACE_DEVICE, all->list[i].memory);
    inner->free(inner, TITAN_SPACE_HOST, all->list[i].image);
  }
  return status;
}

// --- kernels ---

static const titan_kernel *inner_kernel(titan_device *device, titan_op_kind kind) {
  titan_device *inner = inner_of(device);
  return inner->kernel(inner, kind);
}

static size_t kernel_workspace(titan_device *device, const titan_op_call *call) {
  const titan_kernel *kernel = inner_kernel(device, call->kind);
  return kernel->workspace != NULL ? kernel->workspace(inner_of(device), call) : 0;
}

// What the inner device's kernel prepared, and how it is released.
typedef struct prepared {
  const titan_kernel *kernel;
  void *state;
} prepared;

static titan_status kernel_prepare(titan_device *device, const titan_op_call *call, void **state) {
  prepared *p;
  *state = NULL;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_KERNEL_STATE, 1, sizeof *p, &p));
  p->kernel = inner_kernel(device, call->kind);
  titan_status status = p->kernel->prepare != NULL ? p->kernel->prepare(inner_of(device), call, &p->state) : TITAN_OK;
  if (status != TITAN_OK) {
    titan_memory_free(p);
    return status;
  }
  *state = p;
  return TITAN_OK;
}

static void kernel_release(titan_device *device, void *state) {
  prepared *p = state;
  if (p != NULL && p->kernel->release != NULL && p->state != NULL)
    p->kernel->release(inner_of(device), p->state);
  titan_memory_free(p);
}

static titan_status kernel_run(titan_device *device, const titan_op_call *call, void *state, const void *const *inputs,
                               void *const *outputs, void *workspace) {
  operands all = {.inner = inner_of(device)};
  const titan_kernel *kernel = inner_kernel(device, call->kind);
  const prepared *p = state;
  const void *in[TITAN_MAX_INPUTS] = {NULL};
  void *out[TITAN_MAX_OUTPUTS] = {NULL};
  for (int i = 0; i < call->input_count; i++)
    in[i] = add(&all, inputs[i], titan_tensor_bytes(&call->inputs[i]), false);
  for (int i = 0; i < call->output_count; i++)
    out[i] = add(&all, outputs[i], titan_tensor_bytes(&call->outputs[i]), true);
  void *scratch = add_operand(&all, workspace, kernel_workspace(device, call), true, true);
  titan_status status = all.status;
  if (status == TITAN_OK)
    status = kernel->run(all.inner, call, p != NULL ? p->state : NULL, in, out, scratch);
  return finish(&all, status);
}

static titan_status kernel_run_in_group(titan_device *device, const titan_op_call *call, void *state, titan_comm *group,
                                        const void *const *inputs, void *const *outputs, void *workspace) {
  (void)device, (void)call, (void)state, (void)group, (void)inputs, (void)outputs, (void)workspace;
  return titan_error(TITAN_ERROR_INTERNAL, "a staged device has no groups");
}

static const titan_kernel *kernel_of(titan_device *device, titan_op_kind kind) {
  static const titan_kernel alone = {
      .workspace = kernel_workspace, .prepare = kernel_prepare, .run = kernel_run, .release = kernel_release};
  static const titan_kernel in_group = {.workspace = kernel_workspace,
                                        .prepare = kernel_prepare,
                                        .run_in_group = kernel_run_in_group,
                                        .release = kernel_release};
  const titan_kernel *kernel = inner_kernel(device, kind);
  if (kernel == NULL)
    return NULL;
  return kernel->run != NULL ? &alone : &in_group;
}

// --- vector functions ---

static size_t floats(int64_t n) {
  return (size_t)n * sizeof(float);
}

static const titan_step_state *add_state(operands *all, const titan_step_state *state) {
  return add(all, state, sizeof *state, false);
}

static titan_status adam(titan_device *device, const titan_step_state *state, titan_adam_decay decay, int64_t n,
                         float *master, float *exp_avg, float *exp_avg_sq, const float *gradient, void *compute,
                         titan_dtype dtype) {
  operands all = {.inner = inner_of(device)};
  const titan_step_state *there = add_state(&all, state);
  float *w = add(&all, master, floats(n), true), *m = add(&all, exp_avg, floats(n), true),
        *v = add(&all, exp_avg_sq, floats(n), true);
  const float *g = add(&all, gradient, floats(n), false);
  void *c = add(&all, compute, (size_t)n * titan_dtype_bytes(dtype), true);
  titan_status status = all.status;
  if (status == TITAN_OK)
    status = all.inner->vector->adam(all.inner, there, decay, n, w, m, v, g, c, dtype);
  return finish(&all, status);
}

static titan_status sum_of_squares(titan_device *device, int64_t n, const float *x, double *sum) {
  operands all = {.inner = inner_of(device)};
  const float *there = add(&all, x, floats(n), false);
  double *result = add(&all, sum, sizeof *sum, true);
  titan_status status = all.status;
  if (status == TITAN_OK)
    status = all.inner->vector->sum_of_squares(all.inner, n, there, result);
  return finish(&all, status);
}

static titan_status convert(titan_device *device, int64_t n, const void *from, titan_dtype from_dtype, void *to,
                            titan_dtype to_dtype) {
  operands all = {.inner = inner_of(device)};
  const void *in = add(&all, from, (size_t)n * titan_dtype_bytes(from_dtype), false);
  void *out = add(&all, to, (size_t)n * titan_dtype_bytes(to_dtype), true);
  titan_status status = all.status;
  if (status == TITAN_OK)
    status = all.inner->vector->convert(all.inner, n, in, from_dtype, out, to_dtype);
  return finish(&all, status);
}

static titan_status fill(titan_device *device, int64_t n, float *x, float value) {
  operands all = {.inner = inner_of(device)};
  float *there = add(&all, x, floats(n), true);
  titan_status status = all.status;
  if (status == TITAN_OK)
    status = all.inner->vector->fill(all.inner, n, there, value);
  return finish(&all, status);
}

static titan_status accumulate(titan_device *device, int64_t n, float *y, const float *x) {
  operands all = {.inner = inner_of(device)};
  float *to = add(&all, y, floats(n), true);
  const float *from = add(&all, x, floats(n), false);
  titan_status status = all.status;
  if (status == TITAN_OK)
    status = all.inner->vector->accumulate(all.inner, n, to, from);
  return finish(&all, status);
}

static titan_status scaled_add(titan_device *device, const titan_step_state *state, int64_t n, float *y, float a,
                               const float *x, float b, titan_state_factor factor) {
  operands all = {.inner = inner_of(device)};
  const titan_step_state *there = add_state(&all, state);
  float *to = add(&all, y, floats(n), true);
  const float *from = add(&all, x, floats(n), false);
  titan_status status = all.status;
  if (status == TITAN_OK)
    status = all.inner->vector->scaled_add(all.inner, there, n, to, a, from, b, factor);
  return finish(&all, status);
}

static titan_status numbers(titan_device *device, const titan_numbers_request *request, titan_step_numbers *result,
                            titan_step_state *state) {
  operands all = {.inner = inner_of(device)};
  titan_numbers_request there = *request;
  there.losses = add(&all, request->losses, floats(request->loss_count), false);
  there.flags = add(&all, request->flags, TITAN_NUMBERS * sizeof(double), false);
  there.squares = add(&all, request->squares, (size_t)request->square_count * sizeof(double), false);
  titan_step_numbers *n = add(&all, result, sizeof *result, true);
  titan_step_state *s = add(&all, state, sizeof *state, true);
  titan_status status = all.status;
  if (status == TITAN_OK)
    status = all.inner->vector->numbers(all.inner, &there, n, s);
  return finish(&all, status);
}

// --- the device ---

static titan_status allocate(titan_device *device, titan_space space, titan_memory_tag tag, size_t bytes, void *out) {
  (void)device, (void)space;
  return titan_memory_allocate(tag, bytes, out);
}

static void free_memory(titan_device *device, titan_space space, void *pointer) {
  (void)device, (void)space;
  titan_memory_free(pointer);
}

static void destroy(titan_device *device) {
  titan_device *inner = inner_of(device);
  titan_device_destroy(&inner);
  titan_memory_free(device->implementation);
  titan_memory_free(device);
}

titan_status titan_staged_create(titan_device *inner, titan_device **out) {
  static const titan_vector_functions vector = {.adam = adam,
                                                .sum_of_squares = sum_of_squares,
                                                .convert = convert,
                                                .fill = fill,
                                                .accumulate = accumulate,
                                                .scaled_add = scaled_add,
                                                .numbers = numbers};
  titan_device *device = NULL;
  staged *s = NULL;
  *out = NULL;
  titan_status status = titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, 1, sizeof *device, &device);
  if (status == TITAN_OK)
    status = titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, 1, sizeof *s, &s);
  if (status != TITAN_OK) {
    titan_memory_free(device);
    titan_device_destroy(&inner);
    return status;
  }
  s->inner = inner;
  *device = (titan_device){.name = "staged",
                           .level = inner->level,
                           .description = inner->description,
                           .threads = inner->threads,
                           .alignment = inner->alignment,
                           .logits_bytes = inner->logits_bytes,
                           .allocate = allocate,
                           .free = free_memory,
                           .kernel = kernel_of,
                           .vector = &vector,
                           .destroy = destroy,
                           .implementation = s};
  *out = device;
  status = titan_device_check(device);
  if (status != TITAN_OK)
    titan_device_destroy(out);
  return status;
}
