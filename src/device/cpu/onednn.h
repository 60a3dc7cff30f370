// SPDX-License-Identifier: Apache-2.0
// What oneDNN's versions 2 and 3 call differently: descriptions of matrices and products. Since version 3 a description
// is a handle that is destroyed.
#ifndef TITAN_DEVICE_CPU_ONEDNN_H
#define TITAN_DEVICE_CPU_ONEDNN_H

#include <dnnl.h>

#if DNNL_VERSION_MAJOR >= 3

#define TITAN_DNNL_EVERY_ISA dnnl_cpu_isa_default

static inline dnnl_status_t titan_dnnl_matrix(dnnl_memory_desc_t *out, dnnl_data_type_t type, const dnnl_dims_t dims,
                                              const dnnl_dims_t strides) {
  return dnnl_memory_desc_create_with_strides(out, 2, dims, type, strides);
}
static inline void titan_dnnl_matrix_destroy(dnnl_memory_desc_t *matrix) {
  if (*matrix != NULL)
    dnnl_memory_desc_destroy(*matrix);
}
static inline dnnl_status_t titan_dnnl_product(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                                               const dnnl_memory_desc_t *a, const dnnl_memory_desc_t *b,
                                               const dnnl_memory_desc_t *c, dnnl_primitive_attr_t attributes) {
  return dnnl_matmul_primitive_desc_create(out, engine, *a, *b, NULL, *c, attributes);
}
// The product is added to what is there.
static inline dnnl_status_t titan_dnnl_append_sum(dnnl_post_ops_t post) {
  return dnnl_post_ops_append_sum(post, 1.0f, 0, dnnl_data_type_undef);
}

#else

#define TITAN_DNNL_EVERY_ISA dnnl_cpu_isa_all

static inline dnnl_status_t titan_dnnl_matrix(dnnl_memory_desc_t *out, dnnl_data_type_t type, const dnnl_dims_t dims,
                                              const dnnl_dims_t strides) {
  return dnnl_memory_desc_init_by_strides(out, 2, dims, type, strides);
}
static inline void titan_dnnl_matrix_destroy(dnnl_memory_desc_t *matrix) {
  (void)matrix;
}
static inline dnnl_status_t titan_dnnl_product(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                                               const dnnl_memory_desc_t *a, const dnnl_memory_desc_t *b,
                                               const dnnl_memory_desc_t *c, dnnl_primitive_attr_t attributes) {
  dnnl_matmul_desc_t matmul;
  dnnl_status_t status = dnnl_matmul_desc_init(&matmul, a, b, NULL, c);
  return status == dnnl_success ? dnnl_primitive_desc_create(out, &matmul, attributes, engine, NULL) : status;
}
static inline dnnl_status_t titan_dnnl_append_sum(dnnl_post_ops_t post) {
  return dnnl_post_ops_append_sum(post, 1.0f);
}

#endif

#endif
