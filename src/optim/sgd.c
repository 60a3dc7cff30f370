// SPDX-License-Identifier: Apache-2.0
// Stochastic gradient descent with momentum (Polyak, 1964), in the form of PyTorch's SGD: b = mu b + g + wd w, then
// w = w - lr b. Weight decay goes through the momentum.
#include "optim/rule.h"

static titan_status update(const titan_update *u) {
  titan_device *device = u->device;
  const titan_vector_functions *vector = device->vector;
  float *momentum = u->slots[0];
  TITAN_TRY(vector->scaled_add(device, u->state, u->count, momentum, (float)u->momentum, u->gradient, 1,
                               TITAN_FACTOR_GRADIENT_SCALE));
  if (u->weight_decay != 0)
    TITAN_TRY(vector->scaled_add(device, u->state, u->count, momentum, 1, u->master, (float)u->weight_decay,
                                 TITAN_FACTOR_ONE));
  TITAN_TRY(vector->scaled_add(device, u->state, u->count, u->master, 1, momentum, -1, TITAN_FACTOR_LEARNING_RATE));
  if (u->compute == NULL || u->dtype == TITAN_FLOAT32)
    return TITAN_OK;
  return vector->convert(device, u->count, u->master, TITAN_FLOAT32, u->compute, u->dtype);
}

static const char *const constants[] = {"optimizer.momentum", NULL};

const titan_optimizer_rule titan_optimizer_rule_sgd = {
    .name = "SGD", .slots = {"momentum"}, .slot_count = 1, .constants = constants, .update = update};
