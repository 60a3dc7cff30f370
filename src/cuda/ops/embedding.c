// SPDX-License-Identifier: Apache-2.0
// Tokens outside of the vocabulary are found on the host, before a batch is copied (titan_runtime_check_batch).
#include "cuda/kernels/embedding.h"
#include "cuda/cuda.h"

static titan_status embedding_run(titan_device *device, const titan_op_call *call, void *state,
                                  const void *const *inputs, void *const *outputs, void *workspace) {
  (void)state, (void)workspace;
  const titan_tensor_type *table = &call->inputs[1];
  titan_cuda_put_embedding(titan_cuda_stream(device),
                           &(titan_cuda_tokens){.tokens = inputs[0],
                                                .rows = titan_tensor_elements(&call->inputs[0]),
                                                .vocabulary = table->dims[0],
                                                .first = call->attributes.embedding.first},
                           inputs[1], table->dims[1] * (int64_t)titan_dtype_bytes(table->dtype), outputs[0]);
  return titan_cuda_launched("embedding");
}

static titan_status embedding_backward_run(titan_device *device, const titan_op_call *call, void *state,
                                           const void *const *inputs, void *const *outputs, void *workspace) {
  (void)state, (void)workspace;
  titan_cuda_put_embedding_backward(titan_cuda_stream(device),
                                    &(titan_cuda_tokens){.tokens = inputs[0],
                                                         .rows = titan_tensor_elements(&call->inputs[0]),
                                                         .vocabulary = call->outputs[0].dims[0],
                                                         .first = call->attributes.embedding.first},
                                    call->inputs[1].dtype == TITAN_BFLOAT16, inputs[1],
                                    titan_tensor_columns(&call->inputs[1]), outputs[0]);
  return titan_cuda_launched("embedding_backward");
}

const titan_kernel TITAN_CUDA_KERNEL(embedding) = {.run = embedding_run};
const titan_kernel TITAN_CUDA_KERNEL(embedding_backward) = {.run = embedding_backward_run};
