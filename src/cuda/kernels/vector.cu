// SPDX-License-Identifier: Apache-2.0
#include "cuda/kernels/pack.cuh"
#include "cuda/kernels/reduce.cuh"
#include "cuda/kernels/vector.h"
#include "device/numbers.h"

enum { THREADS = 256, W = 4, SQUARES_PARTS = 1024 };

// Launches `kernel`<VECTOR> with a thread for each pack of n elements, where n > 0.
#define PUT_PACKS(kernel, aligned, n, stream, ...)                                                                     \
  do {                                                                                                                 \
    const unsigned blocks = static_cast<unsigned>(titan_parts(n, THREADS * W));                                        \
    if (blocks > 0 && (aligned))                                                                                       \
      TITAN_LAUNCH(kernel<true>, blocks, THREADS, 0, stream, __VA_ARGS__);                                             \
    else if (blocks > 0)                                                                                               \
      TITAN_LAUNCH(kernel<false>, blocks, THREADS, 0, stream, __VA_ARGS__);                                            \
  } while (0)

// The thread's first element, in a block of a vector.
static __device__ __forceinline__ int64_t pack_begin(unsigned block) {
  return (static_cast<int64_t>(block) * THREADS + threadIdx.x) * W;
}

static __device__ __forceinline__ int64_t pack_begin() {
  return pack_begin(blockIdx.x);
}

// --- Adam: Kingma and Ba, ICLR 2015; decoupled: Loshchilov and Hutter, ICLR 2019 ---

namespace {

struct adam_factors {
  float one_minus_beta1, beta2, one_minus_beta2, epsilon, decay, l2, step_size, inverse_root2, gradient_scale;
};

} // namespace

static __device__ void set_factors(const titan_cuda_adam &a, adam_factors *f) {
  const titan_step_constants s = a.state->constants;
  const double rate = static_cast<double>(s.learning_rate);
  f->one_minus_beta1 = static_cast<float>(1.0 - static_cast<double>(s.beta1));
  f->beta2 = s.beta2;
  f->one_minus_beta2 = static_cast<float>(1.0 - static_cast<double>(s.beta2));
  f->epsilon = s.epsilon;
  f->decay = a.decay.decoupled ? static_cast<float>(1.0 - rate * static_cast<double>(a.decay.weight_decay)) : 1.0f;
  f->l2 = a.decay.decoupled ? 0.0f : a.decay.weight_decay;
  f->step_size = static_cast<float>(rate / static_cast<double>(s.bias_correction1));
  f->inverse_root2 = static_cast<float>(1.0 / sqrt(static_cast<double>(s.bias_correction2)));
  f->gradient_scale = a.state->gradient_scale;
}

