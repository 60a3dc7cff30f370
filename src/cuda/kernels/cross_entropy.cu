// SPDX-License-Identifier: Apache-2.0
// A block takes a row. Online maximum and sum: Milakov and Gimelshein, "Online normalizer calculation for softmax",
// arXiv:1805.02867.
#include "cuda/kernels/cross_entropy.h"
#include "cuda/kernels/pack.cuh"
#include "cuda/kernels/reduce.cuh"

#include <cmath>

enum { THREADS = 512, W = 4, MOST_ROWS_OF_BLOCKS = 65535 };

namespace {

// Of some logits: the largest, and the sum of exp(logit - largest).
struct softmax {
  float largest, sum;
};

} // namespace

static __device__ __forceinline__ void add_logit(softmax *s, float x, float largest) {
  s->sum += x == -INFINITY && largest == -INFINITY ? 0.0f : __expf(x - largest);
}

// `count` of the logits are there.
static __device__ __forceinline__ void add_pack(softmax *s, const float (&x)[W], int64_t count) {
  float largest = s->largest;
#pragma unroll
  for (int i = 0; i < W; i++)
    if (i < count)
      largest = fmaxf(largest, x[i]);
  if (largest > s->largest) {
    s->sum *= s->largest > -INFINITY ? __expf(s->largest - largest) : 0.0f;
    s->largest = largest;
  }
#pragma unroll
  for (int i = 0; i < W; i++)
    if (i < count)
      add_logit(s, x[i], largest);
}

// Calls `visit` with each pack that the thread has of the row, and how many of its elements there are.
template <bool VECTOR, typename VISIT>
static __device__ __forceinline__ void each_pack(const titan_cuda_logits &l, int64_t row, VISIT visit) {
  const float *logits = l.logits + row * l.width;
#pragma unroll 4
  for (int64_t column = static_cast<int64_t>(threadIdx.x) * W; column < l.columns; column += THREADS * W) {
    float x[W];
    titan_load<VECTOR>(logits + column, l.columns - column, x);
    visit(x, l.columns - column);
  }
}

// The label's logit, 0 where it is not one of the columns.
static __device__ __forceinline__ float label_logit(const titan_cuda_logits &l, int64_t row) {
  const int64_t label = l.labels[row] - l.first;
  return label >= 0 && label < l.columns ? l.logits[row * l.width + label] : 0.0f;
}

template <bool VECTOR>
static __global__ void __launch_bounds__(THREADS)
    cross_entropy_rows(const titan_cuda_logits l, double *losses, float *lse) {
  TITAN_SHARED(float, maxima, [THREADS / 32]);
  TITAN_SHARED(float, parts, [1][THREADS / 32]);
  const int64_t row = blockIdx.x;
  softmax s = {-INFINITY, 0};
  each_pack<VECTOR>(l, row, [&](const float(&x)[W], int64_t count) { add_pack(&s, x, count); });
  const float largest = titan_block_max<THREADS>(s.largest, maxima);
  float sums[1] = {s.largest > -INFINITY ? s.sum * __expf(s.largest - largest) : s.sum};
  titan_block_sums<THREADS>(sums, parts);
  if (threadIdx.x > 0)
    return;
  const float result = largest + logf(sums[0]);
  lse[row] = result;
  losses[row] = l.labels[row] < 0 ? 0.0 : static_cast<double>(result) - static_cast<double>(label_logit(l, row));
}

// One block: thread t adds losses t, t + THREADS, ..; then the threads' sums are added in a fixed order.
static __global__ void __launch_bounds__(THREADS) add_losses(int64_t rows, const double *losses, float *loss) {
  TITAN_SHARED(double, parts, [1][THREADS / 32]);
  double sums[1] = {0};
  for (int64_t row = threadIdx.x; row < rows; row += THREADS)
    sums[0] += losses[row];
  titan_block_sums<THREADS>(sums, parts);
  if (threadIdx.x == 0)
    *loss = static_cast<float>(sums[0]);
}

static bool is_aligned(const titan_cuda_logits &l) {
  return l.width % W == 0 && titan_aligned(l.logits);
}

void titan_cuda_put_cross_entropy(cudaStream_t stream, const titan_cuda_logits *l, double *losses, float *loss,
                                  float *lse) {
  const unsigned rows = static_cast<unsigned>(l->rows);
  if (is_aligned(*l))
    TITAN_LAUNCH(cross_entropy_rows<true>, rows, THREADS, 0, stream, *l, losses, lse);
  else
    TITAN_LAUNCH(cross_entropy_rows<false>, rows, THREADS, 0, stream, *l, losses, lse);
  TITAN_LAUNCH(add_losses, 1, THREADS, 0, stream, l->rows, static_cast<const double *>(losses), loss);
}

// --- backward: the grid's first dimension goes over the packs of a row, its second over rows ---

enum { BACKWARD_THREADS = 256 };

