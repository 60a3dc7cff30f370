#ifndef TITAN_OPTIM_LR_SCHEDULE_H
#define TITAN_OPTIM_LR_SCHEDULE_H

#include <stdint.h>

// Factor of the learning rate after `finished` steps of `total`, with a warm-up of `warmup` steps: linear up, then
// linear down to 0. finished < warmup: (finished+1)/(warmup+1); else max(0, 1 - (finished-warmup)/max(1,
// total-warmup)).
double titan_lr_factor(int64_t finished, int64_t warmup, int64_t total);

#endif
