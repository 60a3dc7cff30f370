// SPDX-License-Identifier: Apache-2.0
// Labels outside of the vocabulary are found on the host, before a batch is copied (titan_runtime_check_batch).
#include "cuda/kernels/cross_entropy.h"
#include "cuda/cuda.h"
#include "device/gpu_workspace.h"
#include "device/logits.h"

static titan_cuda_logits logits_of(const titan_op_call *call, const void *logits, const void *labels) {
  return (titan_cuda_logits){.logits = logits,
                             .labels = labels,
                             .rows = titan_tensor_rows(&call->inputs[0]),
                             .width = titan_tensor_columns(&call->inputs[0]),
                             .columns = titan_logits_columns(call),
                             .first = call->attributes.cross_entropy.first};
}

static size_t cross_entropy_workspace(titan_device *device, const titan_op_call *call) {
  (void)device;
  return titan_gpu_workspace(call, 0);
}

static titan_status cross_entropy_run(titan_device *device, const titan_op_call *call, void *state,
                                      const void *const *inputs, void *const *outputs, void *workspace) {
  (void)state;
  titan_cuda_logits logits = logits_of(call, inputs[0], inputs[1]);
  titan_cuda_put_cross_entropy(titan_cuda_stream(device), &logits, workspace, outputs[0], outputs[1]);
  return titan_cuda_launched("cross_entropy");
}

static titan_status cross_entropy_backward_run(titan_device *device, const titan_op_call *call, void *state,
                                               const void *const *inputs, void *const *outputs, void *workspace) {
  (void)state, (void)workspace;
  titan_cuda_logits logits = logits_of(call, inputs[0], inputs[2]);
  titan_cuda_put_cross_entropy_backward(titan_cuda_stream(device), &logits, call->outputs[0].dtype == TITAN_BFLOAT16,
                                        inputs[1], inputs[3], outputs[0]);
  return titan_cuda_launched("cross_entropy_backward");
}

static titan_status vocabulary_max_run(titan_device *device, const titan_op_call *call, void *state,
                                       const void *const *inputs, void *const *outputs, void *workspace) {
  (void)state, (void)workspace;
  titan_cuda_logits logits = logits_of(call, inputs[0], NULL);
  titan_cuda_put_vocabulary_max(titan_cuda_stream(device), &logits, outputs[0]);
  return titan_cuda_launched("vocabulary_max");
}

static titan_status vocabulary_sums_run(titan_device *device, const titan_op_call *call, void *state,
                                        const void *const *inputs, void *const *outputs, void *workspace) {
  (void)state, (void)workspace;
  titan_cuda_logits logits = logits_of(call, inputs[0], inputs[1]);
  titan_cuda_put_vocabulary_sums(titan_cuda_stream(device), &logits, inputs[2], outputs[0]);
  return titan_cuda_launched("vocabulary_sums");
}

static titan_status vocabulary_loss_run(titan_device *device, const titan_op_call *call, void *state,
                                        const void *const *inputs, void *const *outputs, void *workspace) {
  (void)state, (void)workspace;
  titan_cuda_put_vocabulary_loss(titan_cuda_stream(device), call->inputs[0].dims[0], inputs[1], inputs[2], inputs[3],
                                 outputs[0], outputs[1]);
  return titan_cuda_launched("vocabulary_loss");
}

const titan_kernel TITAN_CUDA_KERNEL(cross_entropy) = {.workspace = cross_entropy_workspace, .run = cross_entropy_run};
const titan_kernel TITAN_CUDA_KERNEL(cross_entropy_backward) = {.run = cross_entropy_backward_run};
const titan_kernel TITAN_CUDA_KERNEL(vocabulary_max) = {.run = vocabulary_max_run};
const titan_kernel TITAN_CUDA_KERNEL(vocabulary_sums) = {.run = vocabulary_sums_run};
const titan_kernel TITAN_CUDA_KERNEL(vocabulary_loss) = {.run = vocabulary_loss_run};
