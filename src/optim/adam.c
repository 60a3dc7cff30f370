// SPDX-License-Identifier: Apache-2.0
// Adam (Kingma and Ba, 2015) and AdamW (Loshchilov and Hutter, 2019), whose weight decay does not go through the
// moments.
#include "optim/rule.h"

static titan_status update_batch(const titan_update *u) {
  int count = u->batch->count;
  u->batch->count = 0;
  return count > 0 ? u->device->vector->adam_spans(u->device, u->state, count, u->batch->spans, u->dtype) : TITAN_OK;
}

static titan_status update(const titan_update *u, bool decoupled) {
  titan_adam_decay decay = {.weight_decay = (float)u->weight_decay, .decoupled = decoupled};
  if (u->batch != NULL) {
    if (u->batch->count == TITAN_ADAM_SPANS)
      TITAN_TRY(update_batch(u));
    u->batch->spans[u->batch->count++] = (titan_adam_span){.decay = decay,
                                                           .n = u->count,
                                                           .master = u->master,
                                                           .exp_avg = u->slots[0],
                                                           .exp_avg_sq = u->slots[1],
                                                           .gradient = u->gradient,
                                                           .compute = u->compute};
    return TITAN_OK;
  }
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

const titan_optimizer_rule titan_optimizer_rule_adam = {.name = "Adam",
                                                        .slots = {"exp_avg", "exp_avg_sq"},
                                                        .slot_count = 2,
                                                        .constants = constants,
                                                        .update = update_adam,
                                                        .update_batch = update_batch};
const titan_optimizer_rule titan_optimizer_rule_adamw = {.name = "AdamW",
                                                         .slots = {"exp_avg", "exp_avg_sq"},
                                                         .slot_count = 2,
                                                         .constants = constants,
                                                         .update = update_adamw,
                                                         .update_batch = update_batch};
