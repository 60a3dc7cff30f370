// SPDX-License-Identifier: Apache-2.0
// The meta device: plans without kernels.
#include "device/device_table.h"
#include "device/gpu_workspace.h"

enum { ALIGNMENT = 256 }; // of cudaMalloc, and what its vector loads and copies want

typedef struct meta_device {
  titan_device device;
  const titan_device_facts *facts;
  bool deterministic;
} meta_device;

static size_t workspace_bytes(titan_device *device, const titan_op_call *call) {
  const meta_device *meta = device->implementation;
  const int capability = meta->facts->capability;
  if (call->kind == TITAN_OP_attention || call->kind == TITAN_OP_attention_backward)
    return titan_gpu_attention_workspace(
        call, (titan_gpu_kind){.capability = capability, .dnn = true, .deterministic = meta->deterministic});
  return titan_gpu_workspace(call, capability);
}

static titan_status no_such_device(const titan_device *device) {
  return titan_error(TITAN_ERROR_DEVICE, "%s: a substitute for plans, without memory or kernels", device->description);
}

static titan_status meta_run(titan_device *device, const titan_op_call *call, void *state, const void *const *inputs,
                             void *const *outputs, void *workspace) {
  (void)call, (void)state, (void)inputs, (void)outputs, (void)workspace;
  return no_such_device(device);
}

static titan_status meta_allocate(titan_device *device, titan_space space, titan_memory_tag tag, size_t bytes,
                                  void *out) {
  (void)space, (void)tag, (void)bytes;
  *(void **)out = NULL;
  return no_such_device(device);
}

static void meta_free(titan_device *device, titan_space space, void *pointer) {
  (void)device, (void)space, (void)pointer;
}

static const titan_kernel *meta_kernel(titan_device *device, titan_op_kind kind) {
  static const titan_kernel kernel = {.workspace = workspace_bytes, .run = meta_run};
  (void)device;
  return titan_op_is_view(kind) ? NULL : &kernel;
}

// Nothing can be allocated, so there is nothing for these to work on.
static titan_status meta_adam(titan_device *device, const titan_step_state *state, titan_adam_decay decay, int64_t n,
                              float *master, float *exp_avg, float *exp_avg_sq, const float *gradient, void *compute,
                              titan_dtype dtype) {
  (void)state, (void)decay, (void)n, (void)master, (void)exp_avg, (void)exp_avg_sq, (void)gradient, (void)compute;
  (void)dtype;
  return no_such_device(device);
}

static titan_status meta_sum_of_squares(titan_device *device, int64_t n, const float *x, double *sum) {
  (void)n, (void)x, (void)sum;
  return no_such_device(device);
}

static titan_status meta_convert(titan_device *device, int64_t n, const void *from, titan_dtype from_dtype, void *to,
                                 titan_dtype to_dtype) {
  (void)n, (void)from, (void)from_dtype, (void)to, (void)to_dtype;
  return no_such_device(device);
}

static titan_status meta_fill(titan_device *device, int64_t n, float *x, float value) {
  (void)n, (void)x, (void)value;
  return no_such_device(device);
}

static titan_status meta_accumulate(titan_device *device, int64_t n, float *y, const float *x) {
  (void)n, (void)y, (void)x;
  return no_such_device(device);
}

static titan_status meta_scaled_add(titan_device *device, const titan_step_state *state, int64_t n, float *y, float a,
                                    const float *x, float b, titan_state_factor factor) {
  (void)state, (void)n, (void)y, (void)a, (void)x, (void)b, (void)factor;
  return no_such_device(device);
}

static titan_status meta_numbers(titan_device *device, const titan_numbers_request *request,
                                 titan_step_numbers *numbers, titan_step_state *state) {
  (void)request, (void)numbers, (void)state;
  return no_such_device(device);
}

static void meta_destroy(titan_device *device) {
  titan_memory_free(device->implementation);
}

titan_status titan_device_create_meta(const titan_device_facts *facts, bool deterministic, titan_device **out) {
  static const titan_vector_functions vector = {.adam = meta_adam,
                                                .sum_of_squares = meta_sum_of_squares,
                                                .convert = meta_convert,
                                                .fill = meta_fill,
                                                .accumulate = meta_accumulate,
                                                .scaled_add = meta_scaled_add,
                                                .numbers = meta_numbers};
  meta_device *meta;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, 1, sizeof *meta, &meta));
  *meta = (meta_device){.facts = facts, .deterministic = deterministic};
  titan_device *device = &meta->device;
  *device = (titan_device){.name = "meta",
                           .description = facts->text,
                           .threads = 1,
                           .alignment = ALIGNMENT,
                           .logits_bytes = TITAN_GPU_LOGITS_BYTES,
                           .implementation = meta,
                           .allocate = meta_allocate,
                           .free = meta_free,
                           .kernel = meta_kernel,
                           .vector = &vector,
                           .destroy = meta_destroy};
  titan_status status = titan_device_check(device);
  if (status != TITAN_OK)
    titan_device_destroy(&device);
  *out = device;
  return status;
}
