// Adam and AdamW over the flat float32 shards, and the norm that clipping needs.
#ifndef TITAN_OPTIM_OPTIMIZER_H
#define TITAN_OPTIM_OPTIMIZER_H

#include "optim/lr_schedule.h"
#include "parallel/runtime.h"

typedef struct titan_optimizer_options {
  bool decoupled; // AdamW: the weight decay does not go through the moments
  double learning_rate, beta1, beta2, epsilon, weight_decay;
  double max_norm;
  titan_lr_curve curve;
  int64_t warmup_steps, total_steps;
  // Finished steps at which the schedule began, and at which the moments were zero: 0, unless a run that resumed was
  // told to begin them anew.
  int64_t schedule_first, moments_first;
} titan_optimizer_options;

// Not collective. Sum of squares of this rank's reduced gradient shards (over all its units, in a fixed order), with
// what all ranks of the tp group hold alike counted on the first of them: the sum over sharding group and tp group is
// the square of the global norm.
double titan_optimizer_sum_of_squares(titan_runtime *runtime);

// Learning rate of step `step`, counted from 1.
double titan_optimizer_learning_rate(const titan_optimizer_options *options, int64_t step);

// Collective (it publishes the new parameters). One step of Adam (Kingma and Ba, 2015) or AdamW (Loshchilov and Hutter,
// 2019) with the gradient multiplied by min(1, max_norm / (norm + 1e-6)), `norm` being the global L2 norm. Step counts
// from 1.
titan_status titan_optimizer_step(titan_runtime *runtime, const titan_optimizer_options *options, int64_t step,
                                  double norm);

#endif
