// SPDX-License-Identifier: Apache-2.0
// Stand-in of the functions of cuBLASLt that the device uses, under their own names. A product is checked as cuBLASLt
// would check it, or more strictly (layouts, leading dimensions, types, alignment of what its algorithm was chosen for,
// workspace), and computed later, in its stream, by the plainest loops.
#include "runtime.h"

#include <cmath>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <cublasLt.h>
#include <vector>

namespace {

struct operation {
  cublasOperation_t a = CUBLAS_OP_N, b = CUBLAS_OP_N;
};

struct layout {
  cudaDataType_t type;
  uint64_t rows, columns; // column by column
  int64_t leading;
};

struct preference {
  uint64_t workspace = 0;
  uint32_t schemes = CUBLASLT_REDUCTION_SCHEME_MASK;
  uint32_t alignments[4] = {256, 256, 256, 256}; // a, b, c, d
};

// What cublasLtMatmulAlgo_t holds here: what the algorithm was chosen for.
struct algorithm {
  uint64_t magic, workspace;
  uint32_t alignments[4];
  uint64_t rows, columns, depth;
};
static_assert(sizeof(algorithm) <= sizeof(cublasLtMatmulAlgo_t), "fits");
constexpr uint64_t MAGIC = 0x626c61736c740001;

cublasStatus_t refuse(cublasStatus_t status, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::fprintf(stderr, "emulated cuBLASLt: ");
  std::vfprintf(stderr, format, arguments);
  std::fprintf(stderr, "\n");
  va_end(arguments);
  return status;
}

operation *of(cublasLtMatmulDesc_t handle) {
  return reinterpret_cast<operation *>(handle);
}
layout *of(cublasLtMatrixLayout_t handle) {
  return reinterpret_cast<layout *>(handle);
}
preference *of(cublasLtMatmulPreference_t handle) {
  return reinterpret_cast<preference *>(handle);
}

size_t bytes_of(cudaDataType_t type) {
  return type == CUDA_R_32F ? 4 : 2;
}

uint64_t transposed(cublasOperation_t op, uint64_t straight, uint64_t turned) {
  return op == CUBLAS_OP_N ? straight : turned;
}

// Shapes and types that belong together, of which cuBLASLt knows: float32, and bfloat16 in either type.
cublasStatus_t check_layouts(const operation *op, const layout *a, const layout *b, const layout *c, const layout *d) {
  for (const layout *l : {a, b, c, d}) {
    if (l->rows == 0 || l->columns == 0 || l->leading < static_cast<int64_t>(l->rows))
      return refuse(CUBLAS_STATUS_INVALID_VALUE, "a matrix of %llu x %llu with leading dimension %lld",
                    static_cast<unsigned long long>(l->rows), static_cast<unsigned long long>(l->columns),
                    static_cast<long long>(l->leading));
    if (l->type != CUDA_R_32F && l->type != CUDA_R_16BF)
      return refuse(CUBLAS_STATUS_NOT_SUPPORTED, "type %d", static_cast<int>(l->type));
  }
  uint64_t rows = transposed(op->a, a->rows, a->columns), depth = transposed(op->a, a->columns, a->rows);
  if (transposed(op->b, b->rows, b->columns) != depth || d->rows != rows ||
      d->columns != transposed(op->b, b->columns, b->rows) || c->rows != d->rows || c->columns != d->columns)
    return refuse(CUBLAS_STATUS_INVALID_VALUE, "op(a) is %llu x %llu, op(b) %llu x %llu, d %llu x %llu",
                  static_cast<unsigned long long>(rows), static_cast<unsigned long long>(depth),
                  static_cast<unsigned long long>(transposed(op->b, b->rows, b->columns)),
                  static_cast<unsigned long long>(transposed(op->b, b->columns, b->rows)),
                  static_cast<unsigned long long>(d->rows), static_cast<unsigned long long>(d->columns));
  if (a->type != b->type || c->type != d->type || (a->type == CUDA_R_32F && d->type != CUDA_R_32F))
    return refuse(CUBLAS_STATUS_NOT_SUPPORTED, "types %d, %d, %d, %d", static_cast<int>(a->type),
                  static_cast<int>(b->type), static_cast<int>(c->type), static_cast<int>(d->type));
  return CUBLAS_STATUS_SUCCESS;
}

float read(const void *memory, cudaDataType_t type, size_t index) {
  if (type == CUDA_R_32F)
    return static_cast<const float *>(memory)[index];
  uint32_t bits = static_cast<uint32_t>(static_cast<const uint16_t *>(memory)[index]) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

void write(void *memory, cudaDataType_t type, size_t index, float value) {
  if (type == CUDA_R_32F) {
    static_cast<float *>(memory)[index] = value;
    return;
  }
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  bits = std::isnan(value) ? (bits >> 16) | 0x40 : (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  static_cast<uint16_t *>(memory)[index] = static_cast<uint16_t>(bits);
}

// op(m), column by column and close together.
std::vector<float> gathered(const void *memory, const layout &m, cublasOperation_t op) {
  std::vector<float> out(m.rows * m.columns);
  for (uint64_t column = 0; column < m.columns; column++)
    for (uint64_t row = 0; row < m.rows; row++)
      out[op == CUBLAS_OP_N ? column * m.rows + row : row * m.columns + column] =
          read(memory, m.type, column * static_cast<uint64_t>(m.leading) + row);
  return out;
}

struct product {
  operation op;
  layout a, b, c, d;
  const void *a_memory, *b_memory, *c_memory;
  void *d_memory, *workspace;
  float alpha, beta;
  size_t workspace_bytes;

  void run() const {
    if (workspace_bytes > 0)
      std::memset(workspace, 0xff, workspace_bytes); // all that the algorithm was said to use
    std::vector<float> left = gathered(a_memory, a, op.a), right = gathered(b_memory, b, op.b), sums(d.rows);
    uint64_t depth = left.size() / d.rows;
    for (uint64_t column = 0; column < d.columns; column++) {
      std::fill(sums.begin(), sums.end(), 0.0f);
      for (uint64_t l = 0; l < depth; l++) {
        const float factor = right[column * depth + l], *from = &left[l * d.rows];
        for (uint64_t row = 0; row < d.rows; row++)
          sums[row] += from[row] * factor;
      }
      for (uint64_t row = 0; row < d.rows; row++) {
        float value = alpha * sums[row];
        if (beta != 0)
          value += beta * read(c_memory, c.type, column * static_cast<uint64_t>(c.leading) + row);
        write(d_memory, d.type, column * static_cast<uint64_t>(d.leading) + row, value);
      }
    }
  }
};

template <typename T> cublasStatus_t take(T *to, const void *buffer, size_t bytes) {
  if (buffer == nullptr || bytes != sizeof *to)
    return refuse(CUBLAS_STATUS_INVALID_VALUE, "an attribute of %zu bytes, expected %zu", bytes, sizeof *to);
  std::memcpy(to, buffer, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t check_pointers(const algorithm &chosen, const void *const pointers[4]) {
  for (int i = 0; i < 4; i++)
    if (pointers[i] == nullptr || reinterpret_cast<uintptr_t>(pointers[i]) % chosen.alignments[i] != 0)
      return refuse(CUBLAS_STATUS_INVALID_VALUE, "matrix %c at %p, where its algorithm was chosen for %u bytes",
                    "abcd"[i], pointers[i], chosen.alignments[i]);
  return CUBLAS_STATUS_SUCCESS;
}

} // namespace

extern "C" {

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle) {
  *handle = reinterpret_cast<cublasLtHandle_t>(new int(0));
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
  delete reinterpret_cast<int *>(handle);
  return CUBLAS_STATUS_SUCCESS;
}

size_t cublasLtGetVersion(void) {
  return CUBLAS_VERSION;
}

const char *cublasLtGetStatusString(cublasStatus_t status) {
  switch (status) {
  case CUBLAS_STATUS_SUCCESS:
    return "success";
  case CUBLAS_STATUS_INVALID_VALUE:
    return "an unsupported value or parameter was passed to the function";
  case CUBLAS_STATUS_NOT_SUPPORTED:
    return "the functionality requested is not supported";
  default:
    return "an error of cuBLASLt";
  }
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *out, cublasComputeType_t compute, cudaDataType_t scale) {
  if (compute != CUBLAS_COMPUTE_32F || scale != CUDA_R_32F)
    return refuse(CUBLAS_STATUS_NOT_SUPPORTED, "compute type %d, scale type %d", static_cast<int>(compute),
                  static_cast<int>(scale));
  *out = reinterpret_cast<cublasLtMatmulDesc_t>(new operation);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t handle) {
  delete of(handle);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t handle, cublasLtMatmulDescAttributes_t attribute,
                                              const void *buffer, size_t bytes) {
  if (attribute == CUBLASLT_MATMUL_DESC_TRANSA)
    return take(&of(handle)->a, buffer, bytes);
  if (attribute == CUBLASLT_MATMUL_DESC_TRANSB)
    return take(&of(handle)->b, buffer, bytes);
  return refuse(CUBLAS_STATUS_INVALID_VALUE, "attribute %d of an operation", static_cast<int>(attribute));
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *out, cudaDataType type, uint64_t rows,
                                          uint64_t columns, int64_t leading) {
  *out = reinterpret_cast<cublasLtMatrixLayout_t>(new layout{type, rows, columns, leading});
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t handle) {
  delete of(handle);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *out) {
  *out = reinterpret_cast<cublasLtMatmulPreference_t>(new preference);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t handle) {
  delete of(handle);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t handle,
                                                    cublasLtMatmulPreferenceAttributes_t attribute, const void *buffer,
                                                    size_t bytes) {
  preference *p = of(handle);
  switch (attribute) {
  case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
    return take(&p->workspace, buffer, bytes);
  case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
    return take(&p->schemes, buffer, bytes);
  case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
    return take(&p->alignments[0], buffer, bytes);
  case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
    return take(&p->alignments[1], buffer, bytes);
  case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
    return take(&p->alignments[2], buffer, bytes);
  case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
    return take(&p->alignments[3], buffer, bytes);
  default:
    return refuse(CUBLAS_STATUS_INVALID_VALUE, "attribute %d of a preference", static_cast<int>(attribute));
  }
}

// The first proposal is one that cannot be used, as the library's may be.
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t op, cublasLtMatrixLayout_t a,
                                              cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
                                              cublasLtMatrixLayout_t d, cublasLtMatmulPreference_t handle, int wanted,
                                              cublasLtMatmulHeuristicResult_t results[], int *count) {
  const preference *p = of(handle);
  *count = 0;
  cublasStatus_t status = check_layouts(of(op), of(a), of(b), of(c), of(d));
  if (status != CUBLAS_STATUS_SUCCESS)
    return status;
  if ((p->schemes & ~static_cast<uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE)) != 0)
    return refuse(CUBLAS_STATUS_NOT_SUPPORTED, "a reduction scheme that does not repeat: mask %u", p->schemes);
  for (*count = 0; *count < wanted && *count < 2; ++*count) {
    algorithm chosen = {MAGIC,          p->workspace < 1 << 20 ? p->workspace : 1 << 20,   {}, of(d)->rows,
                        of(d)->columns, transposed(of(op)->a, of(a)->columns, of(a)->rows)};
    std::memcpy(chosen.alignments, p->alignments, sizeof chosen.alignments);
    chosen.magic += *count == 0;
    results[*count] = {};
    std::memcpy(&results[*count].algo, &chosen, sizeof chosen);
    results[*count].workspaceSize = chosen.workspace;
    results[*count].state = *count == 0 ? CUBLAS_STATUS_NOT_SUPPORTED : CUBLAS_STATUS_SUCCESS;
  }
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t op, const void *alpha, const void *a,
                              cublasLtMatrixLayout_t a_layout, const void *b, cublasLtMatrixLayout_t b_layout,
                              const void *beta, const void *c, cublasLtMatrixLayout_t c_layout, void *d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t *algo, void *workspace,
                              size_t workspace_bytes, cudaStream_t stream) {
  algorithm chosen;
  const void *const pointers[4] = {a, b, c, d};
  if (algo == nullptr)
    return refuse(CUBLAS_STATUS_INVALID_VALUE, "a product without an algorithm is not the same from run to run");
  std::memcpy(&chosen, algo, sizeof chosen);
  product p = {*of(op), *of(a_layout), *of(b_layout), *of(c_layout), *of(d_layout), a, b, c, d, workspace, 0, 0, 0};
  cublasStatus_t status = check_layouts(&p.op, &p.a, &p.b, &p.c, &p.d);
  if (status == CUBLAS_STATUS_SUCCESS)
    status = check_pointers(chosen, pointers);
  if (status != CUBLAS_STATUS_SUCCESS)
    return status;
  if (chosen.magic != MAGIC || chosen.rows != p.d.rows || chosen.columns != p.d.columns ||
      chosen.depth != transposed(p.op.a, p.a.columns, p.a.rows))
    return refuse(CUBLAS_STATUS_INVALID_VALUE, "an algorithm that was chosen for another product");
  if (chosen.workspace > 0 &&
      (workspace == nullptr || workspace_bytes < chosen.workspace || reinterpret_cast<uintptr_t>(workspace) % 16 != 0))
    return refuse(CUBLAS_STATUS_INVALID_VALUE, "a workspace of %zu bytes at %p", workspace_bytes, workspace);
  if (c == d && p.c.leading != p.d.leading)
    return refuse(CUBLAS_STATUS_INVALID_VALUE, "c is d, with another leading dimension");
  std::memcpy(&p.alpha, alpha, sizeof p.alpha);
  std::memcpy(&p.beta, beta, sizeof p.beta);
  p.workspace_bytes = static_cast<size_t>(chosen.workspace);
  titan_emulated_enqueue(stream, [p] { p.run(); });
  return CUBLAS_STATUS_SUCCESS;
}

} // extern "C"
