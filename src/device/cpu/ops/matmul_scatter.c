// SPDX-License-Identifier: Apache-2.0
// The chunk of the rank after this one is multiplied first and goes on its way; this rank's own comes last.
#include "base/memory.h"
#include "comm/chunks.h"
#include "device/cpu/kernel.h"
#include "device/cpu/parts.h"

static int64_t chunk_rows(const titan_op_call *call) {
  return titan_tensor_rows(&call->outputs[0]);
}

static titan_op_call part_of(const titan_op_call *call) {
  return titan_matmul_scatter_part(call, titan_cpu_part_rows(chunk_rows(call)));
}

// Chunks to give, and chunks that come.
static size_t chunks_bytes(const titan_op_call *call) {
  return titan_round_up(2 * titan_tensor_bytes(&call->outputs[0]) * (size_t)call->attributes.collective.ranks,
                        TITAN_MEMORY_ALIGNMENT);
}

static size_t matmul_scatter_workspace_bytes(titan_device *device, const titan_op_call *call) {
  titan_op_call part = part_of(call);
  return chunks_bytes(call) + titan_cpu_part_workspace(device, &part);
}

static void matmul_scatter_release(titan_device *device, void *state) {
  if (state != NULL)
    titan_cpu_part_release(device, state);
  titan_memory_free(state);
}

static titan_status matmul_scatter_prepare(titan_device *device, const titan_op_call *call, void **state) {
  titan_cpu_part *part;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_KERNEL_STATE, 1, sizeof *part, &part));
  titan_op_call product = part_of(call);
  titan_status status = titan_cpu_part_prepare(device, &product, part);
  if (status != TITAN_OK) {
    titan_memory_free(part);
    part = NULL;
  }
  *state = part;
  return status;
}

// The chunk of rows from `first` on, into `to`.
static titan_status multiply_chunk(titan_device *device, const titan_op_call *call, const titan_cpu_part *part,
                                   titan_comm *comm, int64_t first, const void *const *inputs, char *to,
                                   void *workspace) {
  int64_t step = titan_tensor_rows(&part->call.inputs[0]);
  for (int64_t row = 0; row < chunk_rows(call); row += step) {
    const char *a = (const char *)inputs[0] + titan_cpu_row_offset(&call->inputs[0], first + row);
    const char *c =
        call->input_count == 3 ? (const char *)inputs[2] + titan_cpu_row_offset(&call->inputs[2], first + row) : NULL;
    TITAN_TRY(titan_cpu_part_run(device, part, a, inputs[1], c, to + titan_cpu_row_offset(&call->outputs[0], row),
                                 workspace));
    titan_chunks_poll(comm);
  }
  return TITAN_OK;
}

static titan_status matmul_scatter_run(titan_device *device, const titan_op_call *call, void *state, titan_comm *group,
                                       const void *const *inputs, void *const *outputs, void *workspace) {
  void *rest = (char *)workspace + chunks_bytes(call);
  titan_work *work = NULL;
  TITAN_TRY(titan_chunks_reduce(group, workspace, outputs[0], (size_t)titan_tensor_elements(&call->outputs[0]),
                                call->outputs[0].dtype, &work));
  titan_status status = TITAN_OK;
  for (int index = 0; index < call->attributes.collective.ranks; index++) {
    int rank = titan_chunk_reduced(group, index);
    if (status == TITAN_OK)
      status = multiply_chunk(device, call, state, group, rank * chunk_rows(call), inputs,
                              titan_chunks_place(work, rank), rest);
    // After a failure too, or the others would wait for ever.
    titan_status given = titan_chunks_give(work, rank);
    status = status == TITAN_OK ? given : status;
  }
  titan_status transfer = titan_work_wait(&work);
  return status == TITAN_OK ? transfer : status;
}

const titan_kernel TITAN_CPU_KERNEL(matmul_scatter) = {.workspace = matmul_scatter_workspace_bytes,
                                                       .prepare = matmul_scatter_prepare,
                                                       .run_in_group = matmul_scatter_run,
                                                       .release = matmul_scatter_release};
