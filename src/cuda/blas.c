// SPDX-License-Identifier: Apache-2.0
// cuBLASLt's matrices lie column by column. A matrix of ours, rows x columns, is one of columns x rows there, so that
// C = op(a) op(b) is asked for as C' = op(b)' op(a)': b is cuBLASLt's A, a its B, and each is transposed there exactly
// where it is here.
#include "cuda/blas.h"

#include "device/gpu_workspace.h"

// Alignment of operands, in bytes, that the kernels of cuBLASLt like; most operands have it.
enum { FULL_ALIGNMENT = 16 };
// Ways that cuBLASLt's heuristics may propose, best first.
enum { CANDIDATES = 8 };

// What an algorithm was chosen for: operands aligned to FULL_ALIGNMENT, or as their elements are.
enum { ALIGNED, AS_ELEMENTS, ALIGNMENTS };

struct titan_cuda_product {
  int64_t m, n, k; // op(a) is m x k, op(b) k x n
  titan_dtype input, output;
  bool transpose_a, transpose_b, adds;
  cublasLtMatmulDesc_t operation;
  cublasLtMatrixLayout_t a, b, out;
  bool can[ALIGNMENTS];
  cublasLtMatmulAlgo_t algorithms[ALIGNMENTS];
};

static titan_status failed(const titan_cuda_product *p, cublasStatus_t status, const char *what) {
  return titan_error(
      TITAN_ERROR_DEVICE, "cuBLASLt cannot %s the %s product of %lld x %lld%s by %lld x %lld%s in %s: %s", what,
      titan_dtype_name(p->input), (long long)p->m, (long long)p->k, p->transpose_a ? " (transposed)" : "",
      (long long)p->k, (long long)p->n, p->transpose_b ? " (transposed)" : "", titan_dtype_name(p->output),
      cublasLtGetStatusString(status));
}

static cudaDataType_t type_of(titan_dtype dtype) {
  return dtype == TITAN_BFLOAT16 ? CUDA_R_16BF : CUDA_R_32F;
}

// A matrix as we have it, `rows` rows of `columns` elements.
static cublasStatus_t create_layout(cublasLtMatrixLayout_t *layout, titan_dtype dtype, int64_t rows, int64_t columns) {
  return cublasLtMatrixLayoutCreate(layout, type_of(dtype), (uint64_t)columns, (uint64_t)rows, columns);
}

static cublasStatus_t create_layouts(titan_cuda_product *p) {
  cublasStatus_t status = create_layout(&p->a, p->input, p->transpose_a ? p->k : p->m, p->transpose_a ? p->m : p->k);
  if (status == CUBLAS_STATUS_SUCCESS)
    status = create_layout(&p->b, p->input, p->transpose_b ? p->n : p->k, p->transpose_b ? p->k : p->n);
  if (status == CUBLAS_STATUS_SUCCESS)
    status = create_layout(&p->out, p->output, p->m, p->n);
  return status;
}

// float32 is multiplied as float32: no TF32.
static cublasStatus_t create_operation(titan_cuda_product *p) {
  cublasOperation_t first = p->transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N,
                    second = p->transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N;
  cublasStatus_t status = cublasLtMatmulDescCreate(&p->operation, CUBLAS_COMPUTE_32F, CUDA_R_32F);
  if (status == CUBLAS_STATUS_SUCCESS)
    status = cublasLtMatmulDescSetAttribute(p->operation, CUBLASLT_MATMUL_DESC_TRANSA, &first, sizeof first);
  if (status == CUBLAS_STATUS_SUCCESS)
    status = cublasLtMatmulDescSetAttribute(p->operation, CUBLASLT_MATMUL_DESC_TRANSB, &second, sizeof second);
  return status;
}

// Sums of parts of k are taken in float32 in the workspace, in one order; never by atomics or in bfloat16.
static cublasStatus_t set_preference(cublasLtMatmulPreference_t preference, const uint32_t alignments[3]) {
  const uint64_t workspace = TITAN_GPU_PRODUCT_BYTES;
  const uint32_t schemes = CUBLASLT_REDUCTION_SCHEME_NONE | CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
  const struct {
    cublasLtMatmulPreferenceAttributes_t attribute;
    const void *value;
    size_t bytes;
  } settings[] = {{CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, sizeof workspace},
                  {CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &schemes, sizeof schemes},
                  {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &alignments[0], sizeof *alignments},
                  {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &alignments[1], sizeof *alignments},
                  {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &alignments[2], sizeof *alignments},
                  {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &alignments[2], sizeof *alignments}};
  cublasStatus_t status = CUBLAS_STATUS_SUCCESS;
  for (size_t i = 0; i < sizeof settings / sizeof *settings && status == CUBLAS_STATUS_SUCCESS; i++)
    status =
        cublasLtMatmulPreferenceSetAttribute(preference, settings[i].attribute, settings[i].value, settings[i].bytes);
  return status;
}

// The first that is supported and has room in the workspace; CUBLAS_STATUS_NOT_SUPPORTED where there is none.
static cublasStatus_t first_of(const cublasLtMatmulHeuristicResult_t *results, int count, cublasLtMatmulAlgo_t *out) {
  for (int i = 0; i < count; i++)
    if (results[i].state == CUBLAS_STATUS_SUCCESS && results[i].workspaceSize <= TITAN_GPU_PRODUCT_BYTES) {
      *out = results[i].algo;
      return CUBLAS_STATUS_SUCCESS;
    }
  return CUBLAS_STATUS_NOT_SUPPORTED;
}

