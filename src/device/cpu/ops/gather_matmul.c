// SPDX-License-Identifier: Apache-2.0
// The chunks are multiplied in ring order, each as soon as it is there: this rank's own while the next is on its way.
#include "base/memory.h"
#include "comm/chunks.h"
#include "device/cpu/kernel.h"
#include "device/cpu/parts.h"

// By product: the part that begins an output, and the one that adds to it.
typedef struct prepared {
  titan_cpu_part parts[TITAN_MAX_OUTPUTS][2];
} prepared;

static int64_t chunk_rows(const titan_op_call *call) {
  return titan_tensor_rows(&call->inputs[0]);
}

static bool keeps_rows(const titan_op_call *call, int product) {
  return titan_gather_product_keeps_rows(&call->attributes.products[product]);
}

// Rows that are multiplied at a time. Sums over rows take a chunk at once: their output passes memory for each part.
static int64_t part_rows(const titan_op_call *call, int product) {
  return keeps_rows(call, product) ? titan_cpu_part_rows(chunk_rows(call)) : chunk_rows(call);
}

static size_t gathered_bytes(const titan_op_call *call) {
  return titan_round_up(titan_tensor_bytes(&call->inputs[0]) * (size_t)call->attributes.collective.ranks,
                        TITAN_MEMORY_ALIGNMENT);
}

// Rows that are kept are written once; rows that are summed over are added to what is there.
static int forms(const titan_op_call *call, int product) {
  return keeps_rows(call, product) ? 1 : 2;
}

static size_t gather_matmul_workspace_bytes(titan_device *device, const titan_op_call *call) {
  size_t most = 0;
  for (int i = 0; i < call->output_count; i++)
    for (int adds = 0; adds < forms(call, i); adds++) {
      titan_op_call part = titan_gather_matmul_part(call, i, part_rows(call, i), adds);
      size_t bytes = titan_cpu_part_workspace(device, &part);
      most = bytes > most ? bytes : most;
    }
  return gathered_bytes(call) + most;
}

static void gather_matmul_release(titan_device *device, void *state) {
  prepared *p = state;
  for (int i = 0; p != NULL && i < TITAN_MAX_OUTPUTS; i++)
    for (int adds = 0; adds < 2; adds++)
      titan_cpu_part_release(device, &p->parts[i][adds]);
  titan_memory_free(p);
}

static titan_status gather_matmul_prepare(titan_device *device, const titan_op_call *call, void **state) {
  prepared *p;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_KERNEL_STATE, 1, sizeof *p, &p));
  titan_status status = TITAN_OK;
  for (int i = 0; i < call->output_count && status == TITAN_OK; i++)
    for (int adds = 0; adds < forms(call, i) && status == TITAN_OK; adds++) {
      titan_op_call part = titan_gather_matmul_part(call, i, part_rows(call, i), adds);
      status = titan_cpu_part_prepare(device, &part, &p->parts[i][adds]);
    }
  if (status != TITAN_OK) {
    gather_matmul_release(device, p);
    p = NULL;
  }
  *state = p;
  return status;
}

// The product of a part of a chunk. `row`: of the gathered rows; `from`: the part's rows.
static titan_status multiply(titan_device *device, const titan_op_call *call, const prepared *p, int product,
                             int64_t row, const void *from, bool first, const void *const *inputs, void *const *outputs,
                             void *workspace) {
  const titan_gather_product *attributes = &call->attributes.products[product];
  bool keeps = keeps_rows(call, product), adds = !keeps && !first;
  const char *other = inputs[product + 1];
  char *out = outputs[product];
  if (keeps)
    out += titan_cpu_row_offset(&call->outputs[product], row);
  else
    other += titan_cpu_row_offset(&call->inputs[product + 1], row);
  return titan_cpu_part_run(device, &p->parts[product][adds], attributes->gathered_is_b ? other : from,
                            attributes->gathered_is_b ? from : other, out, out, workspace);
}

// All products of a chunk, whose rows begin at `first` of the gathered ones.
static titan_status multiply_chunk(titan_device *device, const titan_op_call *call, const prepared *p, titan_comm *comm,
                                   int64_t first, const char *chunk, bool is_first, const void *const *inputs,
                                   void *const *outputs, void *workspace) {
  int64_t rows = chunk_rows(call);
  for (int i = 0; i < call->output_count; i++)
    for (int64_t row = 0, step = part_rows(call, i); row < rows; row += step) {
      TITAN_TRY(multiply(device, call, p, i, first + row, chunk + titan_cpu_row_offset(&call->inputs[0], row), is_first,
                         inputs, outputs, workspace));
      titan_chunks_poll(comm);
    }
  return TITAN_OK;
}

static titan_status gather_matmul_run(titan_device *device, const titan_op_call *call, void *state, titan_comm *group,
                                      const void *const *inputs, void *const *outputs, void *workspace) {
  void *rest = (char *)workspace + gathered_bytes(call);
  titan_work *work = NULL;
  TITAN_TRY(titan_chunks_gather(group, inputs[0], workspace, (size_t)titan_tensor_elements(&call->inputs[0]),
                                call->inputs[0].dtype, &work));
  titan_status status = TITAN_OK;
  for (int index = 0; index < call->attributes.collective.ranks && status == TITAN_OK; index++) {
    int rank = titan_chunk_gathered(group, index);
    const void *chunk = NULL;
    status = titan_chunks_take(work, rank, &chunk);
    if (status == TITAN_OK)
      status =
          multiply_chunk(device, call, state, group, rank * chunk_rows(call), chunk, index == 0, inputs, outputs, rest);
  }
  titan_status transfer = titan_work_wait(&work);
  return status == TITAN_OK ? transfer : status;
}

const titan_kernel TITAN_CPU_KERNEL(gather_matmul) = {.workspace = gather_matmul_workspace_bytes,
                                                      .prepare = gather_matmul_prepare,
                                                      .run_in_group = gather_matmul_run,
                                                      .release = gather_matmul_release};
