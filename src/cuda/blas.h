// SPDX-License-Identifier: Apache-2.0
// Matrix products by cuBLASLt. How one is computed is chosen when it is created, so that its results repeat.
#ifndef TITAN_CUDA_BLAS_H
#define TITAN_CUDA_BLAS_H

#include "cuda/cuda.h"

typedef struct titan_cuda_product titan_cuda_product;

// Of a call of kind matmul. TITAN_ERROR_DEVICE, with its shape and cuBLAS's own text, where cuBLASLt cannot do it.
titan_status titan_cuda_product_create(titan_device *device, const titan_op_call *call, titan_cuda_product **out);
// NULL is fine.
void titan_cuda_product_destroy(titan_cuda_product *product);
// Puts it into COMPUTE. a, b, c (NULL where the call has none; may be `out`), out: in DEVICE space, as the call says.
titan_status titan_cuda_product_run(titan_device *device, const titan_cuda_product *product, const void *a,
                                    const void *b, const void *c, void *out, void *workspace);

// Bytes that the call's kernel needs beside its operands: those that estimates count for this GPU.
size_t titan_cuda_workspace(titan_device *device, const titan_op_call *call);

// Byte offset of row `row` of a matrix that is flattened to rows.
static inline size_t titan_cuda_row_offset(const titan_tensor_type *type, int64_t row) {
  return (size_t)(row * titan_tensor_columns(type)) * titan_dtype_bytes(type->dtype);
}

#endif
