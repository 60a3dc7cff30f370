// SPDX-License-Identifier: Apache-2.0
#include "cuda/kernels/norm.h"
#include "cuda/cuda.h"
#include "device/gpu_workspace.h"

static titan_cuda_norm norm_of(const titan_op_call *call, const void *const *inputs, void *const *outputs) {
  const titan_tensor_type *type = &call->inputs[0];
  return (titan_cuda_norm){.x = inputs[0],
                           .y = outputs[0],
                           .rows = titan_tensor_rows(type),
                           .width = titan_tensor_columns(type),
                           .epsilon = call->attributes.norm.epsilon,
                           .narrow = type->dtype == TITAN_BFLOAT16,
                           .round_twice = type->dtype == TITAN_BFLOAT16 && !call->attributes.norm.fused};
}

static titan_status rms_norm_run(titan_device *device, const titan_op_call *call, void *state,
                                 const void *const *inputs, void *const *outputs, void *workspace) {
  (void)state, (void)workspace;
  titan_cuda_norm norm = norm_of(call, inputs, outputs);
  norm.weight = inputs[1];
  norm.rstd = outputs[1];
  titan_cuda_put_norm(titan_cuda_stream(device), &norm);
  return titan_cuda_launched("rms_norm");
}

static titan_status add_rms_norm_run(titan_device *device, const titan_op_call *call, void *state,
                                     const void *const *inputs, void *const *outputs, void *workspace) {
  (void)state, (void)workspace;
  titan_cuda_norm norm = norm_of(call, inputs, outputs);
  norm.residual = inputs[1];
  norm.weight = inputs[2];
  norm.rstd = outputs[1];
  norm.sum = outputs[2];
  titan_cuda_put_norm(titan_cuda_stream(device), &norm);
  return titan_cuda_launched("add_rms_norm");
}

static titan_status layer_norm_run(titan_device *device, const titan_op_call *call, void *state,
                                   const void *const *inputs, void *const *outputs, void *workspace) {
  (void)state, (void)workspace;
  titan_cuda_norm norm = norm_of(call, inputs, outputs);
  norm.weight = call->input_count == 2 ? inputs[1] : NULL;
  norm.mean = outputs[1];
  norm.rstd = outputs[2];
  titan_cuda_put_norm(titan_cuda_stream(device), &norm);
  return titan_cuda_launched("layer_norm");
}

static size_t backward_workspace(titan_device *device, const titan_op_call *call) {
  (void)device;
  return titan_gpu_workspace(call, 0);
}

static titan_cuda_norm_backward norm_backward_of(const titan_op_call *call, const void *const *inputs,
                                                 void *const *outputs, void *workspace) {
  const titan_tensor_type *type = &call->inputs[1];
  return (titan_cuda_norm_backward){.dy = inputs[0],
                                    .x = inputs[1],
                                    .dx = outputs[0],
                                    .partials = workspace,
                                    .rows = titan_tensor_rows(type),
                                    .width = titan_tensor_columns(type),
                                    .narrow = type->dtype == TITAN_BFLOAT16,
                                    .round_twice = type->dtype == TITAN_BFLOAT16 && !call->attributes.norm.fused};
}

static titan_status rms_norm_backward_run(titan_device *device, const titan_op_call *call, void *state,
                                          const void *const *inputs, void *const *outputs, void *workspace) {
  (void)state;
  titan_cuda_norm_backward norm = norm_backward_of(call, inputs, outputs, workspace);
  norm.weight = inputs[2];
  norm.rstd = inputs[3];
  norm.carried = call->input_count == 5 ? inputs[4] : NULL;
  norm.dweight = outputs[1];
  titan_cuda_put_norm_backward(titan_cuda_stream(device), &norm);
  return titan_cuda_launched("rms_norm_backward");
}

static titan_status layer_norm_backward_run(titan_device *device, const titan_op_call *call, void *state,
                                            const void *const *inputs, void *const *outputs, void *workspace) {
  (void)state;
  titan_cuda_norm_backward norm = norm_backward_of(call, inputs, outputs, workspace);
  norm.mean = inputs[2];
  norm.rstd = inputs[3];
  norm.weight = call->input_count == 5 ? inputs[4] : NULL;
  norm.dweight = call->input_count == 5 ? outputs[1] : NULL;
  titan_cuda_put_norm_backward(titan_cuda_stream(device), &norm);
  return titan_cuda_launched("layer_norm_backward");
}

const titan_kernel TITAN_CUDA_KERNEL(rms_norm) = {.run = rms_norm_run};
const titan_kernel TITAN_CUDA_KERNEL(add_rms_norm) = {.run = add_rms_norm_run};
const titan_kernel TITAN_CUDA_KERNEL(layer_norm) = {.run = layer_norm_run};
const titan_kernel TITAN_CUDA_KERNEL(rms_norm_backward) = {.workspace = backward_workspace,
                                                           .run = rms_norm_backward_run};
const titan_kernel TITAN_CUDA_KERNEL(layer_norm_backward) = {.workspace = backward_workspace,
                                                             .run = layer_norm_backward_run};
