// SPDX-License-Identifier: Apache-2.0
// The parts in which an operation computes its products while a transfer goes on: matmul kernels of one shape each.
#ifndef TITAN_DEVICE_CPU_PARTS_H
#define TITAN_DEVICE_CPU_PARTS_H

#include "device/device.h"

// One part's product, prepared.
typedef struct titan_cpu_part {
  titan_op_call call;
  const titan_kernel *kernel;
  void *state;
} titan_cpu_part;

// Between parts of a chunk the transfer is looked after. Rows of a chunk that are multiplied at a time: not so few that
// the product is slower for it (it packs its other operand once for each part).
static inline int64_t titan_cpu_part_rows(int64_t chunk_rows) {
  enum { LEAST_ROWS = 256, MOST_PARTS = 4 };
  for (int64_t parts = MOST_PARTS; parts > 1; parts--)
    if (chunk_rows % parts == 0 && chunk_rows / parts >= LEAST_ROWS)
      return chunk_rows / parts;
  return chunk_rows;
}

static inline size_t titan_cpu_part_workspace(titan_device *device, const titan_op_call *call) {
  const titan_kernel *kernel = device->kernel(device, TITAN_OP_matmul);
  return kernel->workspace != NULL ? kernel->workspace(device, call) : 0;
}

static inline titan_status titan_cpu_part_prepare(titan_device *device, const titan_op_call *call,
                                                  titan_cpu_part *part) {
  *part = (titan_cpu_part){.call = *call, .kernel = device->kernel(device, TITAN_OP_matmul)};
  return part->kernel->prepare != NULL ? part->kernel->prepare(device, call, &part->state) : TITAN_OK;
}

static inline void titan_cpu_part_release(titan_device *device, titan_cpu_part *part) {
  if (part->state != NULL && part->kernel->release != NULL)
    part->kernel->release(device, part->state);
}

static inline titan_status titan_cpu_part_run(titan_device *device, const titan_cpu_part *part, const void *a,
                                              const void *b, const void *c, void *out, void *workspace) {
  const void *inputs[] = {a, b, c};
  return part->kernel->run(device, &part->call, part->state, inputs, &out, workspace);
}

// Byte offset of row `row` of a matrix that is flattened to rows.
static inline size_t titan_cpu_row_offset(const titan_tensor_type *type, int64_t row) {
  return (size_t)(row * titan_tensor_columns(type)) * titan_dtype_bytes(type->dtype);
}

#endif
