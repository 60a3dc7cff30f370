// SPDX-License-Identifier: Apache-2.0
// Adam (Kingma and Ba, 2015) and AdamW (Loshchilov and Hutter, 2019), whose weight decay does not go through the
// moments.
#include "optim/rule.h"

static titan_status update(const titan_update *u, bool decoupled) {
  titan_adam_decay decay = {.weight_decay = (float)u->weight_decay, .decoupled = decoupled};
  return u->device->vector->adam(u->device, u->state, decay, u->count, u->master, u->slots[0], u->slots[1], u->gradient,
                                 u->compute, u->dtype);
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
