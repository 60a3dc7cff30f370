// SPDX-License-Identifier: Apache-2.0
// A product for the rows of each rank. Over NCCL, in the order of chunks (comm/chunks.h): those of one rank are on
// their way while those of the next are computed, and this rank's own come last. Through host memory they are summed
// when all are there. Both ways give the same bits.
#include "comm/chunks.h"
#include "cuda/blas.h"
#include "cuda/kernels/chunks.h"
#include "device/gpu_workspace.h"

static int64_t chunk_rows(const titan_op_call *call) {
  return titan_tensor_rows(&call->outputs[0]);
}

static titan_status matmul_scatter_prepare(titan_device *device, const titan_op_call *call, void **state) {
  titan_op_call part = titan_matmul_scatter_part(call, chunk_rows(call));
  titan_cuda_product *product;
  titan_status status = titan_cuda_product_create(device, &part, &product);
  *state = product;
  return status;
}

static void matmul_scatter_release(titan_device *device, void *state) {
  (void)device;
  titan_cuda_product_destroy(state);
}

// The rows of `rank`, into `to`.
static titan_status multiply_chunk(titan_device *device, const titan_op_call *call, const titan_cuda_product *product,
                                   int rank, const void *const *inputs, void *to, void *workspace) {
  int64_t row = rank * chunk_rows(call);
  const char *a = (const char *)inputs[0] + titan_cuda_row_offset(&call->inputs[0], row), *c = NULL;
  if (call->input_count == 3)
    c = (const char *)inputs[2] + titan_cuda_row_offset(&call->inputs[2], row);
  return titan_cuda_product_run(device, product, a, inputs[1], c, to, workspace);
}

static titan_status scatter_chunks(titan_device *device, const titan_op_call *call, const titan_cuda_product *product,
                                   titan_comm *group, const void *const *inputs, void *out, char *workspace) {
  const titan_tensor_type *type = &call->outputs[0];
  void *rest = workspace + titan_gpu_ranks_bytes(call);
  titan_work *work = NULL;
  titan_status status = TITAN_OK;
  TITAN_TRY(titan_chunks_reduce(group, workspace, out, (size_t)titan_tensor_elements(type), type->dtype, &work));
  for (int index = 0; index < call->attributes.collective.ranks; index++) {
    int rank = titan_chunk_reduced(group, index);
    if (status == TITAN_OK)
      status = multiply_chunk(device, call, product, rank, inputs, titan_chunks_place(work, rank), rest);
    // After a failure too, or the others would wait for ever.
    titan_status sent = titan_chunks_give(work, rank);
    status = status == TITAN_OK ? sent : status;
  }
  titan_status transfer = titan_work_wait(&work);
  return status == TITAN_OK ? transfer : status;
}

static titan_status scatter_at_once(titan_device *device, const titan_op_call *call, const titan_cuda_product *product,
                                    titan_comm *group, const void *const *inputs, void *out, char *workspace) {
  const titan_tensor_type *type = &call->outputs[0];
  void *rest = workspace + titan_gpu_ranks_bytes(call);
  for (int rank = 0; rank < call->attributes.collective.ranks; rank++)
    TITAN_TRY(
        multiply_chunk(device, call, product, rank, inputs, workspace + (size_t)rank * titan_tensor_bytes(type), rest));
  return titan_comm_reduce_scatter(group, workspace, out, (size_t)titan_tensor_elements(type), type->dtype, TITAN_SUM,
                                   NULL);
}

static titan_status matmul_scatter_run(titan_device *device, const titan_op_call *call, void *state, titan_comm *group,
                                       const void *const *inputs, void *const *outputs, void *workspace) {
  bool in_chunks = titan_chunks_can_reduce(group) && titan_comm_size(group) <= TITAN_CUDA_CHUNKS_RANKS;
  return in_chunks ? scatter_chunks(device, call, state, group, inputs, outputs[0], workspace)
                   : scatter_at_once(device, call, state, group, inputs, outputs[0], workspace);
}

const titan_kernel TITAN_CUDA_KERNEL(matmul_scatter) = {.workspace = titan_cuda_workspace,
                                                        .prepare = matmul_scatter_prepare,
                                                        .run_in_group = matmul_scatter_run,
                                                        .release = matmul_scatter_release};
