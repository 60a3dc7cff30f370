#include "optim/lr_schedule.h"

double titan_lr_factor(int64_t finished, int64_t warmup, int64_t total) {
  if (finished < warmup)
    return (double)(finished + 1) / (double)(warmup + 1);
  int64_t decay = total - warmup > 1 ? total - warmup : 1;
  double factor = 1.0 - (double)(finished - warmup) / (double)decay;
  return factor > 0 ? factor : 0;
}
