// SPDX-License-Identifier: Apache-2.0
// The optimizer over the units of a runtime, and the norm that clipping needs.
#ifndef TITAN_OPTIM_OPTIMIZER_H
#define TITAN_OPTIM_OPTIMIZER_H

#include "optim/lr_schedule.h"
#include "optim/rule.h"
#include "parallel/runtime.h"

typedef struct titan_optimizer_options {
  const titan_optimizer_rule *rule;
  double learning_rate, beta1, beta2, epsilon, momentum, weight_decay;
  unsigned no_decay; // bits 1 << titan_parameter_role: parameters whose weights do not decay
  bool fused;        // all runs of parameters at once
  double max_norm;   // clipping; not with early updates
  titan_lr_curve curve;
  int64_t warmup_steps, total_steps;
  // Finished steps at which the schedule began, and at which the states were zero: 0, unless a run that resumed was
  // told to begin them anew.
  int64_t schedule_first, moments_first;
} titan_optimizer_options;

// One step on its way.
typedef struct titan_optimizer_step_state {
  const titan_optimizer_options *options;
  int64_t step; // counted from 1
  int squares;  // sums of squares that were asked for so far, in titan_runtime_squares
  bool early, fuses;
  titan_update_batch batch; // of an optimizer that fuses
} titan_optimizer_step_state;

// Why the updates of a runtime cannot be fused, for people; NULL: they can. Early updates cannot, which are to use the
// memory of their gradients again. No other update is later for it: gathers begin after all that COMPUTE has got.
const char *titan_optimizer_fuse_obstacle(const titan_optimizer_options *options, titan_runtime *runtime);

// Not collective. After titan_runtime_step, also where early updates have used the memory of the gradients again: has
// the sums of squares of this rank's reduced gradient shards made, over all its units, in a fixed order, state->squares
// of them; with what all ranks of the tp group hold alike counted on the first of them, and tied parameters once. Their
// sum over sharding group and tp group is the square of the global norm.
titan_status titan_optimizer_add_squares(titan_optimizer_step_state *state, titan_runtime *runtime);
// The same, and waits for this rank's sum.
titan_status titan_optimizer_read_squares(titan_optimizer_step_state *state, titan_runtime *runtime, double *sum);
// The same for a step without early updates; NaN where the device fails.
double titan_optimizer_sum_of_squares(titan_runtime *runtime);

// Learning rate of step `step`, counted from 1.
double titan_optimizer_learning_rate(const titan_optimizer_options *options, int64_t step);

// Not collective. Before titan_runtime_step: `state` (borrowed until the step's end) becomes what the runtime's updates
// go by.
titan_status titan_optimizer_begin(titan_optimizer_step_state *state, titan_runtime *runtime,
                                   const titan_optimizer_options *options, int64_t step);
// Collective. After it, with the gradient's scale in the runtime's state (titan_runtime_sum_numbers): updates all units
// (but for early updates, which are done) and publishes the new parameters.
titan_status titan_optimizer_update(titan_optimizer_step_state *state, titan_runtime *runtime);
// The same with the global L2 norm of the gradients from the host: they are multiplied by
// min(1, max_norm / (norm + 1e-6)).
titan_status titan_optimizer_end(titan_optimizer_step_state *state, titan_runtime *runtime, double norm);
// Collective. Begin and end at once, for a step without early updates.
titan_status titan_optimizer_step(titan_runtime *runtime, const titan_optimizer_options *options, int64_t step,
                                  double norm);

// Names of roles for messages and options: "norm", "embedding", "output"; false when there is none of this name.
bool titan_optimizer_role_find(const char *name, size_t length, unsigned *bit);

#endif
