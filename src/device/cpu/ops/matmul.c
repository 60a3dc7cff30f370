// SPDX-License-Identifier: Apache-2.0
// Matrix products by oneDNN. Three ways, chosen per call when it is prepared:
//   float32                    dnnl_sgemm on the operands as they lie
//   bfloat16, the chip has it  a oneDNN matmul primitive on the operands as they lie
//   bfloat16 otherwise         tiles are widened to float32 in the workspace, multiplied by dnnl_sgemm, and narrowed
#include "base/integer.h"
#include "device/cpu/block.h"
#include "device/cpu/cpu.h"
#include "device/cpu/kernel.h"

#include <omp.h>

// op(a) is m x k, op(b) k x n; lda, ldb are the columns of a and b as they lie.
typedef struct product {
  int64_t m, n, k, lda, ldb;
  bool transpose_a, transpose_b, adds;
  titan_dtype input, output;
} product;

static product product_of(const titan_op_call *call) {
  const titan_tensor_type *a = &call->inputs[0], *b = &call->inputs[1];
  product p = {.transpose_a = call->attributes.matmul.transpose_a,
               .transpose_b = call->attributes.matmul.transpose_b,
               .adds = call->input_count == 3,
               .input = a->dtype,
               .output = call->outputs[0].dtype,
               .lda = titan_tensor_columns(a),
               .ldb = titan_tensor_columns(b)};
  p.m = p.transpose_a ? p.lda : titan_tensor_rows(a);
  p.k = p.transpose_a ? titan_tensor_rows(a) : p.lda;
  p.n = p.transpose_b ? titan_tensor_rows(b) : p.ldb;
  return p;
}

// bfloat16 by a primitive.
typedef struct native {
  dnnl_primitive_desc_t description;
  dnnl_primitive_t primitive;
  dnnl_memory_t a, b, c, scratch;
  size_t scratch_bytes;
} native;

static void native_release(native *state) {
  dnnl_memory_t memories[] = {state->a, state->b, state->c, state->scratch};
  for (int i = 0; i < 4; i++)
    if (memories[i] != NULL)
      dnnl_memory_destroy(memories[i]);
  if (state->primitive != NULL)
    dnnl_primitive_destroy(state->primitive);
  if (state->description != NULL)
    dnnl_primitive_desc_destroy(state->description);
  *state = (native){0};
}

static dnnl_status_t matrix_desc(dnnl_memory_desc_t *desc, int64_t rows, int64_t columns, int64_t leading,
                                 bool transpose, titan_dtype dtype) {
  return titan_dnnl_matrix(desc, dtype == TITAN_FLOAT32 ? dnnl_f32 : dnnl_bf16, (dnnl_dims_t){rows, columns},
                           transpose ? (dnnl_dims_t){1, leading} : (dnnl_dims_t){leading, 1});
}

static dnnl_status_t make_attributes(const product *p, dnnl_primitive_attr_t *attributes) {
  dnnl_status_t status = dnnl_primitive_attr_create(attributes);
  if (status == dnnl_success)
    status = dnnl_primitive_attr_set_scratchpad_mode(*attributes, dnnl_scratchpad_mode_user);
  if (status == dnnl_success && p->adds) {
    dnnl_post_ops_t post;
    status = dnnl_post_ops_create(&post);
    if (status != dnnl_success)
      return status;
    status = titan_dnnl_append_sum(post);
    if (status == dnnl_success)
      status = dnnl_primitive_attr_set_post_ops(*attributes, post);
    dnnl_post_ops_destroy(post);
  }
  return status;
}

// Fills state->description and scratch_bytes.
static dnnl_status_t native_describe(titan_device *device, const product *p, native *state) {
  dnnl_memory_desc_t matrices[3] = {0}; // a, b, c
  dnnl_primitive_attr_t attributes = NULL;
  omp_set_num_threads(device->threads); // oneDNN plans for the number of threads it finds
  dnnl_status_t status = matrix_desc(&matrices[0], p->m, p->k, p->lda, p->transpose_a, p->input);
  if (status == dnnl_success)
    status = matrix_desc(&matrices[1], p->k, p->n, p->ldb, p->transpose_b, p->input);
  if (status == dnnl_success)
    status = matrix_desc(&matrices[2], p->m, p->n, p->n, false, p->output);
  if (status == dnnl_success)
    status = make_attributes(p, &attributes);
  if (status == dnnl_success)
    status = titan_dnnl_product(&state->description, titan_cpu_of(device)->engine, &matrices[0], &matrices[1],
                                &matrices[2], attributes);
  for (int i = 0; i < 3; i++)
    titan_dnnl_matrix_destroy(&matrices[i]);
  if (attributes != NULL)
    dnnl_primitive_attr_destroy(attributes);
  if (status == dnnl_success)
    state->scratch_bytes =
        dnnl_memory_desc_get_size(dnnl_primitive_desc_query_md(state->description, dnnl_query_scratchpad_md, 0));
  return status;
}

static dnnl_status_t native_memory(titan_device *device, native *state, dnnl_query_t what, dnnl_memory_t *memory) {
  return dnnl_memory_create(memory, dnnl_primitive_desc_query_md(state->description, what, 0),
                            titan_cpu_of(device)->engine, DNNL_MEMORY_NONE);
}

