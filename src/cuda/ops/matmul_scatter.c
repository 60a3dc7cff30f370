// SPDX-License-Identifier: Apache-2.0
// The product is made in parts, each with as many rows of every rank; a part is on its way while the next is computed.
#include "comm/comm.h"
#include "cuda/blas.h"
#include "device/gpu_workspace.h"

// A product of fewer rows of a rank leaves much of a GPU idle.
enum { MOST_PARTS = 2, LEAST_ROWS = 512 };

static int ranks_of(const titan_op_call *call) {
  return call->attributes.collective.ranks;
}

static int64_t chunk_rows(const titan_op_call *call) {
  return titan_tensor_rows(&call->outputs[0]);
}

static int64_t parts_of(const titan_op_call *call) {
  for (int64_t parts = MOST_PARTS; parts > 1; parts--)
    if (chunk_rows(call) % parts == 0 && chunk_rows(call) / parts >= LEAST_ROWS)
      return parts;
  return 1;
}

// Rows of a product. The rows of all ranks lie one after another, and a single part takes them at once.
static int64_t product_rows(const titan_op_call *call) {
  return parts_of(call) == 1 ? chunk_rows(call) * ranks_of(call) : chunk_rows(call) / parts_of(call);
}

static titan_status matmul_scatter_prepare(titan_device *device, const titan_op_call *call, void **state) {
  titan_op_call part = titan_matmul_scatter_part(call, product_rows(call));
  titan_cuda_product *product;
  titan_status status = titan_cuda_product_create(device, &part, &product);
  *state = product;
  return status;
}

static void matmul_scatter_release(titan_device *device, void *state) {
  (void)device;
  titan_cuda_product_destroy(state);
}

// Rows from `row` on of each rank's chunk, rank after rank, into `to`.
static titan_status multiply_part(titan_device *device, const titan_op_call *call, const titan_cuda_product *product,
                                  int64_t row, const void *const *inputs, char *to, void *workspace) {
  int64_t rows = product_rows(call), all = chunk_rows(call) / parts_of(call) * ranks_of(call);
  for (int64_t done = 0; done < all; done += rows) {
    int64_t from = done / rows * chunk_rows(call) + row;
    const char *a = (const char *)inputs[0] + titan_cuda_row_offset(&call->inputs[0], from), *c = NULL;
    if (call->input_count == 3)
      c = (const char *)inputs[2] + titan_cuda_row_offset(&call->inputs[2], from);
    TITAN_TRY(titan_cuda_product_run(device, product, a, inputs[1], c,
                                     to + titan_cuda_row_offset(&call->outputs[0], done), workspace));
  }
  return TITAN_OK;
}

static titan_status matmul_scatter_run(titan_device *device, const titan_op_call *call, void *state, titan_comm *group,
                                       const void *const *inputs, void *const *outputs, void *workspace) {
  const titan_tensor_type *type = &call->outputs[0];
  int64_t parts = parts_of(call), rows = chunk_rows(call) / parts;
  size_t bytes = titan_cuda_row_offset(type, rows), part_bytes = bytes * (size_t)ranks_of(call);
  char *products = workspace;
  void *rest = products + titan_gpu_ranks_bytes(call, type);
  titan_work *work = NULL;
  titan_status status = TITAN_OK;
  for (int64_t part = 0; part < parts && status == TITAN_OK; part++) {
    char *to = products + (size_t)part * part_bytes;
    status = multiply_part(device, call, state, part * rows, inputs, to, rest);
    titan_status transfer = titan_work_wait(&work);
    status = status == TITAN_OK ? transfer : status;
    if (status == TITAN_OK)
      status = titan_comm_reduce_scatter(group, to, (char *)outputs[0] + (size_t)part * bytes,
                                         (size_t)(rows * titan_tensor_columns(type)), type->dtype, TITAN_SUM, &work);
  }
  titan_status transfer = titan_work_wait(&work);
  return status == TITAN_OK ? transfer : status;
}

const titan_kernel TITAN_CUDA_KERNEL(matmul_scatter) = {.workspace = titan_cuda_workspace,
                                                        .prepare = matmul_scatter_prepare,
                                                        .run_in_group = matmul_scatter_run,
                                                        .release = matmul_scatter_release};