static cublasStatus_t choose(titan_device *device, titan_cuda_product *p, int alignment) {
  uint32_t input = (uint32_t)titan_dtype_bytes(p->input), output = (uint32_t)titan_dtype_bytes(p->output);
  const uint32_t as_elements[3] = {input, input, output}, full[3] = {FULL_ALIGNMENT, FULL_ALIGNMENT, FULL_ALIGNMENT};
  cublasLtMatmulHeuristicResult_t results[CANDIDATES];
  cublasLtMatmulPreference_t preference = NULL;
  int count = 0;
  cublasStatus_t status = cublasLtMatmulPreferenceCreate(&preference);
  if (status == CUBLAS_STATUS_SUCCESS)
    status = set_preference(preference, alignment == ALIGNED ? full : as_elements);
  if (status == CUBLAS_STATUS_SUCCESS)
    status = cublasLtMatmulAlgoGetHeuristic(titan_cuda_of(device)->blas, p->operation, p->b, p->a, p->out, p->out,
                                            preference, CANDIDATES, results, &count);
  if (status == CUBLAS_STATUS_SUCCESS)
    status = first_of(results, count, &p->algorithms[alignment]);
  p->can[alignment] = status == CUBLAS_STATUS_SUCCESS;
  if (preference != NULL)
    cublasLtMatmulPreferenceDestroy(preference);
  return status;
}

static titan_cuda_product product_of(const titan_op_call *call) {
  const titan_tensor_type *a = &call->inputs[0], *b = &call->inputs[1];
  titan_cuda_product p = {.input = a->dtype,
                          .output = call->outputs[0].dtype,
                          .transpose_a = call->attributes.matmul.transpose_a,
                          .transpose_b = call->attributes.matmul.transpose_b,
                          .adds = call->input_count == 3};
  p.m = p.transpose_a ? titan_tensor_columns(a) : titan_tensor_rows(a);
  p.k = p.transpose_a ? titan_tensor_rows(a) : titan_tensor_columns(a);
  p.n = p.transpose_b ? titan_tensor_rows(b) : titan_tensor_columns(b);
  return p;
}

static bool is_empty(const titan_cuda_product *p) {
  return p->m == 0 || p->n == 0 || p->k == 0;
}

titan_status titan_cuda_product_create(titan_device *device, const titan_op_call *call, titan_cuda_product **out) {
  *out = NULL;
  titan_cuda_product *p = NULL;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_KERNEL_STATE, 1, sizeof *p, &p));
  *p = product_of(call);
  *out = p;
  if (is_empty(p))
    return TITAN_OK;
  cublasStatus_t status = create_operation(p);
  if (status == CUBLAS_STATUS_SUCCESS)
    status = create_layouts(p);
  if (status == CUBLAS_STATUS_SUCCESS)
    status = choose(device, p, ALIGNED);
  if (status == CUBLAS_STATUS_SUCCESS)
    choose(device, p, AS_ELEMENTS); // where there is no such way, operands that need it are an error of run
  if (status == CUBLAS_STATUS_SUCCESS)
    return TITAN_OK;
  failed(p, status, "prepare");
  titan_cuda_product_destroy(p);
  *out = NULL;
  return TITAN_ERROR_DEVICE;
}

void titan_cuda_product_destroy(titan_cuda_product *product) {
  if (product == NULL)
    return;
  cublasLtMatrixLayout_t layouts[] = {product->a, product->b, product->out};
  for (int i = 0; i < 3; i++)
    if (layouts[i] != NULL)
      cublasLtMatrixLayoutDestroy(layouts[i]);
  if (product->operation != NULL)
    cublasLtMatmulDescDestroy(product->operation);
  titan_memory_free(product);
}

// An empty sum: c, or zeros.
static titan_status run_empty(titan_device *device, const titan_cuda_product *p, const void *c, void *out) {
  cudaStream_t stream = titan_cuda_stream(device);
  size_t bytes = (size_t)(p->m * p->n) * titan_dtype_bytes(p->output);
  if (bytes == 0 || out == c)
    return TITAN_OK;
  return titan_cuda_check(p->adds ? cudaMemcpyAsync(out, c, bytes, cudaMemcpyDeviceToDevice, stream)
                                  : cudaMemsetAsync(out, 0, bytes, stream),
                          "a product over nothing");
}

static int alignment_of(const void *a, const void *b, const void *c, const void *out) {
  uintptr_t all = (uintptr_t)a | (uintptr_t)b | (uintptr_t)c | (uintptr_t)out;
  return all % FULL_ALIGNMENT == 0 ? ALIGNED : AS_ELEMENTS;
}

titan_status titan_cuda_product_run(titan_device *device, const titan_cuda_product *p, const void *a, const void *b,
                                    const void *c, void *out, void *workspace) {
  if (is_empty(p))
    return run_empty(device, p, c, out);
  const float one = 1, beta = p->adds ? 1 : 0;
  const void *added = p->adds ? c : out;
  int alignment = alignment_of(a, b, added, out);
  if (!p->can[alignment])
    return failed(p, CUBLAS_STATUS_NOT_SUPPORTED, "run, on operands that are not aligned to 16 bytes,");
  cublasStatus_t status =
      cublasLtMatmul(titan_cuda_of(device)->blas, p->operation, &one, b, p->b, a, p->a, &beta, added, p->out, out,
                     p->out, &p->algorithms[alignment], workspace, TITAN_GPU_PRODUCT_BYTES, titan_cuda_stream(device));
  return status == CUBLAS_STATUS_SUCCESS ? TITAN_OK : failed(p, status, "run");
}

size_t titan_cuda_workspace(titan_device *device, const titan_op_call *call) {
  const struct cudaDeviceProp *properties = &titan_cuda_of(device)->properties;
  return titan_gpu_workspace(call, properties->major * 10 + properties->minor);
}