static dnnl_status_t native_prepare(titan_device *device, const product *p, native *state) {
  dnnl_status_t status = native_describe(device, p, state);
  if (status == dnnl_success)
    status = dnnl_primitive_create(&state->primitive, state->description);
  if (status == dnnl_success)
    status = native_memory(device, state, dnnl_query_src_md, &state->a);
  if (status == dnnl_success)
    status = native_memory(device, state, dnnl_query_weights_md, &state->b);
  if (status == dnnl_success)
    status = native_memory(device, state, dnnl_query_dst_md, &state->c);
  if (status == dnnl_success)
    status = native_memory(device, state, dnnl_query_scratchpad_md, &state->scratch);
  if (status != dnnl_success)
    native_release(state);
  return status;
}

static dnnl_status_t native_run(titan_device *device, const native *state, const void *const *inputs, void *output,
                                void *workspace) {
  dnnl_memory_set_data_handle(state->a, (void *)(uintptr_t)inputs[0]);
  dnnl_memory_set_data_handle(state->b, (void *)(uintptr_t)inputs[1]);
  dnnl_memory_set_data_handle(state->c, output);
  dnnl_memory_set_data_handle(state->scratch, workspace);
  dnnl_exec_arg_t arguments[] = {{DNNL_ARG_SRC, state->a},
                                 {DNNL_ARG_WEIGHTS, state->b},
                                 {DNNL_ARG_DST, state->c},
                                 {DNNL_ARG_SCRATCHPAD, state->scratch}};
  dnnl_stream_t stream = titan_cpu_of(device)->stream;
  dnnl_status_t status = dnnl_primitive_execute(state->primitive, stream, 4, arguments);
  return status == dnnl_success ? dnnl_stream_wait(stream) : status;
}

static dnnl_status_t multiply_floats(const product *p, const float *a, const float *b, float *c, bool adds) {
  return dnnl_sgemm(p->transpose_a ? 'T' : 'N', p->transpose_b ? 'T' : 'N', p->m, p->n, p->k, 1.0f, a, p->lda, b,
                    p->ldb, adds ? 1.0f : 0.0f, c, p->n);
}

// bfloat16 through float32 tiles.
enum { TILE_ROWS = 1024, TILE_COLUMNS = 1024, TILE_DEPTH = 1024 };

typedef struct tiles {
  int64_t m, n, k;            // size of a tile
  int64_t lda, ldb, ldc;      // floats from one row of a tile to the next
  int64_t a_floats, b_floats; // of the tiles of a and b
  float *a, *b, *c;
} tiles;

// Rows that begin a power of two apart fall in the same cache sets, so one cache line is put between them.
static int64_t leading(int64_t columns) {
  return (columns + 15) / 16 * 16 + 16;
}

static tiles tiles_of(const product *p, float *workspace) {
  tiles t = {
      .m = titan_lesser(p->m, TILE_ROWS), .n = titan_lesser(p->n, TILE_COLUMNS), .k = titan_lesser(p->k, TILE_DEPTH)};
  t.lda = leading(p->transpose_a ? t.m : t.k);
  t.ldb = leading(p->transpose_b ? t.k : t.n);
  t.ldc = leading(t.n);
  t.a_floats = t.lda * (p->transpose_a ? t.k : t.m);
  t.b_floats = t.ldb * (p->transpose_b ? t.n : t.k);
  if (workspace != NULL) {
    t.a = workspace;
    t.b = t.a + t.a_floats;
    t.c = t.b + t.b_floats;
  }
  return t;
}

static size_t tiles_bytes(const product *p) {
  tiles t = tiles_of(p, NULL);
  int64_t c_floats = p->output == TITAN_BFLOAT16 ? t.m * t.ldc : 0;
  return (size_t)(t.a_floats + t.b_floats + c_floats) * sizeof(float);
}

// A part of a matrix as it lies in memory, and the tile of floats that holds it.
typedef struct part {
  int64_t rows, columns, matrix_leading, tile_leading;
} part;

static void widen_part(int threads, const part *p, const titan_bf16 *matrix, float *tile) {
#pragma omp parallel for schedule(static) num_threads(threads) if (p->rows * p->columns > 16384)
  for (int64_t r = 0; r < p->rows; r++)
    titan_widen(p->columns, matrix + r * p->matrix_leading, tile + r * p->tile_leading);
}

static void narrow_part(int threads, const part *p, const float *tile, titan_bf16 *matrix) {
#pragma omp parallel for schedule(static) num_threads(threads) if (p->rows * p->columns > 16384)
  for (int64_t r = 0; r < p->rows; r++)
    titan_narrow(p->columns, tile + r * p->tile_leading, matrix + r * p->matrix_leading);
}

static void widen_operand(int threads, const titan_bf16 *matrix, int64_t matrix_leading, bool transpose, int64_t row,
                          int64_t rows, int64_t column, int64_t columns, float *tile, int64_t tile_leading) {
  part p = {transpose ? columns : rows, transpose ? rows : columns, matrix_leading, tile_leading};
  widen_part(threads, &p, matrix + (transpose ? column : row) * matrix_leading + (transpose ? row : column), tile);
}

