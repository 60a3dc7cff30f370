// SPDX-License-Identifier: Apache-2.0
#include "reference.h"

#include <math.h>
#include <string.h>

static double dot(int64_t n, const double *a, const double *b) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++)
    sum += a[i] * b[i];
  return sum;
}

// Offset of (b, i, head, 0) in a tensor [B,L,heads,H].
static int64_t at(attention_sizes sizes, int64_t heads, int64_t b, int64_t i, int64_t head) {
  return ((b * sizes.length + i) * heads + head) * sizes.head_size;
}

static void attend(attention_sizes sizes, int64_t b, int64_t n, int64_t i, const double *q, const double *k,
                   const double *v, double *o, double *lse) {
  const int64_t kv = n / (sizes.heads / sizes.kv_heads), H = sizes.head_size;
  const double scale = 1.0 / sqrt((double)H), *query = q + at(sizes, sizes.heads, b, i, n);
  double maximum = -INFINITY, sum = 0, *output = o + at(sizes, sizes.heads, b, i, n);
  for (int64_t j = 0; j <= i; j++)
    maximum = fmax(maximum, scale * dot(H, query, k + at(sizes, sizes.kv_heads, b, j, kv)));
  for (int64_t h = 0; h < H; h++)
    output[h] = 0;
  for (int64_t j = 0; j <= i; j++) {
    const double p = exp(scale * dot(H, query, k + at(sizes, sizes.kv_heads, b, j, kv)) - maximum);
    sum += p;
    for (int64_t h = 0; h < H; h++)
      output[h] += p * v[at(sizes, sizes.kv_heads, b, j, kv) + h];
  }
  for (int64_t h = 0; h < H; h++)
    output[h] /= sum;
  lse[(b * sizes.heads + n) * sizes.length + i] = maximum + log(sum);
}

void reference_attention(attention_sizes sizes, const double *q, const double *k, const double *v, double *o,
                         double *lse) {
  for (int64_t b = 0; b < sizes.batch; b++)
    for (int64_t n = 0; n < sizes.heads; n++)
      for (int64_t i = 0; i < sizes.length; i++)
        attend(sizes, b, n, i, q, k, v, o, lse);
}

void reference_attention_backward(attention_sizes sizes, const double *q, const double *k, const double *v,
                                  const double *o, const double *lse, const double *gradient, double *dq, double *dk,
                                  double *dv) {
  const int64_t H = sizes.head_size, group = sizes.heads / sizes.kv_heads;
  const double scale = 1.0 / sqrt((double)H);
  const int64_t positions = sizes.batch * sizes.length;
  memset(dq, 0, (size_t)(positions * sizes.heads * H) * sizeof(double));
  memset(dk, 0, (size_t)(positions * sizes.kv_heads * H) * sizeof(double));
  memset(dv, 0, (size_t)(positions * sizes.kv_heads * H) * sizeof(double));
  for (int64_t b = 0; b < sizes.batch; b++)
    for (int64_t n = 0; n < sizes.heads; n++)
      for (int64_t i = 0; i < sizes.length; i++) {
        const int64_t query = at(sizes, sizes.heads, b, i, n);
        const double D = dot(H, gradient + query, o + query);
        for (int64_t j = 0; j <= i; j++) {
          const int64_t key = at(sizes, sizes.kv_heads, b, j, n / group);
          const double p = exp(scale * dot(H, q + query, k + key) - lse[(b * sizes.heads + n) * sizes.length + i]);
          const double ds = scale * p * (dot(H, gradient + query, v + key) - D);
          for (int64_t h = 0; h < H; h++) {
            dv[key + h] += p * gradient[query + h];
            dk[key + h] += ds * q[query + h];
            dq[query + h] += ds * k[key + h];
          }
        }
      }
}
