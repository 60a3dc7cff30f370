// SPDX-License-Identifier: Apache-2.0
// This rank's own rows are multiplied while the others' are on their way, and theirs, a product for each rank: over
// NCCL each when it is there, through host memory when all are.
#include "comm/chunks.h"
#include "cuda/blas.h"
#include "device/gpu_workspace.h"

// By product: the part that begins an output, and the one that adds to it.
typedef struct prepared {
  titan_cuda_product *parts[TITAN_MAX_OUTPUTS][2];
} prepared;

static int64_t chunk_rows(const titan_op_call *call) {
  return titan_tensor_rows(&call->inputs[0]);
}

static bool keeps_rows(const titan_op_call *call, int product) {
  return titan_gather_product_keeps_rows(&call->attributes.products[product]);
}

static void gather_matmul_release(titan_device *device, void *state) {
  prepared *p = state;
  (void)device;
  for (int i = 0; p != NULL && i < TITAN_MAX_OUTPUTS; i++)
    for (int adds = 0; adds < 2; adds++)
      titan_cuda_product_destroy(p->parts[i][adds]);
  titan_memory_free(p);
}

static titan_status gather_matmul_prepare(titan_device *device, const titan_op_call *call, void **state) {
  prepared *p = NULL;
  *state = NULL;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_KERNEL_STATE, 1, sizeof *p, &p));
  titan_status status = TITAN_OK;
  for (int i = 0; i < call->output_count; i++)
    for (int adds = 0; adds < (keeps_rows(call, i) ? 1 : 2) && status == TITAN_OK; adds++) {
      titan_op_call part = titan_gather_matmul_part(call, i, chunk_rows(call), adds);
      status = titan_cuda_product_create(device, &part, &p->parts[i][adds]);
    }
  if (status == TITAN_OK)
    *state = p;
  else
    gather_matmul_release(device, p);
  return status;
}

// All products of the rows of `rank`, which lie in `chunk`. Rows that are summed over are added to what is there.
static titan_status multiply_chunk(titan_device *device, const titan_op_call *call, const prepared *p, int rank,
                                   const void *chunk, bool is_first, const void *const *inputs, void *const *outputs,
                                   void *workspace) {
  int64_t row = rank * chunk_rows(call);
  for (int i = 0; i < call->output_count; i++) {
    const titan_gather_product *product = &call->attributes.products[i];
    const char *other = inputs[i + 1];
    char *out = outputs[i];
    bool adds = !keeps_rows(call, i) && !is_first;
    if (keeps_rows(call, i))
      out += titan_cuda_row_offset(&call->outputs[i], row);
    else
      other += titan_cuda_row_offset(&call->inputs[i + 1], row);
    TITAN_TRY(titan_cuda_product_run(device, p->parts[i][adds], product->gathered_is_b ? other : chunk,
                                     product->gathered_is_b ? chunk : other, adds ? out : NULL, out, workspace));
  }
  return TITAN_OK;
}

static titan_status gather_matmul_run(titan_device *device, const titan_op_call *call, void *state, titan_comm *group,
                                      const void *const *inputs, void *const *outputs, void *workspace) {
  const titan_tensor_type *type = &call->inputs[0];
  char *gathered = workspace;
  void *rest = gathered + titan_gpu_ranks_bytes(call);
  titan_work *work = NULL;
  size_t count = (size_t)titan_tensor_elements(type);
  bool in_chunks = titan_chunks_can_gather(group);
  TITAN_TRY(in_chunks ? titan_chunks_gather(group, inputs[0], gathered, count, type->dtype, &work)
                      : titan_comm_all_gather(group, inputs[0], gathered, count, type->dtype, &work));
  titan_status status =
      multiply_chunk(device, call, state, titan_comm_rank(group), inputs[0], true, inputs, outputs, rest);
  if (!in_chunks) {
    titan_status transfer = titan_work_wait(&work);
    status = status == TITAN_OK ? transfer : status;
  }
  for (int index = 1; index < call->attributes.collective.ranks && status == TITAN_OK; index++) {
    int rank = titan_chunk_gathered(group, index);
    const void *chunk = gathered + (size_t)rank * titan_tensor_bytes(type);
    if (in_chunks)
      status = titan_chunks_take(work, rank, &chunk);
    if (status == TITAN_OK)
      status = multiply_chunk(device, call, state, rank, chunk, false, inputs, outputs, rest);
  }
  titan_status transfer = titan_work_wait(&work);
  return status == TITAN_OK ? transfer : status;
}

const titan_kernel TITAN_CUDA_KERNEL(gather_matmul) = {.workspace = titan_cuda_workspace,
                                                       .prepare = gather_matmul_prepare,
                                                       .run_in_group = gather_matmul_run,
                                                       .release = gather_matmul_release};
