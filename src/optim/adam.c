// SPDX-License-Identifier: Apache-2.0
// Adam (Kingma and Ba, 2015) and AdamW (Loshchilov and Hutter, 2019), whose weight decay does not go through the
// moments.
#include "optim/rule.h"

#include <math.h>

static titan_status update(const titan_update *u, bool decoupled) {
  titan_adam_step step = {
      .learning_rate = (float)u->learning_rate,
      .beta1 = (float)u->beta1,
      .beta2 = (float)u->beta2,
      .epsilon = (float)u->epsilon,
      .weight_decay = (float)u->weight_decay,
      .bias_correction1 = (float)(1 - pow(u->beta1, (double)u->updates)),
      .bias_correction2 = (float)(1 - pow(u->beta2, (double)u->updates)),
      .decoupled = decoupled,
      .gradient_scale = (float)u->gradient_scale,
  };
  u->device->vector->adam(u->device, &step, u->count, u->master, u->slots[0], u->slots[1], u->gradient, u->compute,
                          u->dtype);
  return TITAN_OK;
}

static titan_status update_adam(const titan_update *u) {
  return update(u, false);
}

static titan_status update_adamw(const titan_update *u) {
  return update(u, true);
}

static const char *const constants[] = {"optimizer.beta1", "optimizer.beta2", "optimizer.eps", NULL};

const titan_optimizer_rule titan_optimizer_rule_adam = {
    .name = "Adam", .slots = {"exp_avg", "exp_avg_sq"}, .slot_count = 2, .constants = constants, .update = update_adam};
const titan_optimizer_rule titan_optimizer_rule_adamw = {.name = "AdamW",
                                                         .slots = {"exp_avg", "exp_avg_sq"},
                                                         .slot_count = 2,
                                                         .constants = constants,
                                                         .update = update_adamw};