// The output's tile at (i, j), over the whole depth. float32 output is summed where it lies.
static dnnl_status_t multiply_tile(int threads, const product *p, const tiles *t, const void *const *inputs,
                                   void *output, int64_t i, int64_t j, bool b_is_there) {
  part c_part = {titan_lesser(t->m, p->m - i), titan_lesser(t->n, p->n - j), p->n, t->ldc};
  bool narrow = p->output == TITAN_BFLOAT16;
  titan_bf16 *c_narrow = (titan_bf16 *)output + i * p->n + j;
  float *c = narrow ? t->c : (float *)output + i * p->n + j;
  if (narrow && p->adds)
    widen_part(threads, &c_part, c_narrow, t->c);
  for (int64_t l = 0; l < p->k; l += t->k) {
    int64_t depth = titan_lesser(t->k, p->k - l);
    widen_operand(threads, inputs[0], p->lda, p->transpose_a, i, c_part.rows, l, depth, t->a, t->lda);
    if (!b_is_there)
      widen_operand(threads, inputs[1], p->ldb, p->transpose_b, l, depth, j, c_part.columns, t->b, t->ldb);
    dnnl_status_t status =
        dnnl_sgemm(p->transpose_a ? 'T' : 'N', p->transpose_b ? 'T' : 'N', c_part.rows, c_part.columns, depth, 1.0f,
                   t->a, t->lda, t->b, t->ldb, p->adds || l > 0 ? 1.0f : 0.0f, c, narrow ? t->ldc : p->n);
    if (status != dnnl_success)
      return status;
  }
  if (narrow)
    narrow_part(threads, &c_part, t->c, c_narrow);
  return dnnl_success;
}

static dnnl_status_t multiply_tiles(int threads, const product *p, const void *const *inputs, void *output,
                                    void *workspace) {
  tiles t = tiles_of(p, workspace);
  for (int64_t j = 0; j < p->n; j += t.n)
    for (int64_t i = 0; i < p->m; i += t.m) {
      dnnl_status_t status = multiply_tile(threads, p, &t, inputs, output, i, j, i > 0 && t.k == p->k);
      if (status != dnnl_success)
        return status;
    }
  return dnnl_success;
}

// oneDNN would also emulate bfloat16 on AVX-512 chips without it, at a fraction of float32's speed.
static bool is_native(const titan_device *device, const product *p) {
  return p->input == TITAN_BFLOAT16 && titan_cpu_of(device)->isa >= TITAN_CPU_AVX512_BF16;
}

static size_t matmul_workspace_bytes(titan_device *device, const titan_op_call *call) {
  product p = product_of(call);
  if (p.input == TITAN_FLOAT32)
    return 0;
  if (!is_native(device, &p))
    return tiles_bytes(&p);
  native state = {0};
  native_describe(device, &p, &state); // on failure no bytes, and prepare says why
  size_t bytes = state.scratch_bytes;
  native_release(&state);
  return bytes;
}

static titan_status failed(const product *p, dnnl_status_t status, const char *what) {
  return titan_error(TITAN_ERROR_DEVICE, "oneDNN cannot %s the %s product of %lld x %lld by %lld x %lld (status %d)",
                     what, titan_dtype_name(p->input), (long long)p->m, (long long)p->k, (long long)p->k,
                     (long long)p->n, (int)status);
}

static titan_status matmul_prepare(titan_device *device, const titan_op_call *call, void **state) {
  *state = NULL;
  product p = product_of(call);
  if (!is_native(device, &p))
    return TITAN_OK;
  native *made;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_KERNEL_STATE, 1, sizeof *made, &made));
  dnnl_status_t status = native_prepare(device, &p, made);
  if (status != dnnl_success) {
    titan_memory_free(made);
    return failed(&p, status, "prepare");
  }
  *state = made;
  return TITAN_OK;
}

static void matmul_release(titan_device *device, void *state) {
  (void)device;
  if (state != NULL)
    native_release(state);
  titan_memory_free(state);
}

static titan_status matmul_run(titan_device *device, const titan_op_call *call, void *state, const void *const *inputs,
                               void *const *outputs, void *workspace) {
  product p = product_of(call);
  omp_set_num_threads(device->threads);
  if (p.adds && inputs[2] != outputs[0])
    memcpy(outputs[0], inputs[2], titan_tensor_bytes(&call->outputs[0]));
  dnnl_status_t status;
  if (p.input == TITAN_FLOAT32)
    status = multiply_floats(&p, inputs[0], inputs[1], outputs[0], p.adds);
  else if (state != NULL)
    status = native_run(device, state, inputs, outputs[0], workspace);
  else
    status = multiply_tiles(device->threads, &p, inputs, outputs[0], workspace);
  return status == dnnl_success ? TITAN_OK : failed(&p, status, "run");
}

const titan_kernel TITAN_CPU_KERNEL(matmul) = {
    .workspace = matmul_workspace_bytes, .prepare = matmul_prepare, .run = matmul_run, .release = matmul_release};
