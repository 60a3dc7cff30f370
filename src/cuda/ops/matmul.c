// SPDX-License-Identifier: Apache-2.0
#include "cuda/blas.h"

static titan_status matmul_prepare(titan_device *device, const titan_op_call *call, void **state) {
  titan_cuda_product *product;
  titan_status status = titan_cuda_product_create(device, call, &product);
  *state = product;
  return status;
}

static titan_status matmul_run(titan_device *device, const titan_op_call *call, void *state, const void *const *inputs,
                               void *const *outputs, void *workspace) {
  return titan_cuda_product_run(device, state, inputs[0], inputs[1], call->input_count == 3 ? inputs[2] : NULL,
                                outputs[0], workspace);
}

static void matmul_release(titan_device *device, void *state) {
  (void)device;
  titan_cuda_product_destroy(state);
}

const titan_kernel TITAN_CUDA_KERNEL(matmul) = {
    .workspace = titan_cuda_workspace, .prepare = matmul_prepare, .run = matmul_run, .release = matmul_release};
