// SPDX-License-Identifier: Apache-2.0
#include "optim/lr_schedule.h"

#include <math.h>

int64_t titan_lr_decay_steps(const titan_lr_curve *curve, int64_t warmup, int64_t total) {
  int64_t most = total - warmup > 1 ? total - warmup : 1;
  if (!curve->has_decay_ratio)
    return most;
  int64_t wanted = (int64_t)rint((double)total * curve->decay_ratio);
  return wanted < most ? wanted : most;
}

// 1 at progress 0, 0 at progress 1.
static double decayed(titan_lr_decay decay, double progress) {
  static const double pi = 3.14159265358979323846;
  switch (decay) {
  case TITAN_LR_LINEAR:
    return 1.0 - progress;
  case TITAN_LR_SQRT:
    return 1.0 - sqrt(progress);
  case TITAN_LR_COSINE:
    return 0.5 * (1.0 + cos(pi * progress));
  }
  return 0;
}

double titan_lr_factor(const titan_lr_curve *curve, int64_t finished, int64_t warmup, int64_t total) {
  if (finished < warmup)
    return (double)(finished + 1) / (double)(warmup + 1);
  int64_t decay = titan_lr_decay_steps(curve, warmup, total);
  int64_t begin = total - decay > warmup ? total - decay : warmup;
  if (decay <= 0 || finished <= begin)
    return 1;
  if (finished - begin >= decay)
    return curve->minimum;
  double factor = decayed(curve->decay, (double)(finished - begin) / (double)decay);
  return curve->minimum + (1 - curve->minimum) * factor;
}