template <typename T, bool VECTOR>
static __global__ void __launch_bounds__(BACKWARD_THREADS)
    cross_entropy_backward(const titan_cuda_logits l, const float *lse, const float *dloss, T *dlogits) {
  constexpr int N = titan_pack_width<T>;
  const int64_t column = (static_cast<int64_t>(blockIdx.x) * BACKWARD_THREADS + threadIdx.x) * N;
  const int64_t count = l.width - column;
  if (count <= 0)
    return;
  const float scale = __ldg(dloss);
  for (int64_t row = blockIdx.y; row < l.rows; row += gridDim.y) {
    const float *logits = l.logits + row * l.width + column, shift = lse[row];
    const int64_t counted = l.labels[row] < 0 ? 0 : l.columns - column, label = l.labels[row] - l.first - column;
    float d[N];
#pragma unroll
    for (int i = 0; i < N; i += W) {
      float x[W];
      titan_load<VECTOR>(logits + i, count - i, x);
#pragma unroll
      for (int k = 0; k < W; k++) {
        const float p = scale * __expf(x[k] - shift);
        d[i + k] = i + k >= counted ? 0.0f : i + k == label ? p - scale : p;
      }
    }
    titan_store<VECTOR>(dlogits + row * l.width + column, count, d);
  }
}

template <typename T>
static void put_backward(cudaStream_t stream, const titan_cuda_logits &l, const float *lse, const float *dloss,
                         T *dlogits) {
  constexpr int N = titan_pack_width<T>;
  const dim3 blocks(static_cast<unsigned>(titan_parts(l.width, static_cast<int64_t>(BACKWARD_THREADS) * N)),
                    static_cast<unsigned>(titan_least(l.rows, MOST_ROWS_OF_BLOCKS)));
  if (l.width % N == 0 && titan_aligned(l.logits, dlogits))
    TITAN_LAUNCH((cross_entropy_backward<T, true>), blocks, BACKWARD_THREADS, 0, stream, l, lse, dloss, dlogits);
  else
    TITAN_LAUNCH((cross_entropy_backward<T, false>), blocks, BACKWARD_THREADS, 0, stream, l, lse, dloss, dlogits);
}

void titan_cuda_put_cross_entropy_backward(cudaStream_t stream, const titan_cuda_logits *l, bool narrow,
                                           const float *lse, const float *dloss, void *dlogits) {
  if (narrow)
    put_backward(stream, *l, lse, dloss, static_cast<__nv_bfloat16 *>(dlogits));
  else
    put_backward(stream, *l, lse, dloss, static_cast<float *>(dlogits));
}

// --- parts of the loss, for vocabularies that lie on several ranks ---

template <bool VECTOR>
static __global__ void __launch_bounds__(THREADS) vocabulary_max(const titan_cuda_logits l, float *largest) {
  TITAN_SHARED(float, maxima, [THREADS / 32]);
  float most = -INFINITY;
  each_pack<VECTOR>(l, blockIdx.x, [&](const float(&x)[W], int64_t count) {
#pragma unroll
    for (int i = 0; i < W; i++)
      if (i < count)
        most = fmaxf(most, x[i]);
  });
  most = titan_block_max<THREADS>(most, maxima);
  if (threadIdx.x == 0)
    largest[blockIdx.x] = most;
}

template <bool VECTOR>
static __global__ void __launch_bounds__(THREADS)
    vocabulary_sums(const titan_cuda_logits l, const float *largest, float *out) {
  TITAN_SHARED(float, parts, [1][THREADS / 32]);
  const float shift = largest[blockIdx.x];
  float sums[1] = {0};
  each_pack<VECTOR>(l, blockIdx.x, [&](const float(&x)[W], int64_t count) {
#pragma unroll
    for (int i = 0; i < W; i++)
      if (i < count)
        sums[0] += __expf(x[i] - shift);
  });
  titan_block_sums<THREADS>(sums, parts);
  if (threadIdx.x > 0)
    return;
  out[blockIdx.x] = sums[0];
  out[l.rows + blockIdx.x] = label_logit(l, blockIdx.x);
}

// One block, as add_losses.
static __global__ void __launch_bounds__(THREADS)
    vocabulary_loss(int64_t rows, const int32_t *labels, const float *largest, const float *sums, float *loss,
                    float *lse) {
  TITAN_SHARED(double, parts, [1][THREADS / 32]);
  double total[1] = {0};
  for (int64_t row = threadIdx.x; row < rows; row += THREADS) {
    const float result = largest[row] + logf(sums[row]);
    lse[row] = result;
    if (labels[row] >= 0)
      total[0] += static_cast<double>(result) - static_cast<double>(sums[rows + row]);
  }
  titan_block_sums<THREADS>(total, parts);
  if (threadIdx.x == 0)
    *loss = static_cast<float>(total[0]);
}

void titan_cuda_put_vocabulary_max(cudaStream_t stream, const titan_cuda_logits *l, float *largest) {
  const unsigned rows = static_cast<unsigned>(l->rows);
  if (is_aligned(*l))
    TITAN_LAUNCH(vocabulary_max<true>, rows, THREADS, 0, stream, *l, largest);
  else
    TITAN_LAUNCH(vocabulary_max<false>, rows, THREADS, 0, stream, *l, largest);
}

void titan_cuda_put_vocabulary_sums(cudaStream_t stream, const titan_cuda_logits *l, const float *largest,
                                    float *sums) {
  const unsigned rows = static_cast<unsigned>(l->rows);
  if (is_aligned(*l))
    TITAN_LAUNCH(vocabulary_sums<true>, rows, THREADS, 0, stream, *l, largest, sums);
  else
    TITAN_LAUNCH(vocabulary_sums<false>, rows, THREADS, 0, stream, *l, largest, sums);
}

void titan_cuda_put_vocabulary_loss(cudaStream_t stream, int64_t rows, const int32_t *labels, const float *largest,
                                    const float *sums, float *loss, float *lse) {
  TITAN_LAUNCH(vocabulary_loss, 1, THREADS, 0, stream, rows, labels, largest, sums, loss, lse);
}
