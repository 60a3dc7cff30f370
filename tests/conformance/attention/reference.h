// SPDX-License-Identifier: Apache-2.0
// Causal attention in float64, written as its definition: the oracle of the kernels.
#ifndef TITAN_TESTS_CONFORMANCE_ATTENTION_REFERENCE_H
#define TITAN_TESTS_CONFORMANCE_ATTENTION_REFERENCE_H

#include <stdint.h>

typedef struct attention_sizes {
  int64_t batch, length, heads, kv_heads, head_size;
} attention_sizes;

// q, o [B,L,N,H]; k, v [B,L,K,H]; lse [B,N,L].
void reference_attention(attention_sizes sizes, const double *q, const double *k, const double *v, double *o,
                         double *lse);

// Gradients of sum(o * gradient), given o and lse of the forward (perhaps rounded, as the kernel is given them).
void reference_attention_backward(attention_sizes sizes, const double *q, const double *k, const double *v,
                                  const double *o, const double *lse, const double *gradient, double *dq, double *dk,
                                  double *dv);

#endif