// To nearest even as the host rounds, of NaN too.
static __device__ __forceinline__ uint16_t exactly_narrowed(float value) {
  const unsigned bits = __float_as_uint(value);
  const bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
  return static_cast<uint16_t>((nan ? bits | 0x400000u : bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

template <bool VECTOR>
static __device__ __forceinline__ void store_narrow(uint16_t *to, int64_t count, const float (&from)[W]) {
  if (VECTOR && count >= W) {
    TITAN_VECTOR_ACCESS(to, 8);
    *reinterpret_cast<ushort4 *>(to) = make_ushort4(exactly_narrowed(from[0]), exactly_narrowed(from[1]),
                                                    exactly_narrowed(from[2]), exactly_narrowed(from[3]));
    return;
  }
  for (int i = 0; i < W; i++)
    if (i < count)
      to[i] = exactly_narrowed(from[i]);
}

// Its factors lie in shared memory.
template <bool VECTOR>
static __device__ __forceinline__ void adam_block(const titan_cuda_adam &a, unsigned block, adam_factors &f) {
  const int64_t at = pack_begin(block), count = a.n - at;
  float w[W], m[W], v[W], g[W];
  titan_load<VECTOR>(a.master + at, count, w);
  titan_load<VECTOR>(a.exp_avg + at, count, m);
  titan_load<VECTOR>(a.exp_avg_sq + at, count, v);
  titan_load<VECTOR>(a.gradient + at, count, g);
  if (threadIdx.x == 0)
    set_factors(a, &f);
  __syncthreads();
  if (a.state->bad || count <= 0)
    return;
#pragma unroll
  for (int i = 0; i < W; i++) {
    g[i] = fmaf(g[i], f.gradient_scale, f.l2 * w[i]);
    m[i] = fmaf(f.one_minus_beta1, g[i] - m[i], m[i]);
    v[i] = fmaf(f.beta2, v[i], f.one_minus_beta2 * g[i] * g[i]);
    w[i] = w[i] * f.decay - f.step_size * m[i] / fmaf(sqrtf(v[i]), f.inverse_root2, f.epsilon);
  }
  titan_store<VECTOR>(a.master + at, count, w);
  titan_store<VECTOR>(a.exp_avg + at, count, m);
  titan_store<VECTOR>(a.exp_avg_sq + at, count, v);
  if (a.compute != nullptr && a.narrow)
    store_narrow<VECTOR>(static_cast<uint16_t *>(a.compute) + at, count, w);
  else if (a.compute != nullptr && a.compute != a.master)
    titan_store<VECTOR>(static_cast<float *>(a.compute) + at, count, w);
}

template <bool VECTOR> static __global__ void __launch_bounds__(THREADS) adam(const titan_cuda_adam a) {
  TITAN_SHARED(adam_factors, f, );
  adam_block<VECTOR>(a, blockIdx.x, f);
}

template <bool VECTOR> static __global__ void __launch_bounds__(THREADS) adam_spans(const titan_cuda_adam_spans all) {
  TITAN_SHARED(adam_factors, f, );
  int span = 0;
  while (blockIdx.x >= all.blocks[span])
    span++;
  const titan_adam_span &s = all.spans[span];
  const unsigned first = span > 0 ? all.blocks[span - 1] : 0;
  const titan_cuda_adam a = {all.state,    s.decay,    s.n,       s.master,  s.exp_avg,
                             s.exp_avg_sq, s.gradient, s.compute, all.narrow};
  adam_block<VECTOR>(a, blockIdx.x - first, f);
}

void titan_cuda_put_adam_spans(cudaStream_t stream, titan_cuda_adam_spans *spans) {
  unsigned blocks = 0;
  bool aligned = true;
  for (int i = 0; i < spans->count; i++) {
    const titan_adam_span &s = spans->spans[i];
    blocks += static_cast<unsigned>(titan_parts(s.n, THREADS * W));
    spans->blocks[i] = blocks;
    aligned = aligned && titan_aligned(s.master, s.exp_avg, s.exp_avg_sq, s.gradient, s.compute);
  }
  if (blocks > 0 && aligned)
    TITAN_LAUNCH(adam_spans<true>, blocks, THREADS, 0, stream, *spans);
  else if (blocks > 0)
    TITAN_LAUNCH(adam_spans<false>, blocks, THREADS, 0, stream, *spans);
}

void titan_cuda_put_adam(cudaStream_t stream, const titan_cuda_adam *a) {
  const bool aligned = titan_aligned(a->master, a->exp_avg, a->exp_avg_sq, a->gradient, a->compute);
  PUT_PACKS(adam, aligned, a->n, stream, *a);
}

// --- sum of squares: at most SQUARES_PARTS blocks, each with its part of the vector, whose sums are added in order ---

static __device__ double squares_of_parts[SQUARES_PARTS];

template <bool VECTOR> static __global__ void __launch_bounds__(THREADS) square_parts(int64_t n, const float *x) {
  TITAN_SHARED(double, parts, [1][THREADS / 32]);
  const int64_t packs = (n + W - 1) / W, begin = packs * blockIdx.x / gridDim.x;
  const int64_t end = packs * (blockIdx.x + 1) / gridDim.x;
  double sums[1] = {0};
#pragma unroll 4
  for (int64_t pack = begin + threadIdx.x; pack < end; pack += THREADS) {
    float values[W];
    titan_load<VECTOR>(x + pack * W, n - pack * W, values);
#pragma unroll
    for (int i = 0; i < W; i++)
      sums[0] = fma(static_cast<double>(values[i]), static_cast<double>(values[i]), sums[0]);
  }
  titan_block_sums<THREADS>(sums, parts);
  if (threadIdx.x == 0)
    squares_of_parts[blockIdx.x] = sums[0];
}

static __global__ void __launch_bounds__(THREADS) add_squares(int count, double *sum) {
  TITAN_SHARED(double, parts, [1][THREADS / 32]);
  double sums[1] = {0};
  for (int part = static_cast<int>(threadIdx.x); part < count; part += THREADS)
    sums[0] += squares_of_parts[part];
  titan_block_sums<THREADS>(sums, parts);
  if (threadIdx.x == 0)
    *sum = sums[0];
}

void titan_cuda_put_sum_of_squares(cudaStream_t stream, int64_t n, const float *x, double *sum) {
  const int64_t each = static_cast<int64_t>(W) * THREADS, wanted = (n + each - 1) / each;
  const int parts = wanted < 1 ? 1 : wanted < SQUARES_PARTS ? static_cast<int>(wanted) : SQUARES_PARTS;
  if (titan_aligned(x))
    TITAN_LAUNCH(square_parts<true>, parts, THREADS, 0, stream, n, x);
  else
    TITAN_LAUNCH(square_parts<false>, parts, THREADS, 0, stream, n, x);
  TITAN_LAUNCH(add_squares, 1, THREADS, 0, stream, parts, sum);
}

// --- conversions ---

template <bool VECTOR>
static __global__ void __launch_bounds__(THREADS) widen(int64_t n, const uint16_t *from, float *to) {
  const int64_t at = pack_begin(), count = n - at;
  float x[W];
  if (VECTOR && count >= W) {
    TITAN_VECTOR_ACCESS(from + at, 8);
    const uint2 words = *reinterpret_cast<const uint2 *>(from + at);
    titan_store_pack(to + at, {titan_low_half(words.x), titan_high_half(words.x), titan_low_half(words.y),
                               titan_high_half(words.y)});
    return;
  }
  for (int i = 0; i < W; i++)
    x[i] = i < count ? titan_low_half(from[at + i]) : 0.0f;
  titan_store<false>(to + at, count, x);
}

template <bool VECTOR>
static __global__ void __launch_bounds__(THREADS) narrow(int64_t n, const float *from, uint16_t *to) {
  const int64_t at = pack_begin(), count = n - at;
  float x[W];
  titan_load<VECTOR>(from + at, count, x);
  store_narrow<VECTOR>(to + at, count, x);
}

void titan_cuda_put_widen(cudaStream_t stream, int64_t n, const void *from, float *to) {
  PUT_PACKS(widen, titan_aligned(from, to), n, stream, n, static_cast<const uint16_t *>(from), to);
}

void titan_cuda_put_narrow(cudaStream_t stream, int64_t n, const float *from, void *to) {
  PUT_PACKS(narrow, titan_aligned(from, to), n, stream, n, from, static_cast<uint16_t *>(to));
}

// --- sums ---

template <bool VECTOR> static __global__ void __launch_bounds__(THREADS) fill(int64_t n, float *x, float value) {
  const int64_t at = pack_begin();
  titan_store<VECTOR>(x + at, n - at, {value, value, value, value});
}

template <bool VECTOR>
static __global__ void __launch_bounds__(THREADS) accumulate(int64_t n, float *y, const float *x) {
  const int64_t at = pack_begin(), count = n - at;
  float a[W], b[W];
  titan_load<VECTOR>(y + at, count, a);
  titan_load<VECTOR>(x + at, count, b);
#pragma unroll
  for (int i = 0; i < W; i++)
    a[i] += b[i];
  titan_store<VECTOR>(y + at, count, a);
}

template <bool VECTOR>
static __global__ void __launch_bounds__(THREADS)
    scaled_add(const titan_step_state *state, int64_t n, float *y, float a, const float *x, float b,
               titan_state_factor kind) {
  if (state->bad)
    return;
  const int64_t at = pack_begin(), count = n - at;
  const float factor = b * titan_state_factor_of(state, kind);
  float to[W], from[W];
  titan_load<VECTOR>(y + at, count, to);
  titan_load<VECTOR>(x + at, count, from);
#pragma unroll
  for (int i = 0; i < W; i++)
    to[i] = fmaf(a, to[i], factor * from[i]);
  titan_store<VECTOR>(y + at, count, to);
}

void titan_cuda_put_fill(cudaStream_t stream, int64_t n, float *x, float value) {
  PUT_PACKS(fill, titan_aligned(x), n, stream, n, x, value);
}

void titan_cuda_put_accumulate(cudaStream_t stream, int64_t n, float *y, const float *x) {
  PUT_PACKS(accumulate, titan_aligned(x, y), n, stream, n, y, x);
}

void titan_cuda_put_scaled_add(cudaStream_t stream, const titan_step_state *state, int64_t n, float *y, float a,
                               const float *x, float b, titan_state_factor factor) {
  PUT_PACKS(scaled_add, titan_aligned(x, y), n, stream, state, n, y, a, x, b, factor);
}

// --- a step's numbers, by one thread ---

static __global__ void numbers(const titan_numbers_request request, titan_step_numbers *n, titan_step_state *state) {
  titan_step_numbers_apply(&request, n, state);
}

void titan_cuda_put_numbers(cudaStream_t stream, const titan_numbers_request *request, titan_step_numbers *n,
                            titan_step_state *state) {
  TITAN_LAUNCH(numbers, 1, 1, 0, stream, *request, n, state);
}
