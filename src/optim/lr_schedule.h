// SPDX-License-Identifier: Apache-2.0
// How the learning rate changes over a run: a linear warm-up, a stable part, a decay.
#ifndef TITAN_OPTIM_LR_SCHEDULE_H
#define TITAN_OPTIM_LR_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

typedef enum titan_lr_decay { TITAN_LR_LINEAR, TITAN_LR_SQRT, TITAN_LR_COSINE } titan_lr_decay;

// The shape of the curve. {0} is linear from the end of the warm-up down to 0.
typedef struct titan_lr_curve {
  titan_lr_decay decay;
  bool has_decay_ratio; // else all steps after the warm-up decay
  double decay_ratio;   // 0 to 1: the share of all steps that decay
  double minimum;       // 0 to 1: the factor that the decay ends at
} titan_lr_curve;

// Steps d of the decay, with a warm-up of w = `warmup` of N = `total` steps: m = max(1, N-w) without a decay ratio,
// else min(m, N * decay_ratio rounded to the nearest integer, halves to the even one).
int64_t titan_lr_decay_steps(const titan_lr_curve *curve, int64_t warmup, int64_t total);

// Factor of the learning rate of the step that comes after s = `finished` steps. With w, N and d as above and
// p = min(1, (s - max(N-d, w)) / d):
//
//   s < w                          (s+1) / (w+1)
//   s <= max(N-d, w), or d = 0     1
//   else                           minimum + (1-minimum) c(p), c = 1-p, 1-sqrt(p), or (1+cos(pi p))/2
//
// So the factor of step N, the last one, is that of p = (d-1)/d, and every step after it has the minimum. The curves
// are TorchTitan's (components/lr_scheduler.py, 2025), which writes p as (s+1 - (w+stable)) / d with stable = N+1-w-d.
double titan_lr_factor(const titan_lr_curve *curve, int64_t finished, int64_t warmup, int64_t total);

#endif
