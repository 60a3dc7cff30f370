// SPDX-License-Identifier: Apache-2.0
#include "cuda/kernels/elementwise.h"
#include "cuda/cuda.h"

static bool is_narrow(const titan_tensor_type *type) {
  return type->dtype == TITAN_BFLOAT16;
}

static titan_status put_two(titan_device *device, const titan_op_call *call, titan_cuda_elementwise what,
                            const void *const *inputs, void *const *outputs) {
  const titan_tensor_type *type = &call->outputs[0];
  titan_cuda_put_elementwise(titan_cuda_stream(device), what, is_narrow(type), titan_tensor_elements(type), inputs[0],
                             inputs[1], outputs[0]);
  return titan_cuda_launched(titan_op_name(call->kind));
}

static titan_status add_run(titan_device *device, const titan_op_call *call, void *state, const void *const *inputs,
                            void *const *outputs, void *workspace) {
  (void)state, (void)workspace;
  return put_two(device, call, TITAN_CUDA_ADD, inputs, outputs);
}

static titan_status mul_run(titan_device *device, const titan_op_call *call, void *state, const void *const *inputs,
                            void *const *outputs, void *workspace) {
  (void)state, (void)workspace;
  return put_two(device, call, TITAN_CUDA_MUL, inputs, outputs);
}

static titan_status silu_backward_run(titan_device *device, const titan_op_call *call, void *state,
                                      const void *const *inputs, void *const *outputs, void *workspace) {
  (void)state, (void)workspace;
  return put_two(device, call, TITAN_CUDA_SILU_BACKWARD, inputs, outputs);
}

static titan_status silu_run(titan_device *device, const titan_op_call *call, void *state, const void *const *inputs,
                             void *const *outputs, void *workspace) {
  (void)state, (void)workspace;
  const titan_tensor_type *type = &call->outputs[0];
  titan_cuda_put_silu(titan_cuda_stream(device), is_narrow(type), titan_tensor_elements(type), inputs[0], outputs[0]);
  return titan_cuda_launched("silu");
}

static titan_status copy_run(titan_device *device, const titan_op_call *call, void *state, const void *const *inputs,
                             void *const *outputs, void *workspace) {
  (void)state, (void)workspace;
  titan_cuda_put_copy(titan_cuda_stream(device), titan_tensor_bytes(&call->outputs[0]), inputs[0], outputs[0]);
  return titan_cuda_launched("copy");
}

static titan_status swiglu_run(titan_device *device, const titan_op_call *call, void *state, const void *const *inputs,
                               void *const *outputs, void *workspace) {
  (void)state, (void)workspace;
  const titan_tensor_type *type = &call->outputs[0];
  titan_cuda_put_swiglu(titan_cuda_stream(device), is_narrow(type), titan_tensor_rows(type), titan_tensor_columns(type),
                        inputs[0], outputs[0]);
  return titan_cuda_launched("swiglu");
}

static titan_status swiglu_backward_run(titan_device *device, const titan_op_call *call, void *state,
                                        const void *const *inputs, void *const *outputs, void *workspace) {
  (void)state, (void)workspace;
  const titan_tensor_type *type = &call->inputs[0];
  titan_cuda_put_swiglu_backward(titan_cuda_stream(device), is_narrow(type), titan_tensor_rows(type),
                                 titan_tensor_columns(type), inputs[0], inputs[1], outputs[0]);
  return titan_cuda_launched("swiglu_backward");
}

const titan_kernel TITAN_CUDA_KERNEL(add) = {.run = add_run};
const titan_kernel TITAN_CUDA_KERNEL(mul) = {.run = mul_run};
const titan_kernel TITAN_CUDA_KERNEL(silu) = {.run = silu_run};
const titan_kernel TITAN_CUDA_KERNEL(silu_backward) = {.run = silu_backward_run};
const titan_kernel TITAN_CUDA_KERNEL(copy) = {.run = copy_run};
const titan_kernel TITAN_CUDA_KERNEL(swiglu) = {.run = swiglu_run};
const titan_kernel TITAN_CUDA_KERNEL(swiglu_backward) = {.run = swiglu_backward_run};
